//! The errors of entries, with their places.

use std::path::PathBuf;

use super::archive::DAMAGED;
use crate::StorageError;
use crate::source::value;

/// The matrix that an entry belongs to.
#[derive(Clone)]
pub(super) struct Places {
    pub(super) path: PathBuf,
    /// Cells and genes.
    pub(super) shape: (usize, usize),
}

impl Places {
    /// The error of an entry outside the matrix.
    pub(super) fn outside(&self, (cell, gene): (i128, i128)) -> StorageError {
        let (cells, genes) = self.shape;
        let problem = format!("has an entry at cell {cell}, gene {gene}, but {cells} cells and {genes} genes");
        let (path, dataset) = (self.path.clone(), super::SPARSE.to_owned());
        StorageError::InvalidDataset { path, dataset, problem, remedy: DAMAGED.into() }
    }

    /// The error of a value that NMF does not accept.
    pub(super) fn value(&self, (cell, gene): (i128, i128), found: f64) -> StorageError {
        value::refused(&self.path, super::SPARSE, (cell as usize, gene as usize), found)
    }
}
