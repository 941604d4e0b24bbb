//! Writes dense matrices and columns of f32 by rows.

use std::path::{Path, PathBuf};

use hdf5::plist::dataset_create::AllocTime;
use hdf5::{Dataset, Datatype, Group};

use super::Placed;
use crate::StorageError;
use crate::hdf::{attribute, problem, raw};

/// Writes a table of f32 by rows, in any order.
pub struct ArrayWriter {
    dataset: Dataset,
    memory: Datatype,
    path: PathBuf,
    name: String,
    columns: usize,
}

impl ArrayWriter {
    pub(super) fn create(
        parent: &Group,
        path: &Path,
        name: &str,
        (rows, columns): (usize, usize),
    ) -> Result<Self, StorageError> {
        Self::create_as(parent, path, name, &[rows, columns])
    }

    /// A list of `rows` numbers, written as a table of one column.
    pub(super) fn create_list(parent: &Group, path: &Path, name: &str, rows: usize) -> Result<Self, StorageError> {
        Self::create_as(parent, path, name, &[rows])
    }

    fn create_as(parent: &Group, path: &Path, name: &str, shape: &[usize]) -> Result<Self, StorageError> {
        let create = || {
            // Contiguous and allocated at once: other processes write their rows in place as well.
            let dataset =
                parent.new_dataset::<f32>().no_chunk().obj_track_times(false).alloc_time(Some(AllocTime::Early));
            let dataset = dataset.shape(shape).create(name)?;
            attribute::set_encoding(&dataset, "array", "0.2.0")?;
            Ok((dataset, Datatype::from_type::<f32>()?))
        };
        let (dataset, memory) = create().map_err(|e| problem::problem("write", path, name, &e))?;
        let columns = shape.get(1).copied().unwrap_or(1);
        Ok(ArrayWriter { dataset, memory, path: path.into(), name: name.into(), columns })
    }

    /// The byte of the file where the first row begins. The other rows follow it, as the machine's
    /// f32.
    ///
    /// # Errors
    ///
    /// - the table is empty
    pub fn place(&self) -> Result<u64, StorageError> {
        self.dataset.offset().ok_or_else(|| {
            problem::problem("write", &self.path, &self.name, &hdf5::Error::from("the table has no place in the file"))
        })
    }

    /// Where the table is, for writers of other processes.
    ///
    /// # Errors
    ///
    /// - the table is empty
    pub fn placed(&self) -> Result<Placed, StorageError> {
        Ok(Placed { place: self.place()?, columns: self.columns })
    }

    /// Writes whole rows, `values`, from `first_row` on. Rows that are never written are zero.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    ///
    /// # Panics
    ///
    /// When `values` are not whole rows.
    #[track_caller]
    pub fn write_rows(&mut self, first_row: usize, values: &[f32]) -> Result<(), StorageError> {
        if values.is_empty() {
            return Ok(());
        }
        assert!(self.columns > 0 && values.len().is_multiple_of(self.columns), "values are whole rows");
        let rows = values.len() / self.columns;
        let dims = self.dataset.ndim();
        raw::write(&self.dataset, &self.memory, &[first_row, 0][..dims], &[rows, self.columns][..dims], values)
            .map_err(|e| problem::problem("write", &self.path, &self.name, &e))
    }
}
