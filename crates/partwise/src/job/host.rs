//! The surroundings of a job: the program, or a library user, that runs it.

use std::path::Path;

use partwise_driver::comm::{Comm, Solo, agree};
use partwise_driver::{CheckpointEvent, FitId, FitMonitor, Plan, TraceRow};
use partwise_storage::anndata::Merged;
use partwise_storage::{Axis, Monitor, Store, Unit, Warning};

use super::{JobError, Matched};

/// Something about a job that a user may want to know, although the work goes on.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Note<'n> {
    /// A store that was made from the input earlier is used again.
    StoreUsedAgain {
        /// The store.
        path: &'n Path,
    },
    /// The input has changed since the store was made, so it is converted again.
    StoreOutdated {
        /// The store.
        path: &'n Path,
    },
    /// Fewer threads than could be useful fit into the memory.
    FewerThreads {
        /// Threads that run.
        threads: usize,
        /// Threads that could be useful.
        useful: usize,
    },
    /// Fits do not all fit into the memory together, so they run in waves.
    Waves {
        /// How many fits.
        fits: usize,
        /// How many waves.
        waves: usize,
    },
    /// A list of genes or cells to keep has names that the data do not have.
    NotInData {
        /// The list.
        list: &'n Path,
        /// Whether they are genes or cells.
        axis: Axis,
        /// How many names the data do not have.
        missing: usize,
        /// How many names the list has.
        of: usize,
        /// Some of those.
        examples: &'n [String],
    },
    /// Genes are selected by values as they are, because these are no counts.
    SelectedByValues,
    /// A part of the genes and cells is fitted.
    Kept {
        /// Genes fitted, and genes of the input.
        genes: (usize, usize),
        /// Cells fitted, and cells of the input.
        cells: (usize, usize),
    },
    /// Cells have no usage of any program.
    UnusedCells {
        /// How many.
        unused: usize,
        /// Cells of the data.
        of: usize,
    },
    /// The genes of new cells were matched with those of a result.
    Matched {
        /// How many.
        matched: Matched,
    },
    /// The result of a fit is written.
    Written {
        /// The result.
        path: &'n Path,
    },
    /// The result is in a copy of another file.
    Merged {
        /// The file that was copied.
        into: &'n Path,
        /// What was matched.
        merged: Merged,
    },
    /// Replicates of a sweep go on from checkpoints.
    ReplicatesResumed {
        /// How many.
        replicates: usize,
        /// The passes that those which are furthest have behind them.
        passes: usize,
    },
    /// A checkpoint of replicates cannot be used.
    CheckpointDamaged {
        /// The damage, and the file that has it.
        reason: &'n str,
    },
    /// A result is there already, of the same data and settings: it is kept.
    KeptResult {
        /// The result.
        path: &'n Path,
    },
}

/// The surroundings of a job. It watches fits as a [`FitMonitor`], and stands between the processes
/// that work together.
pub trait Host: FitMonitor {
    /// The errors of this host: a job's, and its own.
    type Error: From<JobError>;

    /// The processes that work on the job.
    fn comm(&self) -> &dyn Comm;

    /// The outcome of this process, once every process has one; an error in all of them if one failed.
    ///
    /// # Errors
    ///
    /// The error of this process, or one that says that another failed.
    fn agree<T>(&self, mine: Result<T, Self::Error>) -> Result<T, Self::Error>;

    /// Shows a note.
    fn note(&self, note: &Note<'_>) {
        let _ = note;
    }

    /// Refuses data that the processes do not share.
    ///
    /// # Errors
    ///
    /// When the data differ.
    fn check_data(&self, store: &Store) -> Result<(), Self::Error> {
        let _ = store;
        Ok(())
    }

    /// Whether stores may be mapped into memory: only a host that vouches for their files can
    /// [do that](Self::map).
    fn may_map(&self) -> bool {
        false
    }

    /// Maps the store into memory.
    ///
    /// # Errors
    ///
    /// When that fails.
    fn map(&self, store: &mut Store) -> Result<(), Self::Error> {
        let _ = store;
        Ok(())
    }

    /// All checks have passed in all processes, and the fits of `plan` begin.
    ///
    /// # Errors
    ///
    /// When the host cannot go on.
    fn begin(&self, plan: &Plan) -> Result<(), Self::Error> {
        let _ = plan;
        Ok(())
    }
}

/// A job in one process, under any monitor.
#[derive(Clone, Copy)]
pub struct Alone<'m>(pub &'m dyn FitMonitor);

impl std::fmt::Debug for Alone<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Alone")
    }
}

impl Host for Alone<'_> {
    type Error = JobError;

    fn comm(&self) -> &dyn Comm {
        &Solo
    }

    fn agree<T>(&self, mine: Result<T, JobError>) -> Result<T, JobError> {
        agree(&Solo, mine)
    }
}

impl FitMonitor for Alone<'_> {
    fn pass(&self, fit: FitId, row: &TraceRow) {
        self.0.pass(fit, row);
    }

    fn checkpoint(&self, fit: FitId, event: &CheckpointEvent<'_>) {
        self.0.checkpoint(fit, event);
    }

    fn wave(&self, wave: usize, waves: usize) {
        self.0.wave(wave, waves);
    }

    fn waiting(&self, host: &str, pid: u32) {
        self.0.waiting(host, pid);
    }
}

impl Monitor for Alone<'_> {
    fn start(&self, stage: &str, total: u64, unit: Unit) {
        self.0.start(stage, total, unit);
    }

    fn advance(&self, done: u64) {
        self.0.advance(done);
    }

    fn finish(&self) {
        self.0.finish();
    }

    fn freed(&self) {
        self.0.freed();
    }

    fn warn(&self, warning: &Warning) {
        self.0.warn(warning);
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}
