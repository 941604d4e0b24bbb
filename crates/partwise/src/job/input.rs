//! The input of a job: a store, or a file to make a store from.

use std::path::Path;

use partwise_storage::source::{self, Source};
use partwise_storage::{Selection, StorageError, Store};

use super::JobError;

/// An open input.
pub enum Input {
    /// A block store.
    Store(Box<Store>),
    /// A file in any other format.
    Source(Box<dyn Source>),
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Input::Store(store) => write!(f, "Store({})", store.path().display()),
            Input::Source(source) => write!(f, "Source({})", source.path().display()),
        }
    }
}

impl Input {
    /// Opens the store or the file at `path`.
    ///
    /// # Errors
    ///
    /// - the file or the store cannot be read
    /// - `selection` chooses a matrix of a file, and `path` is a store
    pub fn open(path: &Path, selection: &Selection) -> Result<Self, JobError> {
        if !is_store(path) {
            return Ok(Input::Source(source::open(path, selection)?));
        }
        if *selection != Selection::default() {
            return Err(JobError::SelectionOfStore { path: path.into() });
        }
        Ok(Input::Store(Box::new(Store::open(path)?)))
    }
}

/// Refuses an input that does not exist. [`Input::open`] checks the rest.
///
/// # Errors
///
/// When there is nothing at `path`.
pub fn check(path: &Path) -> Result<(), JobError> {
    if path.exists() { Ok(()) } else { Err(StorageError::NotFound { path: path.into() }.into()) }
}

/// Whether `path` is a store, or a folder with the name of a store, which [`Store::open`] then
/// reports as incomplete.
pub fn is_store(path: &Path) -> bool {
    path.is_dir()
        && (path.extension().is_some_and(|extension| extension == "pw") || path.join("manifest.json").exists())
}
