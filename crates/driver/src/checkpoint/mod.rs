//! Checkpoints: everything that a run needs to resume, bit for bit, as if it had not been stopped.
//!
//! A run is a fit, the principal components of a matrix, or some replicates of a sweep: there are three
//! kinds of state (`kind`).
//!
//! A checkpoint is the state at the end of a pass. The next pass follows from it alone (the
//! standing state of the solver, and W; or the Krylov space), and a dropped pass changes nothing of
//! it. So it makes no difference whether a run was stopped between two passes or in the middle of
//! one.
//!
//! A folder keeps two of them. A checkpoint is one file of W from each process, with the rows of
//! its own blocks, and one file of all the rest. Only a fit has a W between passes. The
//! manifest lists the files that belong together. It is written last and put in place by a rename,
//! so at any moment the checkpoints that it names are whole. A fit may resume with any number of
//! processes: each reads the rows of its own blocks from the files that hold them. Memory holds only
//! the block in hand.
//!
//! The fits of a set have a folder each inside the given folder: `k5.seed0`, …. So have the replicates of
//! a sweep, by cohorts: `k5.from0`, ….
//!
//! A run [claims](Claim) the given folder while it works, so that two runs never write to one.
//!
//! If there are several processes, all of them call the same functions in the same order, and
//! process 0 manages the folder.

mod claim;
mod clock;
mod file;
mod folder;
mod identity;
mod kind;
mod lock;
mod manifest;
mod resume;
mod rows;
mod state;
mod write;

use std::ops::Range;
use std::path::{Path, PathBuf};

use partwise_storage::store::Overwrite;
use partwise_storage::{Monitor, StorageError};

use crate::comm::{Comm, agree};
use crate::error::{CheckpointError, DriverError};
use crate::monitor::{CheckpointEvent, FitId};
use crate::solve::{self, Solver, Standing};
use crate::trace::TraceRow;
use crate::usages::Usages;
use clock::Clock;
use folder::Contents;
use manifest::Entry;

pub use claim::Claim;
pub(crate) use file::{Draft, Seal, Sealed};
pub(crate) use identity::Identity;
pub(crate) use kind::{Course, Files, Restore, Snapshot};
pub use lock::BatchJob;
pub(crate) use resume::Expected;
pub(crate) use state::{State, bytes as state_bytes, put as put_state, take as take_state};

/// Where checkpoints go, how often they are written, and what happens to those that exist.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CheckpointSpec {
    /// The folder, which is made if its parent exists. Several processes need a disk that all of
    /// them share.
    pub folder: PathBuf,
    /// A checkpoint after this many reads of the data. `None`: whenever the work since the last one
    /// is worth fifty times the cost of writing one, so that checkpoints take less than two parts
    /// in a hundred of the time.
    pub every: Option<usize>,
    /// Whether to resume from the newest whole checkpoint in the folder. Without one, the fit
    /// starts at the beginning.
    pub resume: bool,
    /// Whether a fit that does not resume may replace existing checkpoints.
    pub overwrite: Overwrite,
    /// The kind of CPU: all that dense products depend on. A fit of dense data does not resume on
    /// another kind.
    pub cpu: String,
    /// The batch job that this run is a start of. A later start of a job takes the folder over from
    /// an earlier one at once, wherever that ran.
    pub job: Option<BatchJob>,
}

impl CheckpointSpec {
    /// Checkpoints in `folder`, written on this kind of CPU, as often as they cost next to nothing.
    /// None may exist yet.
    pub fn new(folder: impl Into<PathBuf>, cpu: impl Into<String>) -> Self {
        CheckpointSpec {
            folder: folder.into(),
            every: None,
            resume: false,
            overwrite: Overwrite::Refuse,
            cpu: cpu.into(),
            job: None,
        }
    }

    /// Sets the batch job that this run is a start of.
    pub fn with_job(self, job: Option<BatchJob>) -> Self {
        CheckpointSpec { job, ..self }
    }

    /// Writes a checkpoint after every `reads` reads of the data.
    pub fn with_every(self, reads: usize) -> Self {
        CheckpointSpec { every: Some(reads), ..self }
    }

    /// Resumes from the newest whole checkpoint.
    pub fn with_resume(self, resume: bool) -> Self {
        CheckpointSpec { resume, ..self }
    }

    /// Sets whether existing checkpoints may be replaced.
    pub fn with_overwrite(self, overwrite: Overwrite) -> Self {
        CheckpointSpec { overwrite, ..self }
    }

    /// Reports at once the refusals that the runs would meet at their start, as far as the folder
    /// shows them. Changes nothing.
    ///
    /// # Errors
    ///
    /// - [`DriverError::Checkpoint`]: the folder is not for checkpoints, those in it are of another
    ///   version, or they exist and may neither be resumed from nor replaced.
    /// - [`DriverError::Storage`]: the folder cannot be read.
    pub fn check(&self, runs: &Runs) -> Result<(), DriverError> {
        if let Runs::Several(_) = runs {
            folder::look_at_several(&self.folder)?;
        }
        runs.folders(&self.folder).iter().try_for_each(|folder| self.look(folder).map(drop))
    }

    /// Removes the checkpoints of these runs, if they are not to be resumed and may be replaced: before
    /// the first of several waves, so that a later wave never meets the checkpoints of another run.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check), and when a file cannot be removed.
    pub fn clear(&self, runs: &Runs) -> Result<(), DriverError> {
        for folder in runs.folders(&self.folder) {
            match self.look(&folder)? {
                Contents::Nothing => (),
                _ if self.resume => (),
                _ => folder::clear(&folder)?,
            }
        }
        Ok(())
    }

    /// The content of a folder, or an error if it may not be there.
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

/// The runs that keep their checkpoints in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// One, in the folder itself.
    One,
    /// Any number, each in a folder of this name inside it.
    Several(Vec<String>),
}

impl Runs {
    /// One fit, or those of a set.
    pub fn of_fits(fits: &[FitId], is_set: bool) -> Self {
        if is_set { Runs::Several(fits.iter().map(FitId::to_string).collect()) } else { Runs::One }
    }

    /// The folder of each.
    pub fn folders(&self, folder: &Path) -> Vec<PathBuf> {
        match self {
            Runs::One => vec![folder.into()],
            Runs::Several(names) => names.iter().map(|name| folder.join(name)).collect(),
        }
    }
}

/// A fit between two passes, to continue with.
#[derive(Debug)]
pub(crate) struct FitCourse {
    pub(crate) sample_passes: f64,
    pub(crate) state: solve::State,
}

impl Course for FitCourse {
    /// That of the sample included.
    fn passes(&self) -> usize {
        self.state.before + self.state.trace.len()
    }

    fn trace(&self) -> &[TraceRow] {
        &self.state.trace
    }
}

/// A fit between two passes, to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment<'m> {
    /// Reads of all of X so far, that for the sample included if there was one.
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

impl Snapshot for Moment<'_> {
    fn passes(&self) -> usize {
        self.passes
    }

    fn bytes(&self) -> u64 {
        let spectra = &self.standing.spectra;
        state::bytes(spectra.genes(), spectra.k(), self.trace.len())
    }

    fn write(&self, path: &Path) -> Result<Seal, StorageError> {
        state::write(path, self)
    }

    fn usages(&self) -> Option<&Usages> {
        self.usages.start().is_none().then_some(self.usages)
    }

    /// Without W the file is small: its cost, mostly the wait for the disk, is no measure for the
    /// bytes of W.
    fn is_typical(&self) -> bool {
        self.usages().is_some()
    }
}

/// A run that keeps checkpoints.
pub(crate) struct Kept<'r> {
    /// The name of its folder inside that of the claim; `None`: it is alone there.
    pub(crate) name: Option<String>,
    /// How many runs write checkpoints in the same passes.
    pub(crate) together: usize,
    pub(crate) identity: Identity,
    /// The row blocks of this process whose W is kept.
    pub(crate) own: Range<usize>,
    /// Hears of its checkpoints.
    pub(crate) hear: Box<dyn Fn(&CheckpointEvent<'_>) + Send + Sync + 'r>,
}

/// The checkpoints of a run.
pub(crate) struct Checkpoints<'r> {
    claim: &'r Claim,
    /// Those of this run.
    folder: PathBuf,
    run: Kept<'r>,
    comm: &'r dyn Comm,
    monitor: &'r dyn Monitor,
    /// Reads of all of X completed before the newest one; 0 if there is none.
    saved: usize,
    /// The whole ones, the newest first; only process 0 has them.
    entries: Vec<Entry>,
    clock: Clock,
}

impl std::fmt::Debug for Checkpoints<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoints").field("folder", &self.folder).field("saved", &self.saved).finish_non_exhaustive()
    }
}

impl Drop for Checkpoints<'_> {
    fn drop(&mut self) {
        if self.run.name.is_some() && self.saved == 0 {
            // Succeeds only if nothing is in it.
            let _ = std::fs::remove_dir(&self.folder);
        }
    }
}

impl<'r> Checkpoints<'r> {
    /// Prepares the folder for `run`. Removes checkpoints that the run does not resume from and may
    /// replace.
    pub(crate) fn open(
        claim: &'r Claim,
        run: Kept<'r>,
        comm: &'r dyn Comm,
        monitor: &'r dyn Monitor,
    ) -> Result<Self, DriverError> {
        let spec = claim.spec();
        let folder = run.name.as_ref().map_or_else(|| spec.folder.clone(), |name| spec.folder.join(name));
        let make = || {
            if run.name.is_some() {
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
        // On a network file system, a process that looked for the folder before it was made may not
        // see it for half a minute. Making it again asks the server.
        agree(comm, make())?;
        let clock = Clock::start(run.together);
        Ok(Checkpoints { claim, folder, run, comm, monitor, saved: 0, entries: Vec::new(), clock })
    }

    /// Tells of a checkpoint.
    fn tell(&self, event: &CheckpointEvent<'_>) {
        (self.run.hear)(event);
    }

    /// The content of the folder, or an error if it may not be there.
    fn look(&self) -> Result<Contents, DriverError> {
        self.claim.spec().look(&self.folder)
    }

    /// At the end of a pass, or of the start: writes a checkpoint if one is due.
    pub(crate) fn consider(&mut self, moment: &impl Snapshot) -> Result<(), DriverError> {
        if self.is_new(moment) && self.due(moment)? { self.write(moment) } else { Ok(()) }
    }

    /// The run ends here without a result: writes its last state, unless that is written already or
    /// there is none yet.
    pub(crate) fn leave(&mut self, moment: &impl Snapshot) -> Result<(), DriverError> {
        if self.is_new(moment) { self.write(moment) } else { Ok(()) }
    }

    /// A start without any read of X costs nothing to make again.
    fn is_new(&self, moment: &impl Snapshot) -> bool {
        moment.passes() > self.saved
    }

    fn due(&mut self, moment: &impl Snapshot) -> Result<bool, DriverError> {
        if let Some(every) = self.claim.spec().every {
            return Ok(moment.passes() - self.saved >= every);
        }
        let bytes = self.bytes(moment);
        let mut due = [i64::from(self.comm.rank() == 0 && self.clock.due(bytes))];
        // The others follow the clock of process 0.
        self.comm.all_reduce_sum(&mut [&mut due])?;
        Ok(due[0] > 0)
    }

    /// Bytes that this process would write.
    fn bytes(&self, moment: &impl Snapshot) -> u64 {
        let rows = moment.usages().map_or(0, |usages| rows::bytes(usages, self.run.own.clone()));
        rows + if self.comm.rank() == 0 { moment.bytes() } else { 0 }
    }

    fn folder(&self) -> &Path {
        &self.folder
    }
}
