//! Why a folder cannot hold checkpoints, or why a fit does not resume from those in it.

use std::path::PathBuf;

/// A problem with a checkpoint folder. Failures of the system are
/// [`StorageError`](partwise_storage::StorageError)s.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The folder holds something else.
    #[error("{}: is not a checkpoint folder ({found}); name an empty or a new folder", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// The other content.
        found: String,
    },
    /// Checkpoints exist, and the fit may neither resume from them nor replace them.
    #[error(
        "{}: holds checkpoints already; resume from the newest, or allow them to be overwritten",
        folder.display()
    )]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// The checkpoints are of another format.
    #[error(
        "{}: its checkpoints have format {found}, but this version reads {supported}; resume with the version that wrote them, \
         or name another folder",
        folder.display()
    )]
    Version {
        /// The folder.
        folder: PathBuf,
        /// Their format.
        found: u32,
        /// The format that this version reads.
        supported: u32,
    },
    /// The checkpoints are of another fit.
    #[error(
        "{}: the checkpoint is {}; resume with the data and settings that it was made with, or name another folder",
        folder.display(), differences.join("; ")
    )]
    Different {
        /// The folder.
        folder: PathBuf,
        /// Each difference: the value of the checkpoint and that of the fit.
        differences: Vec<String>,
    },
    /// Another run keeps its checkpoints in the folder.
    #[error(
        "{}: another run keeps its checkpoints here (process {pid} on {host}); wait for it, or name another folder",
        folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The host of the other run.
        host: String,
        /// Its process.
        pid: u32,
    },
    /// This process does not see a file that another process has written.
    #[error("{}: another process has written this file and it cannot be seen from here; the checkpoint folder has to be on a \
             disk that all nodes share", path.display())]
    Unseen {
        /// The file.
        path: PathBuf,
    },
}
