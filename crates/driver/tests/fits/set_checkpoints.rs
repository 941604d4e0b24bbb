//! A set that was stopped and goes on ends with the fits that each k and seed has alone, bit for bit.

use std::fs;
use std::path::Path;

use partwise_driver::comm::{Comm, Solo};
use partwise_driver::usages::UsagesPlace;
use partwise_driver::{
    CheckpointError, CheckpointSpec, DriverError, Fit, FitId, FitMonitor, FitSet, InitSpec, NmfConfig, Plan, Run, Runs,
    ScaleSpec, SolverSpec, StopReason, fit_wave,
};
use partwise_storage::Quiet;
use partwise_storage::store::{Layout, Store};

use crate::checkpoints::{Stopper, flip, going_on, names};
use crate::planted::{CPU, counts, dense, store};
use crate::sets::{Facts, alone, facts, one_wave, part, plan_set};
use crate::threads_comm::together;

/// The only wave of `plan`; `None` if a fit of it was cancelled.
fn run(
    comm: &dyn Comm,
    store: &Store,
    plan: &Plan,
    spec: &CheckpointSpec,
    monitor: &dyn FitMonitor,
) -> Result<Option<Vec<Fit>>, DriverError> {
    let ids: Vec<FitId> = plan.models.iter().map(|model| model.id()).collect();
    let claim = spec.claim(&Runs::of_fits(&ids, plan.is_set), comm, &Quiet)?;
    let run = Run { comm, checkpoint: Some(&claim), subset: None };
    let fits = match fit_wave(store, plan, 0, &run, monitor) {
        Err(DriverError::Cancelled) => return Ok(None),
        fits => fits?,
    };
    Ok((!fits.iter().any(|fit| fit.stop == StopReason::Cancelled)).then_some(fits))
}

fn stop(store: &Store, plan: &Plan, spec: &CheckpointSpec, passes: usize) {
    let stopped = run(&Solo, store, plan, spec, &Stopper::after(passes * plan.models.len())).unwrap();
    assert!(stopped.is_none(), "the set has ended");
}

#[track_caller]
fn assert_same(fits: &[Fit], alone: &[Facts], case: &str) {
    assert_eq!(fits.iter().map(facts).collect::<Vec<_>>(), alone, "{case}");
}

/// The passes that each fit of a set has behind it when it resumes.
fn resumed(monitor: &Stopper, plan: &Plan) -> Vec<usize> {
    let passes = plan.models.iter().map(|model| {
        let heard = monitor.heard_of(model.id());
        let said = heard.iter().find_map(|said| said.strip_prefix("resumed "));
        said.map_or(0, |said| said.split(',').next().unwrap().parse().unwrap())
    });
    passes.collect()
}

#[test]
fn a_set_stopped_after_every_pass_ends_with_the_fits_that_each_has_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut stops_after_an_end = 0;
    for (layout, matrix) in [(Layout::Sparse, counts(900, 60, 3, 5)), (Layout::Dense, dense(900, 60, 3, 6))] {
        let store = store(folder.path(), &matrix, layout, 256);
        for (name, config) in [
            ("sample", NmfConfig::new(1).with_init(InitSpec::Sample)),
            ("random", NmfConfig::new(1).with_init(InitSpec::Random)),
            ("std", NmfConfig::new(1).with_init(InitSpec::Random).with_scale(ScaleSpec::Std)),
            ("mu", NmfConfig::new(1).with_solver(SolverSpec::Mu)),
        ] {
            // Some fits end long before the others.
            let set = FitSet::new(config.with_tol(3e-3).with_max_passes(14)).with_ks([2, 9, 5]).with_seeds([0, 6]);
            let plan = |threads| {
                let mut plan = plan_set(&store, &set, threads);
                plan.models.iter_mut().for_each(|model| part(model, 9_000, 300));
                plan
            };
            let expected = alone(&store, &plan(2));
            let place = folder.path().join(format!("{name}-{layout:?}"));
            let case = format!("{name} {layout:?}");
            let (mut stops, mut before) = (0, Vec::new());
            let fits = loop {
                let mut plan = plan(1 + stops % 3);
                if stops % 2 == 1 {
                    plan.execution.segment_bytes = 1;
                    plan.execution.usages = UsagesPlace::Disk(folder.path().to_path_buf());
                }
                let monitor = Stopper::after(1);
                let ended = run(&Solo, &store, &plan, &going_on(&place), &monitor).unwrap();
                let passes = resumed(&monitor, &plan);
                stops_after_an_end += usize::from(passes.iter().zip(&before).any(|(now, before)| now == before));
                before = passes;
                match ended {
                    Some(fits) => break fits,
                    None => stops += 1,
                }
            };
            assert_same(&fits, &expected, &case);
            let longest = expected.iter().map(|facts| facts.passes).max().unwrap();
            assert!(stops + 2 >= longest, "{case}: stopped {stops} times in {longest} passes");
            assert_eq!(fits.iter().map(|fit| fit.resumed_from_pass).collect::<Vec<_>>(), before, "{case}");
            assert_eq!(
                names(&place),
                ["k2.seed0", "k2.seed6", "k5.seed0", "k5.seed6", "k9.seed0", "k9.seed6"],
                "each fit has its folder"
            );
        }
    }
    assert!(stops_after_an_end > 10, "{stops_after_an_end} stops after some fits had ended");
}

#[test]
fn a_set_whose_fits_have_all_ended_ends_again_without_a_pass() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 40, 3, 5), Layout::Sparse, 256);
    let set = FitSet::new(NmfConfig::new(1).with_tol(1e-3).with_max_passes(30)).with_ks([2, 6]);
    let plan = plan_set(&store, &set, 2);
    let expected = alone(&store, &plan);
    let spec = going_on(&folder.path().join("c")).with_every(1);
    for again in [false, true] {
        let fits = run(&Solo, &store, &plan, &spec, &Quiet).unwrap().unwrap();
        assert_same(&fits, &expected, "ended");
        let resumed = fits.iter().zip(&expected).all(|(fit, alone)| fit.resumed_from_pass == alone.passes);
        assert_eq!((resumed, fits[0].bytes_read == 0), (again, again));
    }
}

#[test]
fn one_fit_of_a_set_may_resume_from_an_older_checkpoint_than_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 40, 3, 6), Layout::Sparse, 256);
    let set = FitSet::new(NmfConfig::new(1).with_tol(0.0).with_max_passes(7)).with_ks([3, 5, 4]);
    let plan = plan_set(&store, &set, 2);
    let expected = alone(&store, &plan);
    for (damaged, id) in plan.models.iter().map(|model| model.id()).enumerate() {
        for all in [false, true] {
            let place = folder.path().join(format!("{id}-{all}"));
            stop(&store, &plan, &CheckpointSpec::new(&place, CPU).with_every(1), 3);
            // Reading the sample is a pass.
            let fits_folder = place.join(id.to_string());
            flip(&fits_folder.join("state-000004.bin"));
            if all {
                flip(&fits_folder.join("usages-000003-00000.bin"));
            }
            let monitor = Stopper::never();
            let fits = run(&Solo, &store, &plan, &going_on(&place), &monitor).unwrap().unwrap();
            let mut passes = vec![4; 3];
            passes[damaged] = if all { 0 } else { 3 };
            assert_eq!(resumed(&monitor, &plan), passes);
            let heard = monitor.heard_of(id);
            assert!(heard[0].starts_with("damaged: ") && heard[0].contains("state-000004.bin"), "{heard:?}");
            assert!(!all || heard[1].contains("usages-000003-00000.bin") && heard[2] == "nothing", "{heard:?}");
            assert_same(&fits, &expected, &format!("{id} is damaged"));
        }
    }
}

#[test]
fn the_folder_of_a_set_holds_the_folders_of_its_fits_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(600, 40, 3, 5), Layout::Sparse, 256);
    let set = FitSet::new(NmfConfig::new(1).with_tol(0.0).with_max_passes(5)).with_ks([3, 5]);
    let plan = plan_set(&store, &set, 1);
    let ids: Vec<FitId> = plan.models.iter().map(|model| model.id()).collect();
    let refused = |place: &Path| {
        let before = names(place);
        let spec = CheckpointSpec::new(place, CPU);
        for error in
            [spec.check(&Runs::of_fits(&ids, true)).unwrap_err(), run(&Solo, &store, &plan, &spec, &Quiet).unwrap_err()]
        {
            assert!(matches!(error, DriverError::Checkpoint(CheckpointError::Foreign { .. })), "{error:?}");
        }
        assert_eq!(names(place), before, "nothing is written there");
    };
    // Of something else; of a fit alone; and of something else in place of a fit.
    let of_another = folder.path().join("thesis");
    fs::create_dir(&of_another).unwrap();
    fs::write(of_another.join("thesis.tex"), "years").unwrap();
    refused(&of_another);
    let of_one = folder.path().join("one");
    let mut one = plan.clone();
    one.models.truncate(1);
    (one.is_set, one.execution.waves) = (false, one_wave(1));
    stop(&store, &one, &CheckpointSpec::new(&of_one, CPU), 2);
    refused(&of_one);
    let inside = folder.path().join("inside");
    fs::create_dir_all(inside.join("k5.seed0")).unwrap();
    fs::write(inside.join("k5.seed0/notes.txt"), "mine").unwrap();
    refused(&inside);

    // A set's own are replaced only if they may be.
    let place = folder.path().join("c");
    stop(&store, &plan, &CheckpointSpec::new(&place, CPU), 2);
    let spec = CheckpointSpec::new(&place, CPU);
    for error in
        [spec.check(&Runs::of_fits(&ids, true)).unwrap_err(), run(&Solo, &store, &plan, &spec, &Quiet).unwrap_err()]
    {
        assert!(matches!(error, DriverError::Checkpoint(CheckpointError::Exists { .. })), "{error:?}");
    }
    going_on(&place).check(&Runs::of_fits(&ids, true)).unwrap();
    for id in &ids {
        let files = ["manifest.json", "state-000003.bin", "usages-000003-00000.bin"];
        assert_eq!(names(&place.join(id.to_string())), files);
        assert_eq!(Runs::of_fits(&[*id], true).folders(&place), [place.join(id.to_string())]);
    }
}

#[test]
fn processes_may_be_others_when_a_set_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for (layout, matrix) in [(Layout::Sparse, counts(1500, 60, 3, 8)), (Layout::Dense, dense(1500, 60, 3, 9))] {
        let store = store(folder.path(), &matrix, layout, 256);
        let set = FitSet::new(NmfConfig::new(1).with_tol(0.0).with_max_passes(6)).with_ks([4, 7]).with_seeds([1, 0]);
        let plan = plan_set(&store, &set, 2);
        let expected = alone(&store, &plan);
        let place = folder.path().join(format!("{layout:?}"));
        // Only one process is asked to stop.
        for (size, asked) in [(3, 1), (1, 0), (2, 1), (3, 0)] {
            together(size, |comm| {
                let monitor = if comm.rank() == asked { Stopper::after(1) } else { Stopper::never() };
                let ended = run(comm, &store, &plan, &going_on(&place), &monitor).unwrap();
                assert!(ended.is_none(), "{size} processes");
            });
        }
        for size in [1, 2, 3] {
            let fits = together(size, |comm| run(comm, &store, &plan, &going_on(&place), &Quiet).unwrap().unwrap());
            for fits in fits {
                assert_same(&fits, &expected, &format!("{layout:?}, {size} processes"));
                assert!(fits.iter().all(|fit| fit.resumed_from_pass >= 5));
            }
        }
    }
}
