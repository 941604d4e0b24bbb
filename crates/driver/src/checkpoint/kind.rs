//! The kinds of state that checkpoints hold. Folder, lock, manifest and the order of writing are the
//! same for all of them.
//!
//! | kind                 | state                                   | where it is made into bytes       |
//! |----------------------|-----------------------------------------|-----------------------------------|
//! | a fit                | H and the trace; W, in files of its own | `checkpoint/{state,rows}.rs`      |
//! | principal components | sums of genes; a Krylov space, or axes  | `pca/course.rs`                   |
//! | replicates           | of each, H and the trace                | `sweep/course.rs`                 |
//!
//! To add one: implement [`Snapshot`] for what is written and [`Restore`] for what a run expects to
//! read, write a number of its own at the start of the file, and give its [`Identity`] a kind.
//!
//! [`Identity`]: super::Identity

use std::ops::Range;
use std::path::{Path, PathBuf};

use partwise_storage::{Monitor, StorageError};

use super::file::Seal;
use super::manifest::Entry;
use crate::error::DriverError;
use crate::trace::TraceRow;
use crate::usages::Usages;

/// A state between two passes, to be written. All processes have the same, except for the rows of W.
pub(crate) trait Snapshot {
    /// Reads of all of X so far.
    fn passes(&self) -> usize;

    /// Bytes of the state file.
    fn bytes(&self) -> u64;

    /// Writes the state file, and brings it to the disk. Only process 0 calls it.
    fn write(&self, path: &Path) -> Result<Seal, StorageError>;

    /// W, if it is written as well: each process writes the rows of its own blocks.
    fn usages(&self) -> Option<&Usages> {
        None
    }

    /// Whether the cost of writing it is a measure for later states, which are not much larger.
    fn is_typical(&self) -> bool;
}

/// The properties that a resuming run expects of its checkpoint.
pub(crate) trait Restore {
    /// The state that is read.
    type Course: Course;

    /// Reads a checkpoint. Damage is a [`StorageError`] of bad data, and never a panic.
    fn read(&self, files: &Files<'_>) -> Result<Self::Course, DriverError>;
}

/// A state between two passes, to continue with.
pub(crate) trait Course {
    /// Reads of all of X so far.
    fn passes(&self) -> usize;

    /// The full passes so far, if the run keeps a trace of them.
    fn trace(&self) -> &[TraceRow] {
        &[]
    }
}

/// The files of a checkpoint, to be read by one process.
pub(crate) struct Files<'f> {
    pub(super) folder: &'f Path,
    pub(super) entry: &'f Entry,
    /// The row blocks of this process.
    pub(super) own: Range<usize>,
    pub(super) monitor: &'f dyn Monitor,
}

impl Files<'_> {
    /// The state file.
    pub(crate) fn state(&self) -> (PathBuf, Seal) {
        (self.folder.join(&self.entry.state.name), self.entry.state.seal)
    }
}
