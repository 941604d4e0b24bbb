//! Validates the rows of a source. Any crate may implement [`Source`], and no implementation may
//! produce a bad store.
//!
//! The reading thread checks lengths, at the cost of one look at each row pointer. The encoding
//! threads check columns and values while they [tidy](super::tidy) or pack rows.

use std::ops::Range;
use std::path::PathBuf;

use crate::error::StorageError;
use crate::number::Number;
use crate::remedy::{Matrices, Remedy};
use crate::source::{Form, RowChunk, Source};

/// The remedy for a reader that breaks its promises.
pub(super) const DEFECT: &str = "the reader of this format has a defect, report it to its author";

/// The place of a matrix, for messages from threads that do not have the source.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    path: PathBuf,
    dataset: String,
    genes: usize,
}

/// An entry that no store may hold. Rows count from the first row of the chunk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// A column that the matrix does not have.
    Column { row: usize, column: u32 },
    /// A value that is negative or not finite.
    Value { row: usize, column: u32, value: f32 },
    /// Duplicates that add up beyond f32.
    Sum { row: usize, column: u32 },
}

impl Place {
    /// The place of `source`, which has `genes` columns.
    pub(crate) fn of(source: &dyn Source, genes: usize) -> Place {
        Place { path: source.path().into(), dataset: source.dataset().into(), genes }
    }

    /// The error of a matrix that contradicts itself.
    pub(super) fn invalid(&self, problem: String, remedy: &str) -> StorageError {
        StorageError::InvalidDataset {
            path: self.path.clone(),
            dataset: self.dataset.clone(),
            problem,
            remedy: remedy.into(),
        }
    }

    /// The error of a column that the matrix does not have.
    #[cfg(feature = "hdf5")]
    pub(crate) fn column(&self, row: usize, column: u32) -> StorageError {
        self.fault(row, Fault::Column { row: 0, column })
    }

    /// The error of a fault in a chunk that begins at `first_row`.
    pub(super) fn fault(&self, first_row: usize, fault: Fault) -> StorageError {
        let (path, dataset) = (self.path.clone(), self.dataset.clone());
        match fault {
            Fault::Column { row, column } => StorageError::ColumnOutOfRange {
                path,
                dataset,
                row: (first_row + row) as u64,
                column: column.into(),
                columns: self.genes as u64,
            },
            Fault::Value { row, column, value } => StorageError::InvalidValue {
                path,
                dataset,
                row: (first_row + row) as u64,
                column: column.into(),
                value: value.into(),
                remedy: Remedy::ChooseValues(Matrices::default()).into(),
            },
            Fault::Sum { row, column } => self.invalid(
                format!("has entries at row {}, column {column} that add up beyond 32-bit floats", first_row + row),
                "scale the values down",
            ),
        }
    }

    /// Checks that `chunk` has the form of the source and that its arrays have the lengths for
    /// `rows`.
    pub(crate) fn check_lengths(&self, chunk: &RowChunk, form: Form, rows: &Range<usize>) -> Result<(), StorageError> {
        let found = match (chunk, form) {
            (RowChunk::Dense { values }, Form::Dense) => {
                if rows.len().checked_mul(self.genes) == Some(values.len()) {
                    return Ok(());
                }
                format!("{} values for {} columns", values.len(), self.genes)
            }
            (RowChunk::Sparse { indptr, indices, values }, Form::Sparse { .. }) => {
                let ends = (indptr.first(), indptr.last());
                if indptr.len() != rows.len() + 1 {
                    format!("{} row pointers, expected {}", indptr.len(), rows.len() + 1)
                } else if ends != (Some(&0), Some(&values.len())) || indices.len() != values.len() {
                    let (first, last) = (indptr[0], indptr[rows.len()]);
                    let (columns, values) = (indices.len(), values.len());
                    format!("row pointers from {first} to {last} for {columns} columns and {values} values")
                } else if let Some(row) = indptr.windows(2).position(|pair| pair[0] > pair[1]) {
                    format!("row pointers that fall from {} to {}", indptr[row], indptr[row + 1])
                } else {
                    return Ok(());
                }
            }
            (_, Form::Entries { .. }) => unreachable!("entries are transposed first"),
            (RowChunk::Dense { .. }, Form::Sparse { .. }) => "a table, although the matrix is sparse".into(),
            (RowChunk::Sparse { .. }, Form::Dense) => "sparse rows, although the matrix is dense".into(),
        };
        Err(self.invalid(format!("was read at rows {} to {} as {found}", rows.start, rows.end), DEFECT))
    }

    /// Checks that a matrix of `cells` rows has rows and columns, and no more than are counted.
    pub(super) fn check_shape(&self, cells: usize) -> Result<(), StorageError> {
        let genes = self.genes;
        if cells > 0 && genes > 0 && genes <= u32::MAX as usize {
            return Ok(());
        }
        let problem = format!("is {cells} cells × {genes} genes, expected at least one and at most 2^32 - 1 genes");
        Err(self.invalid(problem, "choose a matrix with values"))
    }

    /// Checks that a sparse form does not contradict itself.
    pub(super) fn check_form(&self, entries: u64, most_per_tile: usize) -> Result<(), StorageError> {
        if most_per_tile as u64 <= entries {
            return Ok(());
        }
        let problem = format!("was announced to have {most_per_tile} entries in a tile, but {entries} in all");
        Err(self.invalid(problem, DEFECT))
    }

    /// Checks that a tile of `entries` entries is within the form of the source.
    pub(super) fn check_tile(&self, form: Form, entries: usize, rows: &Range<usize>) -> Result<(), StorageError> {
        match form {
            Form::Sparse { most_per_tile, .. } if entries > most_per_tile => {
                let Range { start, end } = rows;
                let problem = format!(
                    "has {entries} entries in rows {start} to {end}, but was announced to have {most_per_tile} at most"
                );
                Err(self.invalid(problem, DEFECT))
            }
            _ => Ok(()),
        }
    }

    /// Checks that `found` entries in all are those of the form of the source.
    pub(super) fn check_total(&self, form: Form, found: u64) -> Result<(), StorageError> {
        match form {
            Form::Sparse { entries, .. } if entries != found => {
                let problem = format!("has {found} entries, but was announced to have {entries}");
                Err(self.invalid(problem, DEFECT))
            }
            _ => Ok(()),
        }
    }
}

/// Checks a table of whole rows of `genes` columns, and turns −0 into 0.
pub(super) fn check_dense(values: &mut [f32], genes: usize) -> Result<(), Fault> {
    let mut sound = true;
    for value in values.iter_mut() {
        sound &= (*value >= 0.0) & (*value < f32::INFINITY);
        *value += 0.0;
    }
    if sound {
        return Ok(());
    }
    let at = values.iter().position(|value| value.accept().is_none()).expect("one value at least is unsound");
    Err(Fault::Value { row: at / genes, column: (at % genes) as u32, value: values[at] })
}
