//! The input of a job: a store, or a file to make a store from.

use std::path::Path;

use partwise_storage::source::Source;
use partwise_storage::{Inputs, Selection, Store};

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
    /// Opens the store or the files of `inputs`.
    ///
    /// # Errors
    ///
    /// - a file or the store cannot be read
    /// - `selection` chooses a matrix of a file, and the input is a store
    pub fn open(inputs: &Inputs, selection: &Selection) -> Result<Self, JobError> {
        let Some(path) = inputs.single().filter(|path| is_store_at(path)) else {
            return Ok(Input::Source(inputs.open(selection)?));
        };
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
/// When there is nothing at one of its paths.
pub fn check(inputs: &Inputs) -> Result<(), JobError> {
    Ok(inputs.check_exist()?)
}

/// Whether the input is one store.
pub fn is_store(inputs: &Inputs) -> bool {
    inputs.single().is_some_and(is_store_at)
}

/// Whether `path` is a store, or a folder with the name of a store, which [`Store::open`] then
/// reports as incomplete.
pub fn is_store_at(path: &Path) -> bool {
    path.is_dir()
        && (path.extension().is_some_and(|extension| extension == "pw") || path.join("manifest.json").exists())
}
