//! If a process is lost at any sum, the others end. The fit then resumes with another number of
//! processes and reaches the same bits.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use partwise_driver::comm::{Comm, CommError};
use partwise_driver::fit::{Run, fit_with};
use partwise_driver::result::{self, Destination};
use partwise_driver::{
    CheckpointEvent, CheckpointSpec, DriverError, FitId, FitMonitor, InitSpec, NmfConfig, Plan, Runs, TraceRow, fit,
};
use partwise_storage::store::{Layout, Overwrite, Store};
use partwise_storage::{Monitor, Quiet};
use tempfile::TempDir;

use crate::planted::{CPU, counts, plan, store};
use crate::threads_comm::{ThreadComm, together};

/// A process that is lost after so many sums and takes part in no further one.
struct Mortal<'c> {
    comm: &'c ThreadComm,
    left: AtomicUsize,
}

impl Comm for Mortal<'_> {
    fn rank(&self) -> usize {
        self.comm.rank()
    }

    fn size(&self) -> usize {
        self.comm.size()
    }

    fn all_reduce_sum(&self, parts: &mut [&mut [i64]]) -> Result<(), CommError> {
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            return Err(CommError { message: "killed".into() });
        }
        self.comm.all_reduce_sum(parts)
    }
}

/// Counts the passes made. A checkpoint that cannot be used ends the test: however a process is
/// lost, the files that the manifest names are whole.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Monitor for Counter {}

impl FitMonitor for Counter {
    fn pass(&self, _: FitId, _: &TraceRow) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn checkpoint(&self, _: FitId, event: &CheckpointEvent<'_>) {
        assert!(!matches!(event, CheckpointEvent::Damaged { .. }), "{event:?}");
    }
}

/// A fit and its result by one process among others, with a checkpoint after every pass: its
/// digest, the pass that it resumed from, and the passes it saw.
fn job(comm: &dyn Comm, store: &Store, plan: &Plan, folder: &Path) -> Result<(String, usize, usize), DriverError> {
    let checkpoint = CheckpointSpec::new(folder.join("saved"), CPU).with_every(1).with_resume(true);
    let seen = Counter::default();
    let claim = checkpoint.claim(&Runs::One, comm, &seen)?;
    let fit = fit_with(store, plan, &Run { comm, checkpoint: Some(&claim), subset: None }, &seen)?;
    let dest = folder.join("r.h5ad");
    result::write_among(&fit, store, Destination::new(&dest).with_overwrite(Overwrite::Replace), comm)?;
    Ok((fit.digest, fit.resumed_from_pass, seen.0.into_inner()))
}

/// A folder whose files are synced in no time, if there is such a place.
fn quick_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn a_process_lost_at_any_sum_costs_a_pass_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(1100, 50, 3, 6), Layout::Sparse, 256);
    let config = NmfConfig::new(3).with_init(InitSpec::Random).with_tol(0.0).with_max_passes(3);
    let plan = plan(&store, &config, 1);
    let digest = fit(&store, &plan, &Quiet).unwrap().digest;
    for sums in 0.. {
        let (size, guilty) = (2 + sums % 2, sums % (2 + sums % 2));
        let folder = quick_folder();
        let lost = together(size, |comm| {
            let left = if comm.rank() == guilty { sums } else { usize::MAX };
            job(&Mortal { comm, left: left.into() }, &store, &plan, folder.path())
        });
        if let Ok((found, ..)) = &lost[guilty] {
            assert_eq!(found, &digest);
            assert!(lost.iter().all(Result::is_ok) && sums > 20, "after {sums} sums: {lost:?}");
            break;
        }
        // Processes that no longer wait for a sum have all that they need.
        for ended in &lost {
            assert!(matches!(ended, Ok(_) | Err(DriverError::Comm(_))), "after {sums} sums: {lost:?}");
        }
        // Another number of processes resumes. Together with the passes before the newest
        // checkpoint, all passes are made.
        let went_on = together(1 + sums % 4, |comm| job(comm, &store, &plan, folder.path()).unwrap());
        for (found, resumed, seen) in went_on {
            assert_eq!((found, resumed + seen), (digest.clone(), 3), "after {sums} sums");
        }
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "after {sums} sums: {names:?}");
    }
}
