//! Checkpoints: everything that a fit needs to go on, bit for bit, as if it had not been stopped.
//!
//! A checkpoint is the state at the end of a pass. What the next pass does follows from it alone
//! (where the factorization stands, and W), and a pass that is dropped changes nothing of it; so it makes no difference
//! whether a fit was stopped between two passes or in the middle of one.
//!
//! A folder keeps two of them. A checkpoint is one file of W from each process, with the rows of its own blocks, and one file of
//! all the rest. The manifest, which says what belongs together, is written last and put in place by a rename: at any moment
//! the checkpoints that it names are whole. A fit may go on with any number of processes: each reads the rows of its own blocks
//! from whatever files hold them. Nothing is held in memory but the block in hand.
//!
//! With several processes all of them call the same functions in the same order; process 0 looks after the folder.

mod clock;
mod error;
mod file;
mod folder;
mod identity;
mod manifest;
mod resume;
mod rows;
mod state;
mod write;

use std::ops::Range;
use std::path::{Path, PathBuf};

use partwise_storage::store::Overwrite;

use crate::comm::{Comm, agree};
use crate::error::DriverError;
use crate::fit::FitMonitor;
use crate::solve::{Factorization, Standing};
use crate::trace::TraceRow;
use crate::usages::Usages;
use clock::Clock;
use folder::Contents;
use manifest::Entry;

pub use error::CheckpointError;
pub(crate) use identity::Identity;
pub(crate) use resume::Expected;

/// Where checkpoints go, how often, and what becomes of those that are there.
#[derive(Debug, Clone)]
pub struct CheckpointSpec {
    /// The folder; made if the one that it lies in exists. With several processes, on a disk that all of them share.
    pub folder: PathBuf,
    /// A checkpoint after every so many reads of the data. `None`: whenever the work since the last one is worth fifty times what
    /// writing one costs, so that less than two parts in a hundred of the time go into them.
    pub every: Option<usize>,
    /// Whether to go on from the newest whole checkpoint in the folder; where there is none, from the beginning.
    pub resume: bool,
    /// Whether checkpoints that are there may be replaced by those of a fit that does not go on from them.
    pub overwrite: Overwrite,
    /// The kind of CPU: all that dense products depend on. A fit of dense data does not go on with another.
    pub cpu: String,
}

impl CheckpointSpec {
    /// Checkpoints in `folder` as often as they cost next to nothing; none may be there yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        CheckpointSpec {
            folder: folder.into(),
            every: None,
            resume: false,
            overwrite: Overwrite::Refuse,
            cpu: String::new(),
        }
    }

    /// Says what would be refused when the fit starts, as far as the folder tells. Changes nothing.
    ///
    /// # Errors
    ///
    /// - [`DriverError::Checkpoint`]: the folder is not for checkpoints, those in it are of another version, or they are there and
    ///   neither to be resumed nor to be replaced.
    /// - [`DriverError::Storage`]: the folder cannot be read.
    pub fn check(&self) -> Result<(), DriverError> {
        self.look().map(drop)
    }

    /// What is in the folder, unless it stands in the way.
    fn look(&self) -> Result<Contents, DriverError> {
        let contents = folder::look(&self.folder)?;
        match &contents {
            Contents::Checkpoints(_) | Contents::Damaged(_) if !self.resume && self.overwrite == Overwrite::Refuse => {
                Err(CheckpointError::Exists { folder: self.folder.clone() }.into())
            }
            _ => Ok(contents),
        }
    }
}

/// What happens with checkpoints while a fit runs.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum CheckpointEvent<'e> {
    /// The fit goes on from a checkpoint.
    Resumed {
        /// Reads of all of X that it has behind it.
        passes: usize,
        /// Its full passes.
        trace: &'e [TraceRow],
    },
    /// There is nothing whole to go on from: the fit starts at the beginning.
    Nothing,
    /// A checkpoint cannot be used. One before it is tried, if there is one.
    Damaged {
        /// What is wrong, and with which file.
        reason: &'e str,
    },
    /// A checkpoint has been written and is whole.
    Written {
        /// Reads of all of X that it has behind it.
        passes: usize,
        /// Bytes that this process has written.
        bytes: u64,
        /// How long it took, seconds.
        seconds: f64,
    },
}

/// A fit between two passes, to go on with.
#[derive(Debug)]
pub(crate) struct Course {
    /// Reads of all of X so far, that of the sample included.
    pub(crate) passes: usize,
    pub(crate) sample_passes: f64,
    pub(crate) trace: Vec<TraceRow>,
    pub(crate) standing: Standing,
    /// With the rows of this process.
    pub(crate) usages: Usages,
}

/// A fit between two passes, to be written down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment<'m> {
    /// Reads of all of X so far, that of the sample included.
    pub(crate) passes: usize,
    pub(crate) sample_passes: f64,
    pub(crate) trace: &'m [TraceRow],
    pub(crate) standing: &'m Standing,
    pub(crate) usages: &'m Usages,
}

impl<'m> Moment<'m> {
    /// `fit`, which had `before` reads of all of X behind it when its passes, `trace`, began.
    pub(crate) fn of(fit: &'m Factorization<'_>, before: usize, sample_passes: f64, trace: &'m [TraceRow]) -> Self {
        let (standing, usages) = (fit.standing(), fit.usages());
        Moment { passes: before + trace.len(), sample_passes, trace, standing, usages }
    }
}

/// The checkpoints of a fit that runs.
pub(crate) struct Checkpoints<'r> {
    spec: &'r CheckpointSpec,
    comm: &'r dyn Comm,
    monitor: &'r dyn FitMonitor,
    identity: Identity,
    /// The row blocks of this process.
    own: Range<usize>,
    /// Reads of all of X behind the newest one; 0 where there is none.
    saved: usize,
    /// Those that are whole, the newest first, in process 0.
    entries: Vec<Entry>,
    clock: Clock,
}

impl std::fmt::Debug for Checkpoints<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoints").field("spec", self.spec).field("saved", &self.saved).finish_non_exhaustive()
    }
}

impl<'r> Checkpoints<'r> {
    /// Gets the folder ready for a fit that is `identity`, of which this process has the blocks `own`. Checkpoints that are not to
    /// be resumed and may be replaced are removed.
    pub(crate) fn open(
        spec: &'r CheckpointSpec,
        comm: &'r dyn Comm,
        monitor: &'r dyn FitMonitor,
        identity: Identity,
        own: Range<usize>,
    ) -> Result<Self, DriverError> {
        let ready = || match spec.look()? {
            Contents::Nothing => Ok(folder::make(&spec.folder)?),
            _ if spec.resume => Ok(()),
            _ => folder::clear(&spec.folder),
        };
        agree(comm, if comm.rank() == 0 { ready() } else { Ok(()) })?;
        // Who has looked for the folder before it was made may, on a network file system, go on finding nothing for half a minute;
        // to make it again asks the server.
        agree(comm, folder::make(&spec.folder).map_err(DriverError::from))?;
        Ok(Checkpoints { spec, comm, monitor, identity, own, saved: 0, entries: Vec::new(), clock: Clock::start() })
    }

    /// The end of a pass, or of the start: writes a checkpoint if one is due.
    pub(crate) fn consider(&mut self, moment: &Moment<'_>) -> Result<(), DriverError> {
        if self.is_new(moment) && self.due(moment)? { self.write(moment) } else { Ok(()) }
    }

    /// The fit ends here without a result: leaves its last state, unless that is there already or there is none yet.
    pub(crate) fn leave(&mut self, moment: &Moment<'_>) -> Result<(), DriverError> {
        if self.is_new(moment) { self.write(moment) } else { Ok(()) }
    }

    /// A start without any read of X costs nothing to make again.
    fn is_new(&self, moment: &Moment<'_>) -> bool {
        moment.passes > self.saved
    }

    fn due(&mut self, moment: &Moment<'_>) -> Result<bool, DriverError> {
        if let Some(every) = self.spec.every {
            return Ok(moment.passes - self.saved >= every);
        }
        let bytes = self.bytes(moment);
        let mut due = [i64::from(self.comm.rank() == 0 && self.clock.due(bytes))];
        // The others go by the clock of process 0.
        self.comm.all_reduce_sum(&mut [&mut due])?;
        Ok(due[0] > 0)
    }

    /// Bytes that this process would write.
    fn bytes(&self, moment: &Moment<'_>) -> u64 {
        let spectra = &moment.standing.spectra;
        let state = state::bytes(spectra.genes(), spectra.k(), moment.trace.len());
        let rows = if moment.usages.start().is_some() { 0 } else { rows::bytes(moment.usages, self.own.clone()) };
        rows + if self.comm.rank() == 0 { state } else { 0 }
    }

    fn folder(&self) -> &'r Path {
        &self.spec.folder
    }
}
