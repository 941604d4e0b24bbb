//! Resuming from a checkpoint.

use partwise_storage::{ErrorKind, Unit};

use super::file::reason;
use super::folder::Contents;
use super::manifest::{Entry, Manifest};
use super::state::{self, State};
use super::{Checkpoints, Course, Files, FitCourse, Restore, rows};
use crate::comm::{agree, all_gather, broadcast};
use crate::error::{CheckpointError, DriverError};
use crate::monitor::CheckpointEvent;
use crate::solve;
use crate::usages::{Usages, UsagesStart};

/// The properties that a resuming fit expects of its checkpoint.
pub(crate) struct Expected<'e> {
    pub(crate) genes: usize,
    pub(crate) k: usize,
    pub(crate) extrapolate: bool,
    /// Makes the usages, before they are filled.
    pub(crate) usages: Box<dyn Fn(UsagesStart) -> Result<Usages, DriverError> + 'e>,
}

impl Restore for Expected<'_> {
    type Course = FitCourse;

    fn read(&self, files: &Files<'_>) -> Result<FitCourse, DriverError> {
        let (path, seal) = files.state();
        let State { passes, sample_passes, trace, standing, start, pending } =
            state::read(&path, seal, self.genes, self.k, self.extrapolate)?;
        let mut usages = (self.usages)(start.unwrap_or(UsagesStart::Zero))?;
        if start.is_none() {
            let (own, monitor) = (|| files.own.clone(), files.monitor);
            monitor.start("resume", rows::bytes(&usages, own()), Unit::Bytes);
            rows::read(files.folder, &files.entry.usages, &mut usages, own(), monitor)?;
            monitor.finish();
        }
        usages.rescale(&pending);
        let before = passes.saturating_sub(trace.len());
        Ok(FitCourse { sample_passes, state: solve::State { standing, usages, before, trace } })
    }
}

impl Checkpoints<'_> {
    /// The newest checkpoint that every process finds whole; `None` if there is none, or if the run
    /// does not resume.
    pub(crate) fn resume<R: Restore>(&mut self, expected: &R) -> Result<Option<R::Course>, DriverError> {
        let Some(manifest) = self.manifest_of_all()? else { return Ok(None) };
        // Each process compares its own, because another one may run on another kind of CPU.
        let differences = manifest.fit.differences(&self.run.identity);
        let same: Result<(), DriverError> = match differences.is_empty() {
            true => Ok(()),
            false => Err(CheckpointError::Different { folder: self.folder().into(), differences }.into()),
        };
        agree(self.comm, same)?;
        self.newest(&manifest, expected)
    }

    /// The same, but checkpoints of another run are as good as none.
    pub(crate) fn resume_own<R: Restore>(&mut self, expected: &R) -> Result<Option<R::Course>, DriverError> {
        let Some(manifest) = self.manifest_of_all()? else { return Ok(None) };
        let differs = !manifest.fit.differences(&self.run.identity).is_empty();
        match all_gather(self.comm, i64::from(differs))?.contains(&1) {
            true => Ok(None),
            false => self.newest(&manifest, expected),
        }
    }

    fn newest<R: Restore>(&mut self, manifest: &Manifest, expected: &R) -> Result<Option<R::Course>, DriverError> {
        let entries = &manifest.checkpoints;
        for (at, entry) in entries.iter().enumerate() {
            let mine = self.read(entry, expected);
            let Some(resumed) = self.whole_everywhere(mine)? else { continue };
            let (passes, trace) = (resumed.passes(), resumed.trace());
            self.saved = passes;
            self.entries = entries[at..].to_vec();
            self.tell(&CheckpointEvent::Resumed { passes, trace });
            return Ok(Some(resumed));
        }
        self.tell(&CheckpointEvent::Nothing);
        Ok(None)
    }

    /// The checkpoint that `resume` has found.
    pub(crate) fn read_again<R: Restore>(&self, expected: &R) -> Result<R::Course, DriverError> {
        agree(self.comm, self.read(&self.entries[0], expected))
    }

    /// The list that process 0 sees in the folder, or an empty one if it sees none; `None` if the run does
    /// not resume.
    fn manifest_of_all(&self) -> Result<Option<Manifest>, DriverError> {
        if !self.claim.spec().resume {
            return Ok(None);
        }
        let found = agree(self.comm, if self.comm.rank() == 0 { self.look() } else { Ok(Contents::Nothing) })?;
        if let Contents::Damaged(reason) = &found {
            self.tell(&CheckpointEvent::Damaged { reason });
        }
        let mine = match &found {
            Contents::Checkpoints(manifest) => serde_json::to_vec(manifest).expect("numbers and strings only"),
            Contents::Nothing | Contents::Damaged(_) => Vec::new(),
        };
        let bytes = broadcast(self.comm, &mine)?;
        Ok(Some(match bytes.is_empty() {
            true => Manifest::new(&self.run.identity, &[]),
            false => serde_json::from_slice(&bytes).expect("what process 0 has made"),
        }))
    }

    /// Reads this process's part of a checkpoint. Process 0 also checks that all files are there.
    fn read<R: Restore>(&self, entry: &Entry, expected: &R) -> Result<R::Course, DriverError> {
        let folder = self.folder();
        if self.comm.rank() == 0 {
            entry.check_sizes(folder)?;
        }
        expected.read(&Files { folder, entry, own: self.run.own.clone(), monitor: self.monitor })
    }

    /// The part that this process has read, if all processes have theirs; `None` if the checkpoint
    /// is damaged for one of them. Any other failure is an error: a disk that does not answer is no
    /// reason to resume from an older state.
    fn whole_everywhere<C>(&self, mine: Result<C, DriverError>) -> Result<Option<C>, DriverError> {
        let (resumed, reason) = match mine {
            Ok(resumed) => (Some(resumed), None),
            Err(DriverError::Storage(error)) if error.kind() == ErrorKind::BadData => (None, Some(reason(&error))),
            Err(error) => return agree(self.comm, Err(error)),
        };
        agree::<_, DriverError>(self.comm, Ok(()))?;
        let damaged = all_gather(self.comm, i64::from(reason.is_some()))?;
        let elsewhere = damaged.iter().position(|&damaged| damaged > 0);
        match (reason, elsewhere) {
            (None, None) => Ok(resumed),
            (Some(reason), _) => {
                self.tell(&CheckpointEvent::Damaged { reason: &reason });
                Ok(None)
            }
            (None, Some(rank)) => {
                let reason = format!("process {rank} finds its part of a checkpoint damaged");
                self.tell(&CheckpointEvent::Damaged { reason: &reason });
                Ok(None)
            }
        }
    }
}
