//! A fit that was stopped and goes on ends as if it had been left alone, bit for bit.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use partwise_driver::comm::{Comm, Elsewhere, Solo};
use partwise_driver::fit::{Run, fit_with};
use partwise_driver::usages::UsagesPlace;
use partwise_driver::{
    CheckpointError, CheckpointEvent, CheckpointSpec, DriverError, Fit, FitId, FitMonitor, InitSpec, NmfConfig, Plan,
    Runs, ScaleSpec, SolverSpec, TraceRow, fit,
};
use partwise_storage::store::{Layout, Overwrite, Store};
use partwise_storage::{Monitor, Quiet};

use crate::planted::{CPU, counts, dense, plan, store, uncancelled};
use crate::threads_comm::together;

/// Says stop, and writes down what it hears of checkpoints.
pub(crate) struct Stopper {
    /// Full passes that may end; fits that share a pass count one each.
    passes: AtomicUsize,
    /// Times that it may be asked.
    asked: AtomicUsize,
    heard: Mutex<Vec<(FitId, String)>>,
}

impl Stopper {
    fn new(passes: usize, asked: usize) -> Self {
        Stopper { passes: passes.into(), asked: asked.into(), heard: Mutex::default() }
    }

    pub(crate) fn after(passes: usize) -> Self {
        Stopper::new(passes, usize::MAX)
    }

    pub(crate) fn never() -> Self {
        Stopper::after(usize::MAX)
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().iter().map(|(_, said)| said.clone()).collect()
    }

    pub(crate) fn heard_of(&self, fit: FitId) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|(of, _)| *of == fit).map(|(_, said)| said.clone()).collect()
    }
}

impl Monitor for Stopper {
    fn cancelled(&self) -> bool {
        // Asked once more than allowed it says yes, and goes on doing so.
        let asked = self.asked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        asked == Ok(0) || self.passes.load(Ordering::Relaxed) == 0
    }
}

/// One less, down to none.
fn less(left: usize) -> Option<usize> {
    Some(left.saturating_sub(1))
}

impl FitMonitor for Stopper {
    fn pass(&self, _: FitId, _: &TraceRow) {
        let _ = self.passes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn checkpoint(&self, fit: FitId, event: &CheckpointEvent<'_>) {
        let said = match event {
            CheckpointEvent::Resumed { passes, trace } => format!("resumed {passes}, {} in the trace", trace.len()),
            CheckpointEvent::Nothing => "nothing".into(),
            CheckpointEvent::Damaged { reason } => format!("damaged: {reason}"),
            CheckpointEvent::Written { passes, .. } => format!("written {passes}"),
            other => panic!("{other:?}"),
        };
        self.heard.lock().unwrap().push((fit, said));
    }
}

pub(crate) fn going_on(folder: &Path) -> CheckpointSpec {
    CheckpointSpec::new(folder, CPU).with_resume(true)
}

fn run(store: &Store, plan: &Plan, spec: &CheckpointSpec, monitor: &dyn FitMonitor) -> Result<Fit, DriverError> {
    run_among(&Solo, store, plan, spec, monitor)
}

fn run_among(
    comm: &dyn Comm,
    store: &Store,
    plan: &Plan,
    spec: &CheckpointSpec,
    monitor: &dyn FitMonitor,
) -> Result<Fit, DriverError> {
    let claim = spec.claim(&Runs::One, comm, &Quiet)?;
    uncancelled(fit_with(store, plan, &Run { comm, checkpoint: Some(&claim), subset: None }, monitor))
}

/// Stops a fit after so many full passes, which leaves a checkpoint.
fn stop(store: &Store, plan: &Plan, folder: &Path, passes: usize) {
    let stopped = run(store, plan, &CheckpointSpec::new(folder, CPU), &Stopper::after(passes));
    assert!(matches!(stopped, Err(DriverError::Cancelled)), "{stopped:?}");
}

/// The trace without what differs from run to run.
fn timeless(fit: &Fit) -> Vec<TraceRow> {
    // The first row's is not a number, which equals nothing.
    let known = |value: f64| if value.is_nan() { -1.0 } else { value };
    let row = |row: &TraceRow| {
        let row = row.without_machine();
        TraceRow { relative_decrease: known(row.relative_decrease), ..row }
    };
    fit.trace.iter().map(row).collect()
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_fit_stopped_after_every_pass_ends_as_one_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (layout, matrix) in [(Layout::Sparse, counts(1500, 90, 4, 1)), (Layout::Dense, dense(1500, 90, 4, 2))] {
        let store = store(folder.path(), &matrix, layout, 256);
        for (name, config) in [
            ("auto", NmfConfig::new(5)),
            ("auto-std", NmfConfig::new(4).with_scale(ScaleSpec::Std).with_tol(0.0)),
            ("hals", NmfConfig::new(5).with_solver(SolverSpec::Hals).with_init(InitSpec::Random).with_tol(0.0)),
            ("mu", NmfConfig::new(5).with_solver(SolverSpec::Mu)),
            ("mu-sample", NmfConfig::new(5).with_solver(SolverSpec::Mu).with_init(InitSpec::Sample)),
            ("bpp", NmfConfig::new(5).with_solver(SolverSpec::Bpp)),
        ] {
            let config = config.with_seed(3).with_max_passes(8);
            let alone = fit(&store, &plan(&store, &config, 2), &Quiet).unwrap();
            let place = folder.path().join(format!("{name}-{layout:?}"));
            let mut stops = 0;
            let resumed = loop {
                // Other threads, and W elsewhere, each time.
                let mut plan = plan(&store, &config, 1 + stops % 3);
                if stops % 2 == 1 {
                    plan.execution.segment_bytes = 1;
                    plan.execution.usages = UsagesPlace::Disk(folder.path().to_path_buf());
                }
                match run(&store, &plan, &going_on(&place), &Stopper::after(1)) {
                    Ok(fit) => break fit,
                    Err(error) => assert!(matches!(error, DriverError::Cancelled), "{name} {layout:?}: {error}"),
                }
                stops += 1;
            };
            assert!(stops + 1 >= alone.trace.len() && stops > 0, "{name}: stopped {stops} times");
            assert_eq!(resumed.digest, alone.digest, "{name} {layout:?}");
            assert_eq!((resumed.passes, resumed.stop), (alone.passes, alone.stop), "{name} {layout:?}");
            assert_eq!(timeless(&resumed), timeless(&alone), "{name} {layout:?}");
            assert!(resumed.resumed_from_pass > 0 && resumed.sample_passes == alone.sample_passes, "{name} {layout:?}");
        }
    }
}

#[test]
fn a_fit_stopped_at_any_moment_goes_on_to_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(2000, 40, 3, 4), Layout::Sparse, 256);
    let config = NmfConfig::new(3).with_tol(0.0).with_max_passes(5);
    let (mut kept, mut lost) = (0, 0);
    // There are many more moments in a start from a sample than in the passes.
    for (init, step) in [(InitSpec::Sample, 97), (InitSpec::Random, 5)] {
        let plan = plan(&store, &config.clone().with_init(init), 2);
        let alone = fit(&store, &plan, &Quiet).unwrap();
        for asked in (0..).step_by(step) {
            let place = folder.path().join(format!("{step}-{asked}"));
            let stopped = run(&store, &plan, &CheckpointSpec::new(&place, CPU), &Stopper::new(usize::MAX, asked));
            if let Ok(fit) = stopped {
                assert_eq!(fit.digest, alone.digest);
                break;
            }
            let monitor = Stopper::never();
            let fit = run(&store, &plan, &going_on(&place), &monitor).unwrap();
            assert_eq!(fit.digest, alone.digest, "stopped when asked {asked} times");
            match monitor.heard().first().unwrap().as_str() {
                "nothing" => lost += 1,
                said => kept += usize::from(said.starts_with("resumed")),
            }
        }
    }
    assert!(kept > 5 && lost > 5, "{kept} checkpoints, {lost} stops before there was one");
}

/// Bytes of the state file before the trace, and after it, of a fit with so many full passes.
fn around_the_trace(state: &[u8], k: usize, rows: usize) -> [Vec<u8>; 2] {
    let trace: Range<usize> = 96 + 8 * k * k..96 + 8 * k * k + 128 * rows;
    [state[..trace.start].to_vec(), state[trace.end..].to_vec()]
}

#[test]
fn a_pass_that_was_dropped_leaves_no_trace_in_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    // Values far from one, so that every component is scaled before the first passes.
    let mut matrix = counts(1300, 50, 3, 7);
    matrix.values.iter_mut().for_each(|value| *value *= 2f32.powi(-30));
    let store = store(folder.path(), &matrix, Layout::Sparse, 256);
    let config = NmfConfig::new(3).with_init(InitSpec::Random).with_tol(0.0).with_max_passes(9);
    let plan = plan(&store, &config, 1);
    for passes in 1..4 {
        let read = |how: &str| {
            let file = |name: String| fs::read(folder.path().join(how).join(name)).unwrap();
            let state = around_the_trace(&file(format!("state-{passes:06}.bin")), 3, passes);
            (state, file(format!("usages-{passes:06}-00000.bin")))
        };
        let between = format!("between-{passes}");
        let spec = CheckpointSpec::new(folder.path().join(&between), CPU).with_every(1);
        run(&store, &plan, &spec, &Stopper::after(passes)).unwrap_err();
        // Six blocks, and a question before and after each: this one comes when some of the pass have been folded.
        let questions_of_a_pass = 13;
        for extra in [3, 6, 11] {
            let within = format!("within-{passes}-{extra}");
            let monitor = Stopper::new(usize::MAX, questions_of_a_pass * passes + extra);
            run(&store, &plan, &CheckpointSpec::new(folder.path().join(&within), CPU), &monitor).unwrap_err();
            assert_eq!(monitor.heard(), [format!("written {passes}")]);
            assert!(read(&between) == read(&within), "dropped after {passes} passes and {extra} questions");
        }
    }
}

#[test]
fn two_are_kept_and_what_is_not_ours_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 40, 3, 5), Layout::Sparse, 256);
    let plan = plan(&store, &NmfConfig::new(3).with_tol(0.0).with_max_passes(6), 2);
    let place = folder.path().join("c");
    let every = |every| going_on(&place).with_every(every);
    let monitor = Stopper::after(2);
    run(&store, &plan, &every(1), &monitor).unwrap_err();
    // Reading the sample is a pass.
    assert_eq!(monitor.heard(), ["nothing", "written 1", "written 2", "written 3"]);
    let two =
        ["manifest.json", "state-000002.bin", "state-000003.bin", "usages-000002-00000.bin", "usages-000003-00000.bin"];
    assert_eq!(names(&place), two);

    fs::write(place.join("notes.txt"), "mine").unwrap();
    fs::write(place.join("state-000099.bin"), "left by one that was killed").unwrap();
    let monitor = Stopper::never();
    let ended = run(&store, &plan, &every(2), &monitor).unwrap();
    assert_eq!(monitor.heard(), ["resumed 3, 2 in the trace", "written 5"]);
    let two = [
        "manifest.json",
        "notes.txt",
        "state-000003.bin",
        "state-000005.bin",
        "usages-000003-00000.bin",
        "usages-000005-00000.bin",
    ];
    assert_eq!(names(&place), two);

    // A fit that has ended goes on from its last checkpoint as well, and ends where it ended.
    let again = run(&store, &plan, &every(1), &Stopper::never()).unwrap();
    assert_eq!((&again.digest, again.resumed_from_pass), (&ended.digest, 5));
    let monitor = Stopper::never();
    let done = run(&store, &plan, &every(1), &monitor).unwrap();
    assert_eq!(monitor.heard(), ["resumed 6, 5 in the trace"]);
    assert_eq!((&done.digest, done.passes, done.stop), (&ended.digest, ended.passes, ended.stop));
}

#[test]
fn a_damaged_checkpoint_is_said_and_an_older_one_serves() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 40, 3, 6), Layout::Sparse, 256);
    let plan = plan(&store, &NmfConfig::new(3).with_tol(0.0).with_max_passes(6), 2);
    let alone = fit(&store, &plan, &Quiet).unwrap().digest;
    let (state, usages) = ("state-000003.bin", "usages-000003-00000.bin");
    let damage = |path: &Path, how: usize| match how {
        0 | 1 => flip(path),
        2 => fs::remove_file(path).unwrap(),
        _ => fs::write(path, "short").unwrap(),
    };
    for (i, name) in [state, usages, usages, state].into_iter().enumerate() {
        let place = folder.path().join(i.to_string());
        let every = CheckpointSpec::new(&place, CPU).with_every(1);
        run(&store, &plan, &every, &Stopper::after(2)).unwrap_err();
        damage(&place.join(name), i);
        let monitor = Stopper::after(1);
        run(&store, &plan, &going_on(&place), &monitor).unwrap_err();
        let heard = monitor.heard();
        assert!(heard[0].starts_with("damaged: ") && heard[0].contains(name), "{heard:?}");
        assert_eq!(heard[1..], ["resumed 2, 1 in the trace", "written 3"]);

        // Now both are.
        for passes in [2, 3] {
            flip(&place.join(format!("state-{passes:06}.bin")));
        }
        let monitor = Stopper::never();
        let fit = run(&store, &plan, &going_on(&place), &monitor).unwrap();
        assert_eq!((fit.digest, fit.resumed_from_pass), (alone.clone(), 0));
        assert_eq!(monitor.heard().len(), 3, "{:?}", monitor.heard());
        assert_eq!(monitor.heard()[2], "nothing");
    }
    let place = folder.path().join("0");
    flip(&place.join("manifest.json"));
    let monitor = Stopper::after(1);
    run(&store, &plan, &going_on(&place), &monitor).unwrap_err();
    let heard = monitor.heard();
    assert!(heard[0].contains("manifest.json") && heard[1..] == ["nothing", "written 2"], "{heard:?}");
}

pub(crate) fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_checkpoint_of_another_fit_is_refused_and_what_differs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let sparse = store(folder.path(), &counts(900, 40, 3, 5), Layout::Sparse, 256);
    let lower = store(folder.path(), &counts(900, 40, 3, 5), Layout::Sparse, 512);
    let dense = store(folder.path(), &dense(900, 40, 3, 5), Layout::Dense, 256);
    let config = || NmfConfig::new(3).with_tol(0.0).with_max_passes(6);
    let place = folder.path().join("c");
    stop(&sparse, &plan(&sparse, &config(), 2), &place, 2);
    for (store, config, said) in [
        (&sparse, NmfConfig::new(4).with_tol(0.0), "of k = 3, this fit has k = 4"),
        (&sparse, config().with_seed(1), "of seed = 0, this fit has seed = 1"),
        (&sparse, config().with_scale(ScaleSpec::Std), "of scale = none, this fit has scale = std"),
        (&sparse, config().with_init(InitSpec::Random), "of init = sample, this fit has init = random"),
        (&sparse, config().with_solver(SolverSpec::Mu), "of rule = hals, this fit has rule = mu"),
        (&lower, config(), "this fit has data = "),
    ] {
        let error = run(store, &plan(store, &config, 2), &going_on(&place), &Quiet).unwrap_err();
        assert!(matches!(error, DriverError::Checkpoint(CheckpointError::Different { .. })), "{error:?}");
        assert!(error.to_string().contains(said), "{error}");
    }

    let other_cpu = |place: &Path| CheckpointSpec::new(place, "another").with_resume(true);
    run(&sparse, &plan(&sparse, &config(), 2), &other_cpu(&place), &Quiet).unwrap();
    let place = folder.path().join("d");
    stop(&dense, &plan(&dense, &config(), 2), &place, 2);
    let error = run(&dense, &plan(&dense, &config(), 2), &other_cpu(&place), &Quiet).unwrap_err();
    assert!(error.to_string().contains("this fit has CPU = another"), "{error}");
}

#[test]
fn a_fit_stopped_after_a_rejected_pass_goes_on_to_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(700, 40, 3, 4), Layout::Sparse, 256);
    let mut rejected = 0;
    // A rejected pass may change the scale of H, which W takes on when it is read the next time. Few do.
    for seed in 0..40 {
        let config = NmfConfig::new(9).with_seed(seed).with_init(InitSpec::Random).with_tol(0.0).with_max_passes(60);
        let plan = plan(&store, &config, 1);
        let alone = fit(&store, &plan, &Quiet).unwrap();
        for row in alone.trace.iter().filter(|row| !row.accepted && row.pass < alone.passes) {
            let place = folder.path().join(format!("{seed}-{}", row.pass));
            stop(&store, &plan, &place, row.pass);
            let resumed = run(&store, &plan, &going_on(&place), &Quiet).unwrap();
            assert_eq!(resumed.digest, alone.digest, "seed {seed}, stopped after pass {}", row.pass);
            assert_eq!(timeless(&resumed), timeless(&alone));
            rejected += 1;
        }
    }
    assert!(rejected > 40, "{rejected} passes were rejected");
}

#[test]
fn when_to_stop_may_change_and_looks_at_all_passes_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 40, 3, 5), Layout::Sparse, 256);
    let config = || NmfConfig::new(3).with_solver(SolverSpec::Hals).with_init(InitSpec::Random);
    let (first, then) = (config().with_tol(0.0).with_max_passes(4), config().with_tol(1e-3).with_max_passes(40));
    let place = folder.path().join("c");
    let spec = CheckpointSpec::new(&place, CPU).with_every(1);
    let four = run(&store, &plan(&store, &first, 2), &spec, &Quiet).unwrap();
    assert_eq!(four.passes, 4);
    let more = run(&store, &plan(&store, &then, 2), &going_on(&place), &Quiet).unwrap();
    let alone = fit(&store, &plan(&store, &then, 2), &Quiet).unwrap();
    assert!(alone.passes > 4, "the checkpoint is of a fit that is not done");
    assert_eq!((more.digest, more.passes, more.stop), (alone.digest, alone.passes, alone.stop));
}

#[test]
fn checkpoints_that_are_there_are_replaced_only_if_they_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(600, 40, 3, 5), Layout::Sparse, 256);
    let plan = plan(&store, &NmfConfig::new(3).with_tol(0.0).with_max_passes(6), 1);
    let place = folder.path().join("c");
    stop(&store, &plan, &place, 2);
    let before = names(&place);
    for error in [
        CheckpointSpec::new(&place, CPU).check(&Runs::One).unwrap_err(),
        run(&store, &plan, &CheckpointSpec::new(&place, CPU), &Quiet).unwrap_err(),
    ] {
        assert!(matches!(error, DriverError::Checkpoint(CheckpointError::Exists { .. })), "{error:?}");
    }
    assert_eq!(names(&place), before);
    let replace = CheckpointSpec::new(&place, CPU).with_overwrite(Overwrite::Replace);
    replace.check(&Runs::One).unwrap();
    run(&store, &plan, &replace, &Stopper::after(3)).unwrap_err();
    assert_eq!(names(&place), ["manifest.json", "state-000004.bin", "usages-000004-00000.bin"]);

    fs::write(folder.path().join("thesis.tex"), "years").unwrap();
    let error = run(&store, &plan, &CheckpointSpec::new(folder.path(), CPU), &Quiet).unwrap_err();
    assert!(matches!(error, DriverError::Checkpoint(CheckpointError::Foreign { .. })), "{error:?}");
}

#[test]
fn processes_may_be_others_when_a_fit_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for (layout, matrix) in [(Layout::Sparse, counts(2000, 60, 3, 8)), (Layout::Dense, dense(2000, 60, 3, 9))] {
        let store = store(folder.path(), &matrix, layout, 256);
        let plan = plan(&store, &NmfConfig::new(4).with_tol(0.0).with_max_passes(7), 2);
        let alone = fit(&store, &plan, &Quiet).unwrap();
        let place = folder.path().join(format!("{layout:?}"));
        // Eight blocks: with eleven processes some have none. Only one of them is asked to stop.
        for (size, asked) in [(3, 1), (1, 0), (11, 10), (2, 0)] {
            let ended = together(size, |comm| {
                let monitor = if comm.rank() == asked { Stopper::after(1) } else { Stopper::never() };
                let ended = run_among(comm, &store, &plan, &going_on(&place), &monitor);
                assert!(matches!(ended, Err(DriverError::Cancelled)), "{ended:?}");
                monitor.heard()
            });
            assert!(ended.windows(2).all(|pair| pair[0] == pair[1]), "{ended:?}");
        }
        let fits = together(2, |comm| run_among(comm, &store, &plan, &going_on(&place), &Quiet).unwrap());
        for fit in fits {
            assert_eq!((fit.digest, fit.resumed_from_pass), (alone.digest.clone(), 5), "{layout:?}");
        }
    }
}

#[test]
fn a_process_that_cannot_write_says_why_and_the_others_do_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(1500, 40, 3, 8), Layout::Sparse, 256);
    let plan = plan(&store, &NmfConfig::new(3).with_tol(0.0).with_max_passes(5), 1);
    let alone = fit(&store, &plan, &Quiet).unwrap().digest;
    let place = folder.path().join("c");
    let every = || going_on(&place).with_every(1);
    for guilty in [0, 2] {
        // A folder where its file is to be.
        let blocked: PathBuf = place.join(format!("usages-000003-{guilty:05}.bin"));
        fs::create_dir_all(&blocked).unwrap();
        let errors = together(3, |comm| run_among(comm, &store, &plan, &every(), &Quiet).unwrap_err());
        for (rank, error) in errors.into_iter().enumerate() {
            match error {
                DriverError::Storage(error) if rank == guilty => assert!(error.to_string().contains("usages-000003")),
                DriverError::Elsewhere(Elsewhere { rank: who }) if rank != guilty => assert_eq!(who, guilty),
                error => panic!("process {rank}: {error:?}"),
            }
        }
        fs::remove_dir(&blocked).unwrap();
        assert_eq!(
            names(&place),
            [
                "manifest.json",
                "state-000001.bin",
                "state-000002.bin",
                "usages-000002-00000.bin",
                "usages-000002-00001.bin",
                "usages-000002-00002.bin"
            ]
        );
    }
    let fits = together(3, |comm| run_among(comm, &store, &plan, &every(), &Quiet).unwrap());
    assert!(fits.iter().all(|fit| fit.digest == alone && fit.resumed_from_pass == 2));

    // One of them finds its part damaged: all go on from the older one.
    flip(&place.join("usages-000005-00001.bin"));
    let fits = together(3, |comm| {
        let monitor = Stopper::never();
        let fit = run_among(comm, &store, &plan, &going_on(&place), &monitor).unwrap();
        assert!(monitor.heard()[0].starts_with("damaged: "), "{:?}", monitor.heard());
        fit
    });
    assert!(fits.iter().all(|fit| fit.digest == alone && fit.resumed_from_pass == 4));
}
