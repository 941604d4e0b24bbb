//! Checkpoints: everything that a fit needs to resume, bit for bit, as if it had not been stopped.
//!
//! A checkpoint is the state at the end of a pass. The next pass follows from it alone (where the
//! solver stands, and W), and a pass that is dropped changes nothing of it; so it makes no difference
//! whether a fit was stopped between two passes or in the middle of one.
//!
//! A folder keeps two of them. A checkpoint is one file of W from each process, with the rows of its
//! own blocks, and one file of all the rest. The manifest, which lists the files that belong together,
//! is written last and put in place by a rename: at any moment the checkpoints that it names are whole.
//! A fit may resume with any number of processes: each reads the rows of its own blocks from the files
//! that hold them. Memory holds nothing but the block in hand.
//!
//! The fits of a set have a folder each, inside the folder that was named: `k5.seed0`, ….
//!
//! With several processes all of them call the same functions in the same order; process 0 looks after
//! the folder.

mod clock;
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
use crate::error::{CheckpointError, DriverError};
use crate::monitor::{FitId, FitMonitor};
use crate::solve::{self, Solver, Standing};
use crate::trace::TraceRow;
use crate::usages::Usages;
use clock::Clock;
use folder::Contents;
use manifest::Entry;

pub(crate) use identity::Identity;
pub(crate) use resume::Expected;

/// Where checkpoints go, how often, and what becomes of those that are there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CheckpointSpec {
    /// The folder; made if the one that it lies in exists. With several processes, on a disk that all
    /// of them share.
    pub folder: PathBuf,
    /// A checkpoint after every so many reads of the data. `None`: whenever the work since the last one
    /// is worth fifty times the cost of writing one, so that less than two parts in a hundred of the
    /// time go into them.
    pub every: Option<usize>,
    /// Whether to resume from the newest whole checkpoint in the folder; where there is none, the fit
    /// starts at the beginning.
    pub resume: bool,
    /// Whether a fit that does not resume may replace checkpoints that are there.
    pub overwrite: Overwrite,
    /// The kind of CPU: all that dense products depend on. A fit of dense data does not resume on
    /// another kind.
    pub cpu: String,
}

impl CheckpointSpec {
    /// Checkpoints in `folder`, written on this kind of CPU, as often as they cost next to nothing; none
    /// may be there yet.
    pub fn new(folder: impl Into<PathBuf>, cpu: impl Into<String>) -> Self {
        CheckpointSpec {
            folder: folder.into(),
            every: None,
            resume: false,
            overwrite: Overwrite::Refuse,
            cpu: cpu.into(),
        }
    }

    /// Writes a checkpoint after every `reads` reads of the data.
    pub fn with_every(self, reads: usize) -> Self {
        CheckpointSpec { every: Some(reads), ..self }
    }

    /// Resumes from the newest whole checkpoint.
    pub fn with_resume(self, resume: bool) -> Self {
        CheckpointSpec { resume, ..self }
    }

    /// Says whether checkpoints that are there may be replaced.
    pub fn with_overwrite(self, overwrite: Overwrite) -> Self {
        CheckpointSpec { overwrite, ..self }
    }

    /// The folder of one fit, alone or of a set.
    pub fn folder_of(&self, fit: FitId, is_set: bool) -> PathBuf {
        if is_set { self.folder.join(fit.to_string()) } else { self.folder.clone() }
    }

    /// Reports now what the fits would refuse when they start, as far as the folder tells. Changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// - [`DriverError::Checkpoint`]: the folder is not for checkpoints, those in it are of another
    ///   version, or they are there and neither to be resumed nor to be replaced.
    /// - [`DriverError::Storage`]: the folder cannot be read.
    pub fn check(&self, fits: &[FitId], is_set: bool) -> Result<(), DriverError> {
        if is_set {
            folder::look_at_set(&self.folder)?;
        }
        fits.iter().try_for_each(|&fit| self.look(&self.folder_of(fit, is_set)).map(drop))
    }

    /// The content of a folder, unless it stands in the way.
    fn look(&self, folder: &Path) -> Result<Contents, DriverError> {
        let contents = folder::look(folder)?;
        match &contents {
            Contents::Checkpoints(_) | Contents::Damaged(_) if !self.resume && self.overwrite == Overwrite::Refuse => {
                Err(CheckpointError::Exists { folder: folder.into() }.into())
            }
            _ => Ok(contents),
        }
    }
}

/// A fit between two passes, to continue with.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) sample_passes: f64,
    pub(crate) state: solve::State,
}

impl Course {
    /// Reads of all of X so far, that of the sample included.
    pub(crate) fn passes(&self) -> usize {
        self.state.before + self.state.trace.len()
    }
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
    /// Of `solver`, which started with `sample_passes` of work on a sample.
    pub(crate) fn of(solver: &'m Solver<'_>, sample_passes: f64) -> Self {
        Moment {
            passes: solver.passes(),
            sample_passes,
            trace: solver.trace(),
            standing: solver.standing(),
            usages: solver.usages(),
        }
    }
}

/// The checkpoints of a fit that runs.
pub(crate) struct Checkpoints<'r> {
    spec: &'r CheckpointSpec,
    /// Those of this fit.
    folder: PathBuf,
    fit: FitId,
    comm: &'r dyn Comm,
    monitor: &'r dyn FitMonitor,
    identity: Identity,
    /// The row blocks of this process.
    own: Range<usize>,
    /// Reads of all of X completed before the newest one; 0 where there is none.
    saved: usize,
    /// The whole ones, the newest first, in process 0.
    entries: Vec<Entry>,
    clock: Clock,
}

impl std::fmt::Debug for Checkpoints<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoints").field("spec", self.spec).field("saved", &self.saved).finish_non_exhaustive()
    }
}

impl<'r> Checkpoints<'r> {
    /// Prepares the folder for the fit `identity`, of which this process has the blocks `own`. Removes
    /// checkpoints that are not to be resumed and may be replaced.
    pub(crate) fn open(
        spec: &'r CheckpointSpec,
        (fit, is_set): (FitId, bool),
        comm: &'r dyn Comm,
        monitor: &'r dyn FitMonitor,
        identity: Identity,
        own: Range<usize>,
    ) -> Result<Self, DriverError> {
        let folder = spec.folder_of(fit, is_set);
        let make = || {
            if is_set {
                folder::make(&spec.folder)?;
            }
            Ok::<_, DriverError>(folder::make(&folder)?)
        };
        let ready = || match spec.look(&folder)? {
            Contents::Nothing => make(),
            _ if spec.resume => Ok(()),
            _ => folder::clear(&folder),
        };
        agree(comm, if comm.rank() == 0 { ready() } else { Ok(()) })?;
        // A process that looked for the folder before it was made may, on a network file system, find
        // nothing for half a minute more; making it again asks the server.
        agree(comm, make())?;
        let clock = Clock::start();
        Ok(Checkpoints { spec, folder, fit, comm, monitor, identity, own, saved: 0, entries: Vec::new(), clock })
    }

    /// The content of the folder, unless it stands in the way.
    fn look(&self) -> Result<Contents, DriverError> {
        self.spec.look(&self.folder)
    }

    /// The end of a pass, or of the start: writes a checkpoint if one is due.
    pub(crate) fn consider(&mut self, moment: &Moment<'_>) -> Result<(), DriverError> {
        if self.is_new(moment) && self.due(moment)? { self.write(moment) } else { Ok(()) }
    }

    /// The fit ends here without a result: leaves its last state, unless that is there already or there
    /// is none yet.
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

    fn folder(&self) -> &Path {
        &self.folder
    }
}
