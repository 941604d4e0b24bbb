//! Replicates that were stopped between two passes end as if they had not been.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use partwise_driver::blocks::StoreBlocks;
use partwise_driver::comm::{Comm, Solo};
use partwise_driver::engine::Engine;
use partwise_driver::sweep::{Cohort, Progress, Replicate, Run, SweepPlan, Watch, run_wave};
use partwise_driver::{CheckpointSpec, DataShape, DriverError, Runs, SweepConfig};
use partwise_storage::store::{Layout, Store};
use partwise_storage::{Monitor, Quiet, Unit};

use crate::checkpoints::{flip, going_on, names};
use crate::planted::{counts, dense, store};
use crate::sweeps::{config, machine, sweep};
use crate::threads_comm::together;

/// Stops a run after some passes, and remembers what it was told.
#[derive(Default)]
struct Stop {
    after: usize,
    begun: AtomicUsize,
    told: Mutex<Vec<String>>,
}

impl Stop {
    fn after(passes: usize) -> Self {
        Stop { after: passes, ..Stop::default() }
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Monitor for Stop {
    fn start(&self, stage: &str, _: u64, _: Unit) {
        if stage == "pass" {
            self.begun.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn cancelled(&self) -> bool {
        self.begun.load(Ordering::Relaxed) > self.after
    }
}

impl Watch for Stop {
    fn stage(&self, _: Progress) -> String {
        "pass".into()
    }

    fn resumed(&self, replicates: usize, passes: usize) {
        self.told.lock().unwrap().push(format!("{replicates} replicates after {passes} passes"));
    }

    fn damaged(&self, reason: &str) {
        self.told.lock().unwrap().push(reason.into());
    }
}

/// One wave of these cohorts; `None` if it was stopped.
fn wave(
    comm: &dyn Comm,
    store: &Store,
    config: &SweepConfig,
    cohorts: &[Cohort],
    (spec, stop): (&CheckpointSpec, &Stop),
) -> Option<Vec<Vec<Replicate>>> {
    let runs = Runs::Several(cohorts.iter().map(Cohort::name).collect());
    let claim = spec.claim(&runs, comm, &Quiet).unwrap();
    let plan = SweepPlan::new(cohorts, config.start, &DataShape::of_store(store).unwrap(), &machine(2)).unwrap();
    let engine = Engine::new(plan.segment_bytes as usize, stop).among(comm);
    let run = Run { engine: &engine, plan: &plan, checkpoint: Some(&claim), watch: stop };
    match run_wave(&StoreBlocks::new(store), cohorts, config, &run) {
        Err(DriverError::Cancelled) => None,
        ended => Some(ended.unwrap()),
    }
}

const EVER: usize = usize::MAX;

#[test]
fn stopped_after_every_pass_and_in_other_waves_they_end_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let layouts = [(Layout::Sparse, counts(1500, 50, 3, 1)), (Layout::Dense, dense(600, 40, 3, 2))];
    for (layout, matrix) in layouts {
        let store = store(folder.path(), &matrix, layout, 256);
        let config = config(&[3, 5], 6);
        let cohorts: Vec<Cohort> = config.cohorts().collect();
        let expected = sweep(&store, &config, &machine(2), &Solo);
        assert!(expected.iter().flatten().any(|replicate| replicate.met.is_some()), "some meet");
        let spec = going_on(&folder.path().join(format!("{layout:?}")));
        // A pass at a time, beyond the passes after which replicates meet.
        for made in 0..13 {
            let stop = Stop::after(1);
            assert!(wave(&Solo, &store, &config, &cohorts, (&spec, &stop)).is_none(), "after {made} passes");
            let told = if made > 0 { vec![format!("12 replicates after {made} passes")] } else { Vec::new() };
            assert_eq!(stop.told(), told);
        }
        // The second cohort goes on alone for some passes, among several processes.
        let stopped = together(3, |comm| wave(comm, &store, &config, &cohorts[1..], (&spec, &Stop::after(3))));
        assert!(stopped.iter().all(Option::is_none));
        let (last, stop) = (cohorts.len() - 1, Stop::after(EVER));
        assert_eq!(wave(&Solo, &store, &config, &cohorts[..last], (&spec, &stop)).unwrap(), expected[..last]);
        // Where replicates are after different numbers of passes, they still meet after the same.
        let stop = Stop::after(EVER);
        assert_eq!(wave(&Solo, &store, &config, &cohorts, (&spec, &stop)).unwrap(), expected);
        assert_eq!(stop.told(), ["12 replicates after 16 passes"]);
    }
}

#[test]
fn a_damaged_checkpoint_is_told_and_the_one_before_it_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 40, 3, 3), Layout::Sparse, 256);
    let config = config(&[4], 3);
    let cohorts: Vec<Cohort> = config.cohorts().collect();
    let expected = sweep(&store, &config, &machine(2), &Solo);
    let place = folder.path().join("kept");
    let spec = going_on(&place).with_every(1);
    let stopped = || assert!(wave(&Solo, &store, &config, &cohorts, (&spec, &Stop::after(3))).is_none());
    stopped();
    let inside = place.join("k4.from0");
    assert_eq!(names(&inside), ["manifest.json", "state-000002.bin", "state-000003.bin"]);
    let cases: [(&[&str], &str); 2] =
        [(&["state-000003.bin"], "3 replicates after 2 passes"), (&["state-000002.bin", "state-000003.bin"], "")];
    for (damaged, resumed) in cases {
        damaged.iter().for_each(|name| flip(&inside.join(name)));
        let stop = Stop::after(EVER);
        assert_eq!(wave(&Solo, &store, &config, &cohorts, (&spec, &stop)).unwrap(), expected);
        let told = stop.told();
        assert_eq!(told.iter().filter(|told| told.contains("state-0000")).count(), damaged.len(), "{told:?}");
        assert_eq!(told.last().map_or("", |told| told), if resumed.is_empty() { &told[1] } else { resumed });
        fs::remove_dir_all(&place).unwrap();
        stopped();
    }
}

#[test]
fn checkpoints_of_other_settings_or_replicates_are_as_good_as_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 40, 3, 3), Layout::Sparse, 256);
    let had = config(&[4], 3);
    let stop = |spec: &CheckpointSpec| {
        let cohorts: Vec<Cohort> = had.cohorts().collect();
        assert!(wave(&Solo, &store, &had, &cohorts, (spec, &Stop::after(3))).is_none());
    };
    let more = config(&[4], 5);
    let mut other = had.clone();
    other.seed += 1;
    for (place, wanted) in [("a", more), ("b", other)] {
        let spec = going_on(&folder.path().join(place));
        stop(&spec);
        let (cohorts, ever) = (wanted.cohorts().collect::<Vec<_>>(), Stop::after(EVER));
        let found = wave(&Solo, &store, &wanted, &cohorts, (&spec, &ever)).unwrap();
        assert_eq!(found, sweep(&store, &wanted, &machine(2), &Solo));
        assert_eq!(ever.told(), Vec::<String>::new());
    }
}

#[test]
fn nothing_is_left_of_replicates_that_are_done_or_never_made_a_pass() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(900, 40, 3, 3), Layout::Sparse, 256);
    let config = config(&[3, 4], 3);
    let cohorts: Vec<Cohort> = config.cohorts().collect();
    let place = folder.path().join("kept");
    let spec = going_on(&place);
    assert!(wave(&Solo, &store, &config, &cohorts, (&spec, &Stop::after(0))).is_none());
    assert!(!place.exists());
    assert!(wave(&Solo, &store, &config, &cohorts, (&spec, &Stop::after(2))).is_none());
    let runs = |cohorts: &[Cohort]| Runs::Several(cohorts.iter().map(Cohort::name).collect());
    let claim = spec.claim(&runs(&cohorts), &Solo, &Quiet).unwrap();
    claim.remove(&runs(&cohorts[..1])).unwrap();
    assert!(!place.join("k3.from0").exists() && place.join("k4.from0").exists());
    claim.clear_all().unwrap();
    claim.end();
    assert!(!Path::new(&place).exists());
}
