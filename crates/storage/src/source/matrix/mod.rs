//! Matrices that are lists or tables of numbers, whatever the format around them: `.h5ad`, 10x,
//! loom, a bare dataset, zarr.
//!
//! | file       | question                                                   |
//! |------------|------------------------------------------------------------|
//! | `found`    | in which form is a matrix of an HDF5 file stored?          |
//! | `sparse`   | how are compressed rows read: `data`, `indices`, `indptr`? |
//! | `ahead`    | how are long lists unpacked on several threads?            |
//! | `pointers` | where does each row begin, for any number of rows?         |
//! | `dense`    | how is a table read?                                       |
//! | `values`   | how do numbers become f32, and which are refused?          |
//! | `select`   | which matrix of an AnnData object is selected?             |
//! | `source`   | how are a matrix and its tables a `Source`?                |
//! | `numbers`  | what does a format provide? The trait `Numbers`            |
//! | `hdf5`     | how are numbers of HDF5 files read?                        |

#[cfg(feature = "hdf5")]
mod ahead;
mod dense;
#[cfg(feature = "hdf5")]
mod found;
#[cfg(feature = "hdf5")]
mod hdf5;
pub(super) mod numbers;
mod pointers;
mod select;
mod source;
mod sparse;
mod values;

use std::ops::Range;
use std::path::PathBuf;

#[cfg(feature = "hdf5")]
use ::hdf5::{File, Group};

use self::dense::DenseReader;
#[cfg(feature = "hdf5")]
pub(super) use self::found::Found;
#[cfg(feature = "hdf5")]
use self::hdf5::Hdf5Numbers;
#[cfg(feature = "hdf5")]
use self::numbers::Access;
use self::numbers::Numbers;
pub(super) use self::select::Offer;
pub(super) use self::source::{MatrixSource, Tables};
pub(super) use self::sparse::Parts;
use self::sparse::SparseReader;
use super::subset::Subset;
use super::{Entries, Form, Rounding, RowChunk};
use crate::error::Short;
#[cfg(feature = "hdf5")]
use crate::hdf;
use crate::{Axis, Matrices, Remedy, StorageError};

/// The remedy for damaged files.
pub(super) const DAMAGED: &str = "the file is damaged, create it again";

/// The place of a matrix, for messages.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// The dataset or group: `X`, `layers/counts`, `raw/X`.
    pub(super) dataset: String,
    /// The other matrices of the file.
    pub(super) others: Matrices,
}

impl Place {
    /// Converts an error of the HDF5 library while reading `part` of the matrix (empty: the matrix
    /// itself).
    #[cfg(feature = "hdf5")]
    pub(super) fn problem(&self, part: &str, error: &::hdf5::Error) -> StorageError {
        hdf::problem::problem("read", &self.path, &self.part(part), error)
    }

    /// The error of a `part` that contradicts the format.
    pub(super) fn invalid(&self, part: &str, problem: String, remedy: &str) -> StorageError {
        let (dataset, remedy) = (self.part(part), remedy.into());
        StorageError::InvalidDataset { path: self.path.clone(), dataset, problem, remedy }
    }

    /// The remedy for a layer that does not exist.
    pub(super) fn no_layer(layers: &[String]) -> Box<Remedy> {
        match layers.is_empty() {
            true => "the file has no layers".into(),
            false => format!("its layers are {}", layers.join(", ")).into(),
        }
    }

    /// The error of a value that NMF does not accept.
    fn value(&self, cell: usize, gene: usize, value: f64) -> StorageError {
        if value.is_finite() && value > 0.0 {
            let problem =
                format!("has the value {} at row {cell}, column {gene}, which is beyond 32-bit floats", Short(value));
            return self.invalid("", problem, "scale the values down");
        }
        StorageError::InvalidValue {
            path: self.path.clone(),
            dataset: self.dataset.clone(),
            row: cell as u64,
            column: gene as u64,
            value,
            remedy: Remedy::ChooseValues(self.others.clone()).into(),
        }
    }

    fn part(&self, part: &str) -> String {
        if part.is_empty() { self.dataset.clone() } else { format!("{}/{part}", self.dataset) }
    }
}

/// A matrix of cells × genes, stored by cell or by gene.
pub(super) struct Matrix {
    reader: Reader,
    by: Axis,
}

enum Reader {
    Sparse(Box<SparseReader>),
    Dense(Box<DenseReader>),
}

impl Matrix {
    /// The matrix of `file` at `place` in the form that was found. `named` is the number of names of
    /// cells and of genes, for a sparse matrix without a shape.
    #[cfg(feature = "hdf5")]
    pub(super) fn open(
        file: &File,
        found: Found,
        named: Option<(usize, usize)>,
        place: Place,
    ) -> Result<Matrix, StorageError> {
        match found {
            Found::Sparse { group, by, shape } => Self::sparse(&group, shape.or(named), by, place),
            Found::Dense { by } => Self::dense(file, by, place),
        }
    }

    /// The compressed rows in `group`: each is a cell or, `by` genes, a gene. `shape` is cells and
    /// genes.
    ///
    /// Validates lengths and row pointers, which costs one read of `indptr`, unless its chunks are
    /// large.
    #[cfg(feature = "hdf5")]
    pub(super) fn sparse(
        group: &Group,
        shape: Option<(usize, usize)>,
        by: Axis,
        place: Place,
    ) -> Result<Matrix, StorageError> {
        let part = |name| -> Result<Box<dyn Numbers>, StorageError> {
            Ok(Box::new(Hdf5Numbers::open(group, name, Access::Rows, &place, name)?))
        };
        let parts = Parts { indptr: part("indptr")?, indices: part("indices")?, data: part("data")? };
        Matrix::of_parts(parts, shape, by, place)
    }

    /// The table at `place`, of cells × genes or, `by` genes, of genes × cells.
    #[cfg(feature = "hdf5")]
    pub(super) fn dense(file: &File, by: Axis, place: Place) -> Result<Matrix, StorageError> {
        let access = if by == Axis::Cells { Access::Rows } else { Access::Boxes };
        let numbers = Hdf5Numbers::open(file, &place.dataset, access, &place, "")?;
        Matrix::of_table(Box::new(numbers), by, place)
    }

    /// Compressed rows of any format, opened for rows. The rest is as for [`sparse`](Self::sparse).
    pub(super) fn of_parts(
        parts: Parts,
        shape: Option<(usize, usize)>,
        by: Axis,
        place: Place,
    ) -> Result<Matrix, StorageError> {
        Ok(Matrix { reader: Reader::Sparse(Box::new(SparseReader::open(parts, shape, by, place)?)), by })
    }

    /// A table of any format, opened for rows or, `by` genes, for boxes.
    pub(super) fn of_table(numbers: Box<dyn Numbers>, by: Axis, place: Place) -> Result<Matrix, StorageError> {
        Ok(Matrix { reader: Reader::Dense(Box::new(DenseReader::open(numbers, by, place)?)), by })
    }

    /// Leaves out genes of compressed rows that are cells.
    ///
    /// The form is an upper bound until [`prepare`](Self::prepare) has counted their entries.
    #[cfg_attr(not(feature = "hdf5"), allow(dead_code, reason = "of these matrices, 10x files choose genes"))]
    pub(super) fn keep(&mut self, genes: Subset) {
        assert_eq!(self.by, Axis::Cells, "a matrix by gene is read whole");
        match &mut self.reader {
            Reader::Sparse(sparse) => sparse.keep(genes),
            Reader::Dense(_) => unreachable!("no format with tables chooses genes"),
        }
    }

    /// Cells and genes.
    pub(super) fn shape(&self) -> (usize, usize) {
        let (rows, columns) = match &self.reader {
            Reader::Sparse(sparse) => sparse.shape(),
            Reader::Dense(dense) => dense.shape(),
        };
        if self.by == Axis::Cells { (rows, columns) } else { (columns, rows) }
    }

    pub(super) fn form(&self) -> Form {
        match (&self.reader, self.by) {
            (Reader::Sparse(sparse), Axis::Cells) => {
                Form::Sparse { entries: sparse.entries(), most_per_tile: sparse.most_per_tile() }
            }
            (Reader::Sparse(sparse), Axis::Genes) => Form::Entries { at_most: sparse.entries() },
            (Reader::Dense(_), Axis::Cells) => Form::Dense,
            (Reader::Dense(dense), Axis::Genes) => Form::Entries { at_most: dense.values() },
        }
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        match &self.reader {
            Reader::Sparse(sparse) => sparse.resident_bytes(),
            Reader::Dense(dense) => dense.resident_bytes(),
        }
    }

    /// Validates and counts what opening did not, because it takes much memory or time.
    pub(super) fn prepare(&mut self) -> Result<(), StorageError> {
        match &mut self.reader {
            Reader::Sparse(sparse) => sparse.prepare(),
            Reader::Dense(_) => Ok(()),
        }
    }

    /// Reads ahead from now on, on `threads` threads and in at most `memory` bytes more.
    pub(super) fn read_ahead(&mut self, threads: usize, memory: u64) {
        match &mut self.reader {
            Reader::Sparse(sparse) => sparse.read_ahead(threads, memory),
            Reader::Dense(_) => (),
        }
    }

    pub(super) fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        assert!(rows.start <= rows.end && rows.end <= self.shape().0, "rows {rows:?} are inside the matrix");
        assert_eq!(self.by, Axis::Cells, "a matrix by gene is read by entries");
        match &mut self.reader {
            Reader::Sparse(sparse) => sparse.read_rows(rows, chunk),
            Reader::Dense(dense) => dense.read_rows(rows, chunk),
        }
    }

    pub(super) fn read_entries(&mut self, most: usize, entries: &mut Entries) -> Result<(), StorageError> {
        assert_eq!(self.by, Axis::Genes, "a matrix by cell is read by rows");
        match &mut self.reader {
            Reader::Sparse(sparse) => sparse.read_entries(most, entries),
            Reader::Dense(dense) => dense.read_entries(most, entries),
        }
    }

    pub(super) fn rounding(&self) -> Rounding {
        match &self.reader {
            Reader::Sparse(sparse) => sparse.rounding(),
            Reader::Dense(dense) => dense.rounding(),
        }
    }
}
