//! Recognises the formats based on HDF5 by members that only they have, and reads what they have in
//! common: a matrix with names and columns.

use std::path::Path;

use super::annotations::Annotations;
use super::matrix::{Matrix, MatrixSource, Place, Tables};
use super::{Source, bare, h5ad, h5mu, loom, stamp, tenx};
use crate::hdf::file::{Reading, members};
use crate::store::Selection;
use crate::{Axis, FrameWriter, Monitor, StorageError, hdf};

/// Opens the selected matrix of an HDF5 file of any format.
pub(super) fn open(path: &Path, selection: &Selection) -> Result<Box<dyn Source>, StorageError> {
    let file = hdf::file::open(path)?;
    let has = |names: &[&str]| names.iter().any(|name| file.link_exists(name));
    if file.dataset("matrix").is_ok() && has(&["row_attrs", "col_attrs"]) {
        return loom::open(file, path, selection);
    }
    if !has(&["X"]) && !members(&file, "mod").is_empty() {
        return h5mu::open(file, path, selection);
    }
    if has(&["obs", "var", "layers", "raw", "raw.X"]) {
        return h5ad::open(file, path, selection);
    }
    if !has(&["X"]) && selection.dataset.is_none() {
        let groups = tenx::groups(&file);
        if !groups.is_empty() {
            return tenx::open_hdf5(file, groups, path, selection);
        }
    }
    bare::open(file, path, selection)
}

/// The tables of an HDF5 file, which stays open.
struct Hdf5Tables {
    annotations: Annotations,
    _file: Reading,
}

impl Tables for Hdf5Tables {
    fn annotation_bytes(&self) -> u64 {
        self.annotations.resident_bytes()
    }

    fn write(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        self.annotations.write(axis, table, monitor)
    }

    fn texts(&self, axis: Axis, column: Option<&str>) -> Option<Vec<String>> {
        self.annotations.texts(axis, column)
    }
}

/// The source of the matrix at `place`. Checks that there is a name for each row and column.
pub(super) fn boxed(
    file: Reading,
    path: &Path,
    selection: &Selection,
    place: Place,
    matrix: Matrix,
    annotations: Annotations,
) -> Result<Box<dyn Source>, StorageError> {
    annotations.check_lens(matrix.shape(), &place)?;
    let tables = Hdf5Tables { annotations, _file: file };
    Ok(Box::new(MatrixSource { place, matrix, tables, stamp: stamp(path, selection)? }))
}
