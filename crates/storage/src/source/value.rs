//! The error of a value that NMF does not accept.

use std::path::Path;

use crate::{Matrices, Remedy, StorageError};

/// The error of the value of a cell and gene of `dataset`, in a file without other matrices.
pub(super) fn refused(path: &Path, dataset: &str, (cell, gene): (usize, usize), value: f64) -> StorageError {
    let remedy = if value.is_finite() && value > 0.0 {
        "it is beyond 32-bit floats, scale the values down".into()
    } else {
        Remedy::ChooseValues(Matrices::default()).into()
    };
    let (path, dataset) = (path.into(), dataset.to_owned());
    StorageError::InvalidValue { path, dataset, row: cell as u64, column: gene as u64, value, remedy }
}
