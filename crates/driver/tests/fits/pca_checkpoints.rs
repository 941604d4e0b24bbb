//! Principal components that were stopped and go on end as if they had been left alone, bit for bit.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use partwise_driver::comm::{Comm, Elsewhere, Solo};
use partwise_driver::fit::{Run, fit_with};
use partwise_driver::pca::PcaPlan;
use partwise_driver::{
    CheckpointError, CheckpointEvent, CheckpointSpec, DataShape, DriverError, FitId, FitMonitor, Input, Machine,
    Matrix, MethodSpec, NmfConfig, PcaConfig, Runs, ScaleSpec, Subset, TargetSum,
};
use partwise_storage::store::{Layout, Overwrite, Store};
use partwise_storage::{Monitor, Quiet, Unit};

use crate::checkpoints::{flip, going_on, names};
use crate::pca::{Found, configs, find_with, part, plan, subset_of};
use crate::planted::{CPU, counts, dense, store};
use crate::threads_comm::together;

/// Says stop after so many passes, or when it has been asked so often in the next one.
struct Stopper {
    passes: AtomicUsize,
    asked: AtomicUsize,
    in_a_pass: AtomicBool,
    heard: Mutex<Vec<String>>,
}

impl Stopper {
    fn within(passes: usize, asked: usize) -> Self {
        Stopper { passes: passes.into(), asked: asked.into(), in_a_pass: false.into(), heard: Mutex::default() }
    }

    fn after(passes: usize) -> Self {
        Stopper::within(passes, 0)
    }

    fn never() -> Self {
        Stopper::after(usize::MAX)
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn one_less(of: &AtomicUsize) -> usize {
    let less = |left: usize| Some(left.saturating_sub(1));
    of.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).unwrap_or(0)
}

impl Monitor for Stopper {
    fn start(&self, stage: &str, _: u64, _: Unit) {
        self.in_a_pass.store(["logarithms", "axes", "scores"].contains(&stage), Ordering::Relaxed);
    }

    fn finish(&self) {
        if self.in_a_pass.swap(false, Ordering::Relaxed) {
            one_less(&self.passes);
        }
    }

    fn cancelled(&self) -> bool {
        self.passes.load(Ordering::Relaxed) == 0 && one_less(&self.asked) == 0
    }
}

impl FitMonitor for Stopper {
    fn checkpoint(&self, fit: FitId, event: &CheckpointEvent<'_>) {
        assert_eq!(fit.seed, 3);
        self.heard.lock().unwrap().push(match event {
            CheckpointEvent::Resumed { passes, trace: [] } => format!("resumed {passes}"),
            CheckpointEvent::Nothing => "nothing".into(),
            CheckpointEvent::Damaged { reason } => format!("damaged: {reason}"),
            CheckpointEvent::Written { passes, .. } => format!("written {passes}"),
            other => panic!("{other:?}"),
        });
    }
}

/// Resumes, and writes a checkpoint only at the stop, however slow the machine is.
fn at_the_stop(folder: &Path) -> CheckpointSpec {
    going_on(folder).with_every(1000)
}

fn run_among(
    (comm, input, subset): (&dyn Comm, Input<'_>, Option<&Arc<Subset>>),
    plan: &PcaPlan,
    spec: &CheckpointSpec,
    monitor: &dyn FitMonitor,
) -> Result<Found, DriverError> {
    let claim = spec.claim(&Runs::One, comm, &Quiet)?;
    find_with(input, plan, &Run { comm, checkpoint: Some(&claim), subset }, monitor)
}

fn run(store: &Store, plan: &PcaPlan, spec: &CheckpointSpec, monitor: &dyn FitMonitor) -> Result<Found, DriverError> {
    run_among((&Solo, Input::Store(store), None), plan, spec, monitor)
}

/// Components of many genes take a Krylov space.
fn krylov() -> PcaConfig {
    PcaConfig::new(4).with_method(MethodSpec::Krylov).with_log1p(Some(TargetSum::Median)).with_seed(3)
}

fn assert_equal(resumed: &Found, alone: &Found, what: &str) {
    assert!(resumed.rows == alone.rows && resumed.axes == alone.axes, "{what}");
    let (had, want) = (&resumed.about, &alone.about);
    assert_eq!((&had.digest, had.passes, had.method), (&want.digest, want.passes, want.method), "{what}");
    assert_eq!((&had.variance, &had.variance_ratio), (&want.variance, &want.variance_ratio), "{what}");
}

#[test]
fn components_stopped_after_every_pass_end_as_those_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut most = 0;
    // 50 genes are all directions; of 900 there is a Krylov space.
    for (layout, matrix) in [
        (Layout::Sparse, counts(700, 900, 6, 1)),
        (Layout::Sparse, counts(1100, 50, 6, 1)),
        (Layout::Dense, dense(600, 700, 6, 2)),
    ] {
        let folder = folder.path().join(format!("{layout:?}-{}", matrix.genes));
        fs::create_dir(&folder).unwrap();
        let store = store(&folder, &matrix, layout, 256);
        let subset = subset_of(&store, &part(&matrix));
        let in_memory = Matrix::from_dense(matrix.genes, &matrix.values).unwrap();
        for (i, config) in configs(5).enumerate() {
            // Each method meets each kind of data.
            let (kind, subset) = [("store", None), ("part", Some(&subset)), ("memory", None)][i % 3];
            let what = format!("{layout:?}, {} genes, {kind}, {config:?}", matrix.genes);
            let input = if kind == "memory" { Input::Matrix(&in_memory) } else { Input::Store(&store) };
            let plan = |threads| match kind {
                "memory" => {
                    let shape = DataShape::of_data(&in_memory).unwrap();
                    config.plan(&shape, None, &Machine::new(threads, 1 << 30)).unwrap()
                }
                _ => plan(&store, &config, subset.map(|subset| &**subset), threads),
            };
            let alone = find_with(input, &plan(2), &Run { subset, ..Run::default() }, &Quiet).unwrap();
            let spec = going_on(&folder.join(format!("{kind}-{i}")));
            let mut stops = 0;
            let resumed = loop {
                // Other threads each time.
                match run_among((&Solo, input, subset), &plan(1 + stops % 3), &spec, &Stopper::after(1)) {
                    Ok(found) => break found,
                    Err(error) => assert!(matches!(error, DriverError::Cancelled), "{what}: {error}"),
                }
                stops += 1;
            };
            let passes = alone.about.passes - subset.map_or(0, |subset| subset.reads());
            assert_eq!((stops + 1, resumed.about.resumed_from_pass), (passes, passes - 1), "{what}");
            assert_equal(&resumed, &alone, &what);
            most = most.max(passes);
        }
    }
    assert!(most > 4, "{most} passes");
}

#[test]
fn a_pass_that_was_dropped_leaves_no_trace_in_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(1300, 700, 5, 7), Layout::Sparse, 256);
    let plan = plan(&store, &krylov(), None, 1);
    for passes in 1..4 {
        let state = |how: &str| fs::read(folder.path().join(how).join(format!("state-{passes:06}.bin"))).unwrap();
        let spec = |how: &str| CheckpointSpec::new(folder.path().join(how), CPU);
        let between = format!("between-{passes}");
        run(&store, &plan, &spec(&between).with_every(1), &Stopper::after(passes)).unwrap_err();
        // Six blocks, and a question before and after each: this one comes when some have been folded.
        for asked in [3, 6, 11] {
            let within = format!("within-{passes}-{asked}");
            let monitor = Stopper::within(passes, asked);
            run(&store, &plan, &spec(&within).with_every(1000), &monitor).unwrap_err();
            assert_eq!(monitor.heard(), [format!("written {passes}")]);
            assert!(state(&between) == state(&within), "dropped after {passes} passes and {asked} questions");
        }
    }
}

#[test]
fn two_are_kept_and_damage_is_reported_while_an_older_one_serves() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 700, 5, 6), Layout::Sparse, 256);
    let plan = plan(&store, &krylov(), None, 2);
    let alone = find_with(Input::Store(&store), &plan, &Run::default(), &Quiet).unwrap();
    let newest = "state-000003.bin";
    for damage in 0..3 {
        let place = folder.path().join(damage.to_string());
        let monitor = Stopper::after(3);
        run(&store, &plan, &going_on(&place).with_every(1), &monitor).unwrap_err();
        assert_eq!(monitor.heard(), ["nothing", "written 1", "written 2", "written 3"]);
        assert_eq!(names(&place), ["manifest.json", "state-000002.bin", newest]);
        match damage {
            0 => flip(&place.join(newest)),
            1 => fs::remove_file(place.join(newest)).unwrap(),
            _ => fs::write(place.join(newest), "short").unwrap(),
        }
        let monitor = Stopper::after(1);
        run(&store, &plan, &at_the_stop(&place), &monitor).unwrap_err();
        let heard = monitor.heard();
        assert!(heard[0].starts_with("damaged: ") && heard[0].contains(newest), "{heard:?}");
        assert_eq!(heard[1..], ["resumed 2", "written 3"]);

        // Now both are.
        for passes in [2, 3] {
            flip(&place.join(format!("state-{passes:06}.bin")));
        }
        let monitor = Stopper::never();
        let found = run(&store, &plan, &at_the_stop(&place), &monitor).unwrap();
        assert_eq!((found.about.resumed_from_pass, &monitor.heard()[2][..]), (0, "nothing"));
        assert_equal(&found, &alone, "from the beginning");
    }
    // Components that are found leave their axes, and go on from there.
    let place = folder.path().join("ended");
    run(&store, &plan, &going_on(&place).with_every(1), &Stopper::never()).unwrap();
    let monitor = Stopper::never();
    let again = run(&store, &plan, &going_on(&place).with_every(1), &monitor).unwrap();
    assert_eq!(monitor.heard(), [format!("resumed {}", alone.about.passes - 1)]);
    assert_equal(&again, &alone, "from the axes");
}

#[test]
fn a_checkpoint_of_another_run_is_refused_and_what_differs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let matrix = counts(900, 700, 5, 5);
    let sparse = store(folder.path(), &matrix, Layout::Sparse, 256);
    let lower = store(folder.path(), &matrix, Layout::Sparse, 512);
    let subset = subset_of(&sparse, &part(&matrix));
    let place = folder.path().join("c");
    run(&sparse, &plan(&sparse, &krylov(), None, 2), &going_on(&place), &Stopper::after(2)).unwrap_err();
    let before = names(&place);
    let other = |store: &Store, config: PcaConfig, subset: Option<&Arc<Subset>>| {
        let plan = plan(store, &config, subset.map(|subset| &**subset), 2);
        run_among((&Solo, Input::Store(store), subset), &plan, &going_on(&place), &Quiet).unwrap_err()
    };
    let mut more = krylov();
    more.components = 5;
    for (error, said) in [
        (other(&sparse, more, None), "of components = 4, this run has components = 5"),
        (other(&sparse, krylov().with_seed(1), None), "of seed = 3, this run has seed = 1"),
        (other(&sparse, krylov().with_scale(ScaleSpec::Std), None), "of scale = none, this run has scale = std"),
        (other(&sparse, krylov().with_log1p(None), None), "of log1p = true, this run has log1p = false"),
        (
            other(&sparse, krylov().with_log1p(Some(TargetSum::Sum(1e4))), None),
            "of target_sum = unknown, this run has target_sum = 10000",
        ),
        (other(&sparse, krylov().with_method(MethodSpec::Gram), None), "of gram = false, this run has gram = true"),
        (other(&lower, krylov(), None), "this run has data = "),
        (other(&sparse, krylov(), Some(&subset)), "this run has data = "),
    ] {
        assert!(matches!(error, DriverError::Checkpoint(CheckpointError::Different { .. })), "{error:?}");
        assert!(error.to_string().contains(said), "{error}");
    }
    // Neither goes on from the other's.
    let fit = crate::planted::plan(&sparse, &NmfConfig::new(4).with_seed(3), 2);
    let fit_in = |place: &Path, overwrite| {
        let spec = going_on(place).with_every(1).with_overwrite(overwrite);
        let claim = spec.claim(&Runs::One, &Solo, &Quiet).unwrap();
        fit_with(&sparse, &fit, &Run { checkpoint: Some(&claim), ..Run::default() }, &Quiet)
    };
    let error = fit_in(&place, Overwrite::Refuse).unwrap_err().to_string();
    assert!(
        error.contains("the checkpoint is of principal components, and this run computes a factorization"),
        "{error}"
    );
    assert_eq!(names(&place), before);
    let place = folder.path().join("fit");
    fit_in(&place, Overwrite::Refuse).unwrap();
    let error = run(&sparse, &plan(&sparse, &krylov(), None, 2), &going_on(&place), &Quiet).unwrap_err().to_string();
    assert!(error.contains("the checkpoint is of a factorization, and this run computes principal"), "{error}");
}

#[test]
fn processes_may_be_others_when_components_go_on() {
    let folder = tempfile::tempdir().unwrap();
    for (layout, matrix) in [(Layout::Sparse, counts(2000, 700, 5, 8)), (Layout::Dense, dense(1500, 600, 5, 9))] {
        let store = store(folder.path(), &matrix, layout, 256);
        let plan = plan(&store, &krylov(), None, 2);
        let alone = find_with(Input::Store(&store), &plan, &Run::default(), &Quiet).unwrap();
        let place = folder.path().join(format!("c-{layout:?}"));
        let among = |comm: &dyn Comm, monitor: &dyn FitMonitor| {
            run_among((comm, Input::Store(&store), None), &plan, &at_the_stop(&place), monitor)
        };
        // With eleven processes some have no block. Only one of them is asked to stop.
        for (stops, (size, asked)) in [(3, 1), (1, 0), (11, 10), (2, 0)].into_iter().enumerate() {
            let ended = together(size, |comm| {
                let monitor = if comm.rank() == asked { Stopper::after(1) } else { Stopper::never() };
                let ended = among(comm, &monitor);
                assert!(matches!(ended, Err(DriverError::Cancelled)), "{:?}", ended.map(|found| found.about));
                monitor.heard()
            });
            let begun = if stops == 0 { "nothing".into() } else { format!("resumed {stops}") };
            assert!(ended.iter().all(|heard| *heard == [begun.clone(), format!("written {}", stops + 1)]), "{ended:?}");
        }
        let found = together(2, |comm| among(comm, &Quiet).unwrap());
        assert!(found.iter().all(|part| part.axes == alone.axes && part.about.resumed_from_pass == 4), "{layout:?}");
        let rows: Vec<_> = found.iter().flat_map(|part| part.rows.clone()).collect();
        assert!(rows == alone.rows && found[1].about.digest == alone.about.digest, "{layout:?}");
    }
}

#[test]
fn a_process_that_cannot_write_says_why_and_the_others_do_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 700, 5, 8), Layout::Sparse, 256);
    let plan = plan(&store, &krylov(), None, 1);
    let place = folder.path().join("c");
    // A folder where the file is to be.
    fs::create_dir_all(place.join("state-000002.bin")).unwrap();
    let every = || going_on(&place).with_every(1);
    let errors = together(3, |comm| {
        run_among((comm, Input::Store(&store), None), &plan, &every(), &Quiet).map(|found| found.about).unwrap_err()
    });
    for (rank, error) in errors.into_iter().enumerate() {
        match error {
            DriverError::Storage(error) if rank == 0 => assert!(error.to_string().contains("state-000002"), "{error}"),
            DriverError::Elsewhere(Elsewhere { rank: 0 }) if rank > 0 => (),
            error => panic!("process {rank}: {error:?}"),
        }
    }
    fs::remove_dir(place.join("state-000002.bin")).unwrap();
    let found = run(&store, &plan, &every(), &Quiet).unwrap();
    assert_eq!(found.about.resumed_from_pass, 1);
}
