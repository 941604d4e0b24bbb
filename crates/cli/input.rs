//! What the user names as input: a store, or a file from which one is made.

use std::path::Path;

use clap::Args;
use partwise::storage::source::{self, Source};
use partwise::storage::{Selection, StorageError, Store};

use crate::failure::Failure;

/// Which matrix of an input is meant, and which way round it lies.
#[derive(Args, Debug)]
pub(crate) struct Select {
    /// Read layers/NAME instead of X
    #[arg(long, value_name = "NAME", conflicts_with = "raw")]
    layer: Option<String>,
    /// Read raw/X (what scanpy keeps before it filters and scales genes) instead of X
    #[arg(long)]
    raw: bool,
    /// The array holds genes x cells: turn it (.npy)
    #[arg(long)]
    transpose: bool,
}

/// An input, opened.
pub(crate) enum Input {
    /// A block store.
    Store(Box<Store>),
    /// A file in a format that people have.
    Source(Box<dyn Source>),
}

impl Select {
    pub(crate) fn selection(&self) -> Selection {
        Selection { layer: self.layer.clone(), raw: self.raw, transpose: self.transpose }
    }
}

impl Input {
    /// Opens what lies at `path`.
    pub(crate) fn open(path: &Path, select: &Select) -> Result<Self, Failure> {
        let selection = select.selection();
        if !is_store(path) {
            return Ok(Input::Source(source::open(path, &selection)?));
        }
        if selection != Selection::default() {
            return Err(Failure::usage(format!(
                "{}: is a store, which holds one matrix; --layer, --raw and --transpose choose when it is converted",
                path.display()
            )));
        }
        Ok(Input::Store(Box::new(Store::open(path)?)))
    }
}

/// Refuses an input that is not there; everything else about it is said when it is opened.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    if path.exists() { Ok(()) } else { Err(StorageError::NotFound { path: path.into() }.into()) }
}

/// Whether `path` is a store or, by its name, meant to be one: then opening it says what it lacks.
pub(crate) fn is_store(path: &Path) -> bool {
    path.is_dir()
        && (path.extension().is_some_and(|extension| extension == "pw") || path.join("manifest.json").exists())
}
