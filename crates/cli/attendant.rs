//! The program around a job that has no passes to tell of: shows progress, and stands between the processes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use partwise::driver::CheckpointEvent;
use partwise::driver::comm::Comm;
use partwise::job::{Host, Note};
use partwise::storage::{Monitor, Store, Unit, Warning};
use partwise::{FitId, FitMonitor};

use crate::failure::Failure;
use crate::keep::{Known, tell_waiting};
use crate::launch::World;
use crate::progress::Progress;
use crate::{mapping, notes};

/// The host of such a job.
pub(crate) struct Attendant<'a> {
    progress: &'a Progress,
    world: &'a World,
    kept: Known,
    has_store: AtomicBool,
}

impl<'a> Attendant<'a> {
    pub(crate) fn new(progress: &'a Progress, world: &'a World) -> Self {
        Attendant { progress, world, kept: Known::default(), has_store: AtomicBool::new(false) }
    }

    /// Whether the store is there, so that passes over it may have begun.
    pub(crate) fn has_store(&self) -> bool {
        self.has_store.load(Ordering::Relaxed)
    }

    /// The checkpoints of the job, and the reads of the data before each.
    pub(crate) fn kept(&self) -> BTreeMap<FitId, usize> {
        self.kept.passes()
    }
}

impl Host for Attendant<'_> {
    type Error = Failure;

    fn comm(&self) -> &dyn Comm {
        self.world.comm()
    }

    fn agree<T>(&self, mine: Result<T, Failure>) -> Result<T, Failure> {
        self.world.agree(mine)
    }

    fn note(&self, note: &Note<'_>) {
        notes::told(note).into_iter().for_each(|told| self.progress.note(&told));
    }

    fn check_data(&self, store: &Store) -> Result<(), Failure> {
        self.has_store.store(true, Ordering::Relaxed);
        self.world.check_store(store)
    }

    fn may_map(&self) -> bool {
        true
    }

    fn map(&self, store: &mut Store) -> Result<(), Failure> {
        mapping::map(store)
    }
}

impl FitMonitor for Attendant<'_> {
    fn checkpoint(&self, fit: FitId, event: &CheckpointEvent<'_>) {
        self.kept.hear((fit, ""), event, self.progress);
    }

    fn waiting(&self, host: &str, pid: u32) {
        tell_waiting(host, pid, self.progress);
    }
}

impl Monitor for Attendant<'_> {
    fn start(&self, stage: &str, total: u64, unit: Unit) {
        self.progress.start(stage, total, unit);
    }

    fn advance(&self, done: u64) {
        self.progress.advance(done);
    }

    fn finish(&self) {
        self.progress.finish();
    }

    fn freed(&self) {
        self.progress.freed();
    }

    fn warn(&self, warning: &Warning) {
        self.progress.warn(warning);
    }

    fn cancelled(&self) -> bool {
        self.progress.cancelled()
    }
}
