//! The input that the user names: a store, or a file to make a store from.

use std::path::Path;

use clap::Args;
use partwise::storage::source::{self, Source};
use partwise::storage::{Selection, StorageError, Store};

use crate::failure::Failure;

/// The matrix to read from a file, and its orientation.
#[derive(Args, Debug)]
pub(crate) struct Select {
    /// Read layers/NAME instead of X (.h5ad)
    #[arg(long, value_name = "NAME", conflicts_with = "raw")]
    layer: Option<String>,
    /// Read raw/X instead of X (.h5ad): the values that scanpy kept before it filtered and scaled genes
    #[arg(long)]
    raw: bool,
    /// Transpose the array, which holds genes x cells (.npy)
    #[arg(long)]
    transpose: bool,
}

/// An open input.
pub(crate) enum Input {
    /// A block store.
    Store(Box<Store>),
    /// A file in any other format.
    Source(Box<dyn Source>),
}

impl Select {
    /// The library's form of these options.
    pub(crate) fn selection(&self) -> Selection {
        Selection { layer: self.layer.clone(), raw: self.raw, transpose: self.transpose }
    }
}

impl Input {
    /// Opens the store or the file at `path`.
    ///
    /// # Errors
    ///
    /// - the file or the store cannot be read
    /// - `select` has options for a file, and `path` is a store
    pub(crate) fn open(path: &Path, select: &Select) -> Result<Self, Failure> {
        let selection = select.selection();
        if !is_store(path) {
            return Ok(Input::Source(source::open(path, &selection)?));
        }
        if selection != Selection::default() {
            return Err(Failure::usage(format!(
                "{}: a store holds one matrix; use --layer, --raw and --transpose when you convert the file instead",
                path.display()
            )));
        }
        Ok(Input::Store(Box::new(Store::open(path)?)))
    }
}

/// Refuses an input that does not exist. [`Input::open`] checks the rest.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    if path.exists() { Ok(()) } else { Err(StorageError::NotFound { path: path.into() }.into()) }
}

/// Whether `path` is a store, or a folder with the name of a store, which [`Store::open`] then
/// reports as incomplete.
pub(crate) fn is_store(path: &Path) -> bool {
    path.is_dir()
        && (path.extension().is_some_and(|extension| extension == "pw") || path.join("manifest.json").exists())
}
