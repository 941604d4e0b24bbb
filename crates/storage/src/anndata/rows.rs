//! Writes rows of a table into an unfinished AnnData file without the HDF5 library, so that
//! processes on several nodes write one file that only one of them has open in the library.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::part;
use crate::{StorageError, traffic};

/// A table of f32 in an unfinished file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The byte where its first row begins ([`ArrayWriter::place`](super::ArrayWriter::place)).
    pub place: u64,
    /// Its columns.
    pub columns: usize,
}

/// Tables of f32 in a file that an [`AnnDataWriter`](super::AnnDataWriter) of this or another
/// process is writing.
///
/// Write all rows before that writer finishes, each row from one process.
#[derive(Debug)]
pub struct RowsInPlace {
    file: File,
    dest: PathBuf,
    tables: Vec<Placed>,
}

impl RowsInPlace {
    /// Opens the unfinished file of `dest`, which has these tables.
    ///
    /// # Errors
    ///
    /// - this process does not see the file, or cannot write it
    pub fn open(dest: &Path, tables: Vec<Placed>) -> Result<Self, StorageError> {
        let path = part::path_of(dest);
        let file = OpenOptions::new().write(true).open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => StorageError::NotShared { path: dest.into() },
            _ => StorageError::io("write", dest, error),
        })?;
        Ok(RowsInPlace { file, dest: dest.into(), tables })
    }

    /// Writes whole rows of the table number `table`, `values`, from `first_row` on.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    ///
    /// # Panics
    ///
    /// When there is no such table, or `values` are not whole rows.
    #[track_caller]
    pub fn write(&self, table: usize, first_row: usize, values: &[f32]) -> Result<(), StorageError> {
        let Placed { place, columns } = self.tables[table];
        assert!(values.len().is_multiple_of(columns), "values are whole rows");
        let at = place + 4 * (first_row * columns) as u64;
        self.file
            .write_all_at(bytemuck::cast_slice(values), at)
            .map_err(|error| StorageError::io("write", &self.dest, error))?;
        traffic::ended();
        Ok(())
    }

    /// Flushes the rows to the disk. On a network file system, other nodes then see them.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    pub fn sync(self) -> Result<(), StorageError> {
        self.file.sync_all().map_err(|error| StorageError::io("write", &self.dest, error))
    }
}
