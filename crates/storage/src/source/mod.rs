//! Readers of the files people have: one member per format, each giving rows of cells × genes.
//!
//! [`open`] looks at a file's content, not at its name. A reader validates what it reads (a value that is negative or not
//! finite, an index that points nowhere) and says where it is; it keeps nothing but its chunk cache, so that files of any size
//! can be read in the same memory.

pub mod conformance;
#[cfg(feature = "hdf5")]
mod h5ad;
mod npy;
mod reads;

use std::ops::Range;
use std::path::Path;

pub use reads::{Form, RowChunk};

pub use crate::number::Rounding;

use crate::detect::{self, Format};
use crate::store::{Selection, SourceStamp};
use crate::{Monitor, StorageError};

/// A matrix of cells × genes in a file, read by rows.
///
/// Values are at least zero, finite, and f32; anything else in the file is an error of the call that meets it, which names file,
/// dataset, row and column. After an error the source may be asked again, and answers the same.
///
/// To write a new one:
///
/// 1. Put it into a file (or folder) of its own beside the others and recognise its content in `src/detect.rs`.
/// 2. Validate in the constructor what can be known without reading the values: shape, lengths, that rows do not overlap.
/// 3. Give rows as they are stored: `convert` sorts, merges and drops zeros. Report rounding through [`Source::rounding`].
/// 4. Read rows in the order asked, decompressing each piece of the file once when asked in order, and count what that keeps in
///    memory in [`Source::resident_bytes`].
/// 5. Write names and columns in `write_annotations` through `AnnDataWriter`.
/// 6. Hold it to these promises in a test with [`conformance::check`] and [`conformance::annotations_are_readable`].
pub trait Source: Send {
    /// The file.
    fn path(&self) -> &Path;

    /// Which dataset of the file: `X`, `layers/counts`.
    fn dataset(&self) -> &str;

    /// Rows n.
    fn cells(&self) -> usize;

    /// Columns m.
    fn genes(&self) -> usize;

    /// Sparse or dense, and how much of it.
    fn form(&self) -> Form;

    /// Bytes that the reader keeps resident while it reads rows in order, beyond the chunk that it fills.
    fn resident_bytes(&self) -> u64;

    /// Reads consecutive rows as they are stored. `chunk` becomes of the source's form and keeps its buffers.
    ///
    /// # Errors
    ///
    /// - the file cannot be read
    /// - a value is negative, NaN, infinite or beyond f32; an index is not below m
    ///
    /// # Panics
    ///
    /// When `rows` reaches beyond the matrix.
    fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError>;

    /// What was rounded to f32 in the rows read so far.
    fn rounding(&self) -> Rounding;

    /// Writes an AnnData file without a matrix at `dest`: the names of cells and genes and all columns of `obs` and `var`, in the
    /// encodings of today.
    ///
    /// In a build without the feature `hdf5` it may leave nothing there. The store then has no names.
    ///
    /// # Errors
    ///
    /// - names or columns cannot be read, `dest` cannot be written
    fn write_annotations(&self, dest: &Path, monitor: &dyn Monitor) -> Result<(), StorageError>;

    /// What identifies the file and the selection.
    fn stamp(&self) -> SourceStamp;
}

/// Opens the matrix that `selection` chooses in the file at `path`.
///
/// # Errors
///
/// - nothing at `path`, or a format that is not read
/// - the matrix is not there; the message says what is
/// - it contradicts itself: lengths, shapes, row pointers
pub fn open(path: &Path, selection: &Selection) -> Result<Box<dyn Source>, StorageError> {
    match detect::format_of(path)? {
        #[cfg(feature = "hdf5")]
        Format::Hdf5 => h5ad::open(path, selection),
        #[cfg(not(feature = "hdf5"))]
        Format::Hdf5 => Err(StorageError::UnknownFormat {
            path: path.into(),
            reason: "it is an HDF5 file, and this build has no HDF5 library; save it as .npy".into(),
        }),
        Format::Npy => Ok(Box::new(npy::NpySource::open(path, selection)?)),
    }
}

/// The stamp of the file at `path`.
fn stamp_of(path: &Path, selection: &Selection) -> Result<SourceStamp, StorageError> {
    let meta = std::fs::metadata(path).map_err(|e| StorageError::io("read", path, e))?;
    let absolute = std::path::absolute(path).map_err(|e| StorageError::io("read", path, e))?;
    let modified = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    Ok(SourceStamp {
        path: absolute,
        bytes: meta.len(),
        modified_ns: modified.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)),
        selection: selection.clone(),
    })
}
