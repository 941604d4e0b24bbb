//! Reads tables of numbers of any AnnData file, such as `obsm["X_umap"]`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use hdf5::{Dataset, Datatype};

use super::factors::table_or;
use crate::hdf::{self, problem, raw};
use crate::{Remedy, StorageError};

/// A table of numbers of an AnnData file, read by rows.
pub struct Table {
    path: PathBuf,
    name: String,
    dataset: Dataset,
    memory: Datatype,
    rows: usize,
    columns: usize,
    _file: hdf::file::Reading,
}

impl Table {
    /// Opens the table `group/name`, such as `obsm/X_umap`. Reads no values: the sizes are what the file claims.
    ///
    /// # Errors
    ///
    /// - nothing is at `path`, or it is not an HDF5 file
    /// - there is no such table; the error lists the members of the group
    /// - it has no rows or columns, does not hold numbers, or has chunks that a file of its size cannot hold
    pub fn open(path: &Path, group: &str, name: &str) -> Result<Table, StorageError> {
        let file = hdf::file::open(path)?;
        let found = members_of(&file, group);
        let remedy = match found.is_empty() {
            true => format!("{group} is empty"),
            false => format!("{group} has {}", found.join(", ")),
        };
        let full = format!("{group}/{name}");
        let (dataset, [rows, columns]) = table_or(&file, path, &full, Remedy::Text(remedy), "choose another table")?;
        let memory = Datatype::from_type::<f32>().map_err(|e| problem::problem("read", path, &full, &e))?;
        Ok(Table { path: path.into(), name: full, dataset, memory, rows, columns, _file: file })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Reads the first `columns` numbers of each of `rows` into `out`, row-major.
    ///
    /// # Errors
    ///
    /// - the file cannot be read
    ///
    /// # Panics
    ///
    /// When `rows` or `columns` reach beyond the table, or `out` has another size.
    #[track_caller]
    pub fn read(&self, rows: Range<usize>, columns: usize, out: &mut [f32]) -> Result<(), StorageError> {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows {rows:?} are inside the table");
        assert!(columns <= self.columns, "{columns} columns are inside the table");
        assert_eq!(out.len(), rows.len() * columns, "one row of out for each row");
        raw::read(&self.dataset, &self.memory, &[rows.start, 0], &[rows.len(), columns], out)
            .map_err(|e| problem::problem("read", &self.path, &self.name, &e))
    }
}

/// The members of a group of the AnnData file at `path`, such as `obsm`; empty if there is no such group.
///
/// # Errors
///
/// - nothing is at `path`, or it is not an HDF5 file
pub fn members(path: &Path, group: &str) -> Result<Vec<String>, StorageError> {
    Ok(members_of(&*hdf::file::open(path)?, group))
}

fn members_of(file: &hdf5::File, group: &str) -> Vec<String> {
    hdf::file::members(file, group)
}

#[cfg(test)]
mod tests {
    use super::super::AnnDataWriter;
    use super::*;
    use crate::store::Overwrite;

    #[test]
    fn rows_are_read_and_missing_tables_are_named_with_those_that_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.h5ad");
        let mut file = AnnDataWriter::create(&path, Overwrite::Refuse).unwrap();
        let values: Vec<f32> = (0..12).map(|value| value as f32).collect();
        file.array2("obsm", "X_umap", 4, 3).unwrap().write_rows(0, &values).unwrap();
        file.finish().unwrap();
        let table = Table::open(&path, "obsm", "X_umap").unwrap();
        assert_eq!((table.rows(), table.columns()), (4, 3));
        let mut out = [0.0; 4];
        table.read(1..3, 2, &mut out).unwrap();
        assert_eq!(out, [3.0, 4.0, 6.0, 7.0]);
        let missing = Table::open(&path, "obsm", "X_tsne").map(drop).unwrap_err().to_string();
        assert!(missing.ends_with("there is no \"obsm/X_tsne\"; obsm has X_umap"), "{missing}");
        assert_eq!(members(&path, "obsm").unwrap(), ["X_umap"]);
        assert_eq!(members(&path, "nothing").unwrap(), Vec::<String>::new());
    }
}
