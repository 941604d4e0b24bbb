//! A checkpoint folder that a run alone writes to.

use std::fs;

use super::lock::{Lock, PATIENCE};
use super::{CheckpointSpec, Runs, folder};
use crate::comm::{Comm, agree};
use crate::error::DriverError;
use crate::monitor::FitMonitor;

/// The checkpoint folder of a run. No other run writes to it until the claim is dropped.
///
/// If there are several processes, process 0 holds the lock for all of them.
#[derive(Debug)]
pub struct Claim {
    spec: CheckpointSpec,
    /// Only in process 0.
    lock: Option<Lock>,
    /// Whether this process has made the folder.
    made: bool,
}

impl CheckpointSpec {
    /// Claims the folder for these runs: all processes call it. Makes the folder if it is
    /// missing.
    ///
    /// If a run on another machine may hold the folder, this waits for at most 40 s to see whether it
    /// still does.
    ///
    /// # Errors
    ///
    /// - those of [`check`](Self::check)
    /// - [`DriverError::Checkpoint`]: another run keeps its checkpoints in the folder
    /// - [`DriverError::Storage`]: the folder cannot be made or written
    /// - [`DriverError::Cancelled`]: the monitor cancelled while this waited
    /// - [`DriverError::Elsewhere`], [`DriverError::Comm`]: another process has failed or is lost
    pub fn claim(&self, runs: &Runs, comm: &dyn Comm, monitor: &dyn FitMonitor) -> Result<Claim, DriverError> {
        let take = || {
            self.check(runs)?;
            let made = !self.folder.exists();
            folder::make(&self.folder)?;
            let mut claim = Claim { spec: self.clone(), lock: None, made };
            claim.lock = Some(Lock::take(&self.folder, self.job.as_ref(), PATIENCE, monitor)?);
            Ok::<_, DriverError>(claim)
        };
        let others = || Ok(Claim { spec: self.clone(), lock: None, made: false });
        agree(comm, if comm.rank() == 0 { take() } else { others() })
    }
}

impl Claim {
    /// The folder, and what happens in it.
    pub fn spec(&self) -> &CheckpointSpec {
        &self.spec
    }

    /// Removes the checkpoints of all runs that share the folder. To be called by one process.
    ///
    /// # Errors
    ///
    /// When a file cannot be removed.
    pub fn clear_all(&self) -> Result<(), DriverError> {
        folder::of_runs(&self.spec.folder)?.iter().try_for_each(|folder| folder::remove(folder))
    }

    /// Removes the checkpoints of these runs, whose results are written. To be called by one process.
    ///
    /// # Errors
    ///
    /// When a file cannot be removed.
    pub fn remove(&self, runs: &Runs) -> Result<(), DriverError> {
        let folders = runs.folders(&self.spec.folder).into_iter().filter(|folder| folder.is_dir());
        folders.into_iter().try_for_each(|folder| folder::remove(&folder))
    }

    /// The runs have ended, and nobody named the folder as one to keep: removes it if it is empty.
    pub fn end(mut self) {
        self.made = true;
    }

    /// Checks that no other run has taken the folder over.
    pub(super) fn check(&self) -> Result<(), DriverError> {
        self.lock.as_ref().map_or(Ok(()), Lock::check)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.lock = None;
        if self.made {
            // Succeeds only if no checkpoint is in it.
            let _ = fs::remove_dir(&self.spec.folder);
        }
    }
}
