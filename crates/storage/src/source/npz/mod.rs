//! Archives of NumPy arrays (`.npz`): a sparse matrix of scipy, or one array of cells × genes.
//!
//! | file          | question                                              |
//! |---------------|-------------------------------------------------------|
//! | `archive`     | which members has an archive, and how is one read?    |
//! | `locate`      | which matrix is selected?                             |
//! | `list`        | how are the numbers of a member read in their order?  |
//! | `compressed`  | how is a matrix of compressed rows or columns read?   |
//! | `coordinates` | how is a matrix of coordinates read?                  |
//! | `places`      | which errors do entries have?                         |

mod archive;
mod compressed;
mod coordinates;
mod list;
mod locate;
mod places;

use std::ops::Range;
use std::path::{Path, PathBuf};

use self::compressed::Compressed;
use self::coordinates::Coordinates;
use self::list::{Fault, List};
#[cfg(feature = "hdf5")]
use super::numbered;
use super::{Entries, Form, Rounding, RowChunk, Source, SourceStamp, stamp, value};
use crate::StorageError;
use crate::remedy::Choice;
use crate::store::Selection;
#[cfg(feature = "hdf5")]
use crate::{Axis, FrameWriter, Monitor};

/// The name of a sparse matrix in messages.
const SPARSE: &str = "sparse matrix";

/// The most values of a transposed table read at a time.
const MOST: usize = 1 << 16;

/// A matrix in an archive.
pub(super) struct NpzSource {
    path: PathBuf,
    dataset: String,
    /// Cells and genes.
    shape: (usize, usize),
    matrix: Matrix,
    stamp: SourceStamp,
}

enum Matrix {
    ByCell(Compressed),
    ByGene(Compressed),
    Coordinates(Coordinates),
    /// A table of cells × genes.
    Table(List),
    /// A table of genes × cells, and its next value.
    Transposed(List, u64),
}

/// Opens the matrix, transposed if `selection.transpose` is set.
///
/// # Errors
///
/// - the archive is damaged, or holds neither a sparse matrix nor a table
/// - it holds several tables, and `selection` names none (the message lists them)
pub(super) fn open(path: &Path, selection: &Selection) -> Result<Box<dyn Source>, StorageError> {
    selection.check(path, "an archive of NumPy arrays", &[Choice::Transpose, Choice::Dataset])?;
    let members = archive::members(path)?;
    let format = members.iter().find(|member| member.name == "format");
    let (dataset, shape, matrix) = match format.filter(|_| selection.dataset.is_none()) {
        Some(format) => locate::sparse(path, &members, format, selection.transpose)?,
        None => locate::table(path, &members, selection)?,
    };
    if shape.0 > u32::MAX as usize && !matches!(matrix, Matrix::ByCell(_) | Matrix::Table(_)) {
        let problem = format!("has {} cells, which is not supported", shape.0);
        return Err(StorageError::InvalidDataset {
            path: path.into(),
            dataset,
            problem,
            remedy: "save it by cell (CSR)".into(),
        });
    }
    Ok(Box::new(NpzSource { path: path.into(), dataset, shape, matrix, stamp: stamp(path, selection)? }))
}

impl NpzSource {
    /// The numbers of the matrix.
    fn values(&self) -> &List {
        match &self.matrix {
            Matrix::ByCell(sparse) | Matrix::ByGene(sparse) => &sparse.values,
            Matrix::Coordinates(sparse) => &sparse.values,
            Matrix::Table(list) | Matrix::Transposed(list, _) => list,
        }
    }

    fn error(&self, fault: Fault, place: impl Fn(u64) -> (u64, u64), first: u64) -> StorageError {
        match fault {
            Fault::Archive(error) => error,
            Fault::Value { at, value: found } => {
                let (cell, gene) = place(first + at as u64);
                value::refused(&self.path, &self.dataset, (cell as usize, gene as usize), found)
            }
        }
    }
}

impl Source for NpzSource {
    fn path(&self) -> &Path {
        &self.path
    }

    fn dataset(&self) -> &str {
        &self.dataset
    }

    fn cells(&self) -> usize {
        self.shape.0
    }

    fn genes(&self) -> usize {
        self.shape.1
    }

    fn form(&self) -> Form {
        let entries = self.values().len();
        match &self.matrix {
            Matrix::ByCell(sparse) => Form::Sparse { entries, most_per_tile: sparse.most_per_tile },
            Matrix::Table(_) => Form::Dense,
            _ => Form::Entries { at_most: entries },
        }
    }

    fn resident_bytes(&self) -> u64 {
        match &self.matrix {
            Matrix::ByCell(sparse) | Matrix::ByGene(sparse) => sparse.resident_bytes(),
            Matrix::Coordinates(sparse) => sparse.resident_bytes(),
            Matrix::Table(list) | Matrix::Transposed(list, _) => list.resident_bytes(),
        }
    }

    fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        assert!(rows.start <= rows.end && rows.end <= self.shape.0, "rows {rows:?} are inside the matrix");
        let genes = self.shape.1;
        match &mut self.matrix {
            Matrix::ByCell(sparse) => sparse.read_rows(rows, chunk),
            Matrix::Table(list) => {
                let values = chunk.dense();
                values.resize(rows.len() * genes, 0.0);
                let first = rows.start as u64 * genes as u64;
                let place = |at: u64| (at / genes as u64, at % genes as u64);
                list.read(first, values).map_err(|fault| self.error(fault, place, first))
            }
            _ => panic!("{} is read by entries", self.path.display()),
        }
    }

    fn read_entries(&mut self, most: usize, entries: &mut Entries) -> Result<(), StorageError> {
        let cells = self.shape.0 as u64;
        match &mut self.matrix {
            Matrix::ByGene(sparse) => sparse.read_entries(most, entries),
            Matrix::Coordinates(sparse) => sparse.read_entries(most, entries),
            Matrix::Transposed(list, next) => {
                // After an error, reading begins again.
                let mut first = std::mem::take(next);
                let place = |at: u64| (at % cells, at / cells);
                entries.clear();
                while entries.is_empty() {
                    let count = usize::try_from(list.len() - first).unwrap_or(usize::MAX).min(most).min(MOST);
                    if count == 0 {
                        return Ok(());
                    }
                    let mut values = vec![0.0; count];
                    if let Err(fault) = list.read(first, &mut values) {
                        return Err(self.error(fault, place, first));
                    }
                    // Zeros are no entries.
                    for (at, &value) in values.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                        let (cell, gene) = place(first + at as u64);
                        entries.push(cell as u32, gene as u32, value);
                    }
                    first += count as u64;
                }
                *next = first;
                Ok(())
            }
            _ => panic!("{} is read by rows", self.path.display()),
        }
    }

    fn rounding(&self) -> Rounding {
        self.values().rounding()
    }

    #[cfg(feature = "hdf5")]
    fn write_table(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        numbered::names(axis, table, monitor)
    }

    fn stamp(&self) -> SourceStamp {
        self.stamp.clone()
    }
}
