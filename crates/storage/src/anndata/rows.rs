//! Rows of a table written straight into an unfinished AnnData file, past the HDF5 library: how several processes, on several
//! nodes, write one file of which only one has the library's view.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::part;
use crate::StorageError;

/// A table of f32 in a file that an [`AnnDataWriter`](super::AnnDataWriter), of this process or another, is making.
///
/// It is written before that one finishes, each row by one process.
#[derive(Debug)]
pub struct RowsInPlace {
    file: File,
    dest: PathBuf,
    place: u64,
    columns: usize,
}

impl RowsInPlace {
    /// Opens what is being written for `dest`; the table of so many columns begins at byte `place`
    /// ([`ArrayWriter::place`](super::ArrayWriter::place)).
    ///
    /// # Errors
    ///
    /// - the file is not to be seen from here, or cannot be written
    pub fn open(dest: &Path, place: u64, columns: usize) -> Result<Self, StorageError> {
        let path = part::path_of(dest);
        let file = OpenOptions::new().write(true).open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => StorageError::NotShared { path: dest.into() },
            _ => StorageError::io("write", dest, error),
        })?;
        Ok(RowsInPlace { file, dest: dest.into(), place, columns })
    }

    /// Writes `values`, whole rows one after the other, at `first_row`.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    ///
    /// # Panics
    ///
    /// When `values` are no whole rows.
    #[track_caller]
    pub fn write(&self, first_row: usize, values: &[f32]) -> Result<(), StorageError> {
        assert!(values.len().is_multiple_of(self.columns), "values are whole rows");
        let at = self.place + 4 * (first_row * self.columns) as u64;
        self.file
            .write_all_at(bytemuck::cast_slice(values), at)
            .map_err(|error| StorageError::io("write", &self.dest, error))
    }

    /// Brings the rows to the disk: on a network file system, to where other nodes see them.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    pub fn sync(self) -> Result<(), StorageError> {
        self.file.sync_all().map_err(|error| StorageError::io("write", &self.dest, error))
    }
}
