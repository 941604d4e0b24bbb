//! Why there can be no checkpoints in a folder, or why a fit does not go on from those that are there.

use std::path::PathBuf;

/// What is wrong with a checkpoint folder. What the system refuses is a [`StorageError`](partwise_storage::StorageError).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The folder holds something else.
    #[error("{}: is not a checkpoint folder ({found}); name an empty or a new folder", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// Checkpoints are there, and neither is the fit to go on from them nor may they be replaced.
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
        "{}: its checkpoints have format {found}, but this version reads {supported}; go on with the version that wrote them, \
         or name another folder",
        folder.display()
    )]
    Version {
        /// The folder.
        folder: PathBuf,
        /// Their format.
        found: u32,
        /// The format that is read.
        supported: u32,
    },
    /// The checkpoints are of another fit.
    #[error(
        "{}: the checkpoint is {}; go on with the data and settings that it was made with, or name another folder",
        folder.display(), differences.join("; ")
    )]
    Different {
        /// The folder.
        folder: PathBuf,
        /// For each thing that differs what the checkpoint is of and what the fit has.
        differences: Vec<String>,
    },
    /// What another process has written is not to be seen.
    #[error("{}: another process has written this file and it cannot be seen from here; the checkpoint folder has to be on a \
             disk that all nodes share", path.display())]
    Unseen {
        /// The file.
        path: PathBuf,
    },
}
