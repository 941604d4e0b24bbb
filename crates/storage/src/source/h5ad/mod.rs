//! AnnData files (`.h5ad`) of all versions, and plain HDF5 files with a matrix called `X`.
//!
//! | file          | question                                                |
//! |---------------|---------------------------------------------------------|
//! | `locate`      | which group or dataset is the selected matrix?          |
//! | `csr`         | how are sparse rows read?                               |
//! | `pointers`    | where does each row begin, for any number of rows?      |
//! | `dense`       | how are dense rows read?                                |
//! | `values`      | how do numbers become f32, and which are refused?       |
//! | `annotations` | how are names and columns written in current encodings? |

mod annotations;
mod csr;
mod dense;
mod locate;
mod pointers;
mod values;

use std::ops::Range;
use std::path::{Path, PathBuf};

use self::annotations::Annotations;
use self::csr::CsrReader;
use self::dense::DenseReader;
use self::locate::Matrix;
use super::{Form, Rounding, RowChunk, Source, SourceStamp, stamp_of};
use crate::error::Short;
use crate::store::Selection;
use crate::{Matrices, Monitor, Remedy, StorageError, hdf};

/// The place of a matrix, for messages.
#[derive(Debug, Clone)]
struct Place {
    path: PathBuf,
    /// The dataset or group: `X`, `layers/counts`, `raw/X`.
    dataset: String,
    /// The other matrices of the file.
    others: Matrices,
}

impl Place {
    /// Converts an error of the library while reading `part` of the matrix (empty: the matrix
    /// itself).
    fn problem(&self, part: &str, error: &hdf5::Error) -> StorageError {
        hdf::problem::problem("read", &self.path, &self.part(part), error)
    }

    /// The error of a `part` that contradicts the format.
    fn invalid(&self, part: &str, problem: String, remedy: &str) -> StorageError {
        let (dataset, remedy) = (self.part(part), remedy.into());
        StorageError::InvalidDataset { path: self.path.clone(), dataset, problem, remedy }
    }

    /// The error of a value that NMF does not accept.
    fn value(&self, row: usize, column: usize, value: f64) -> StorageError {
        if value.is_finite() && value > 0.0 {
            let problem =
                format!("has the value {} at row {row}, column {column}, which is beyond 32-bit floats", Short(value));
            return self.invalid("", problem, "scale the values down");
        }
        StorageError::InvalidValue {
            path: self.path.clone(),
            dataset: self.dataset.clone(),
            row: row as u64,
            column: column as u64,
            value,
            remedy: Remedy::ChooseValues(self.others.clone()).into(),
        }
    }

    fn part(&self, part: &str) -> String {
        if part.is_empty() { self.dataset.clone() } else { format!("{}/{part}", self.dataset) }
    }
}

/// The remedy for damaged files.
const DAMAGED: &str = "the file is damaged, create it again";

/// Opens the selected matrix of an HDF5 file.
pub(super) fn open(path: &Path, selection: &Selection) -> Result<Box<dyn Source>, StorageError> {
    if selection.transpose {
        let problem = "an AnnData file is cells × genes by definition and is not transposed".to_owned();
        return Err(StorageError::Selection { path: path.into(), problem, remedy: Remedy::LeaveTransposeAway.into() });
    }
    let file = hdf::file::open(path)?;
    let (place, matrix) = locate::locate(&file, path, selection)?;
    let annotations = Annotations::locate(&file, path, selection.raw);
    let rows = match matrix {
        Matrix::Csr { group, shape } => {
            let cells_genes = shape.or_else(|| annotations.lens());
            Rows::Csr(Box::new(CsrReader::open(&group, cells_genes, place.clone())?))
        }
        Matrix::Dense => Rows::Dense(DenseReader::open(&file, place.clone())?),
    };
    annotations.check_lens(rows.shape(), &place)?;
    Ok(Box::new(H5adSource { place, rows, annotations, stamp: stamp_of(path, selection)?, _file: file }))
}

enum Rows {
    Csr(Box<CsrReader>),
    Dense(DenseReader),
}

impl Rows {
    fn shape(&self) -> (usize, usize) {
        match self {
            Rows::Csr(csr) => csr.shape(),
            Rows::Dense(dense) => dense.shape(),
        }
    }
}

/// A matrix of an HDF5 file.
struct H5adSource {
    place: Place,
    rows: Rows,
    annotations: Annotations,
    stamp: SourceStamp,
    _file: hdf::file::Reading,
}

impl Source for H5adSource {
    fn path(&self) -> &Path {
        &self.place.path
    }

    fn dataset(&self) -> &str {
        &self.place.dataset
    }

    fn cells(&self) -> usize {
        self.rows.shape().0
    }

    fn genes(&self) -> usize {
        self.rows.shape().1
    }

    fn form(&self) -> Form {
        match &self.rows {
            Rows::Csr(csr) => csr.form(),
            Rows::Dense(_) => Form::Dense,
        }
    }

    fn resident_bytes(&self) -> u64 {
        match &self.rows {
            Rows::Csr(csr) => csr.resident_bytes(),
            Rows::Dense(dense) => dense.resident_bytes(),
        }
    }

    fn annotation_bytes(&self) -> u64 {
        self.annotations.resident_bytes()
    }

    fn prepare(&mut self) -> Result<(), StorageError> {
        match &mut self.rows {
            Rows::Csr(csr) => csr.check(),
            Rows::Dense(_) => Ok(()),
        }
    }

    fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        assert!(rows.start <= rows.end && rows.end <= self.cells(), "rows {rows:?} are inside the matrix");
        match &mut self.rows {
            Rows::Csr(csr) => csr.read_rows(rows, chunk),
            Rows::Dense(dense) => dense.read_rows(rows, chunk),
        }
    }

    fn rounding(&self) -> Rounding {
        match &self.rows {
            Rows::Csr(csr) => csr.rounding(),
            Rows::Dense(dense) => dense.rounding(),
        }
    }

    fn write_annotations(&self, dest: &Path, monitor: &dyn Monitor) -> Result<(), StorageError> {
        self.annotations.write(dest, self.rows.shape(), monitor)
    }

    fn stamp(&self) -> SourceStamp {
        self.stamp.clone()
    }
}
