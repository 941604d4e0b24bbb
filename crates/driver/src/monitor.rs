//! The reports of a fit: progress as of any long work, and its passes and checkpoints.

use partwise_storage::Monitor;

use crate::trace::TraceRow;

/// Which fit of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FitId {
    /// Components k.
    pub k: usize,
    /// Seed.
    pub seed: u64,
}

impl std::fmt::Display for FitId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "k{}.seed{}", self.k, self.seed)
    }
}

/// Watches a fit: progress and interruption as for any long work, and each pass as it ends.
pub trait FitMonitor: Monitor {
    /// A full pass of `fit` has ended. Fits that share a pass report one after the other.
    fn pass(&self, fit: FitId, row: &TraceRow) {
        let _ = (fit, row);
    }

    /// Something has happened with a checkpoint of `fit`.
    fn checkpoint(&self, fit: FitId, event: &CheckpointEvent<'_>) {
        let _ = (fit, event);
    }

    /// The fits do not all fit into the memory together: those of wave `wave` (from 1) of `waves`
    /// begin.
    fn wave(&self, wave: usize, waves: usize) {
        let _ = (wave, waves);
    }

    /// A run on another machine may hold the checkpoint folder. This one waits to see whether it does.
    fn waiting(&self, host: &str, pid: u32) {
        let _ = (host, pid);
    }
}

impl FitMonitor for partwise_storage::Quiet {}

/// An event of a checkpoint while a fit runs.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum CheckpointEvent<'e> {
    /// The fit resumes from a checkpoint.
    Resumed {
        /// Reads of all of X completed before the checkpoint.
        passes: usize,
        /// The fit's full passes so far.
        trace: &'e [TraceRow],
    },
    /// The folder has no whole checkpoint: the fit starts at the beginning.
    Nothing,
    /// A checkpoint cannot be used. The fit tries the one before it, if there is one.
    Damaged {
        /// The damage, and the file that has it.
        reason: &'e str,
    },
    /// The fit has written a checkpoint, and it is whole.
    Written {
        /// Reads of all of X completed before it.
        passes: usize,
        /// Bytes that this process has written.
        bytes: u64,
        /// How long it took, seconds.
        seconds: f64,
    },
}

/// A monitor that shows nothing and passes on interruption: for work inside a stage that is already
/// shown.
pub struct Hushed<'m>(pub &'m dyn Monitor);

impl Monitor for Hushed<'_> {
    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

impl std::fmt::Debug for Hushed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hushed")
    }
}
