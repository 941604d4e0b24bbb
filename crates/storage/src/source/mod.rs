//! Readers of users' files: one member per format, each a matrix of cells × genes by rows.
//!
//! [`open`] recognises a file by its content, not by its name. A reader validates values and
//! indices, and its errors name their place. It keeps only its chunk cache in memory, so that files
//! of any size need the same memory.

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
/// Values are f32, at least zero and finite. The call that reads any other value returns an error
/// that names file, dataset, row and column. After an error the source can be used again and gives
/// the same answers.
///
/// To write a new one:
///
/// 1. Put it into a file (or folder) of its own beside the others and recognise its content in
///    `src/detect.rs`.
/// 2. In the constructor, validate everything except the values: shape, lengths, row pointers.
/// 3. Return rows as they are stored: `convert` sorts, merges and drops zeros. Report rounding
///    through [`Source::rounding`].
/// 4. When rows are read in order, decompress each piece of the file once. Count the memory for
///    that in [`Source::resident_bytes`].
/// 5. Write names and columns in `write_annotations` through `AnnDataWriter`.
/// 6. Hold it to these promises in a test with [`conformance::check`] and
///    [`conformance::annotations_are_readable`].
pub trait Source: Send {
    /// The file.
    fn path(&self) -> &Path;

    /// The dataset of the file: `X`, `layers/counts`.
    fn dataset(&self) -> &str;

    /// Rows n.
    fn cells(&self) -> usize;

    /// Columns m.
    fn genes(&self) -> usize;

    /// Sparse or dense; if sparse, the number of entries. `convert` refuses a source whose form is
    /// wrong.
    fn form(&self) -> Form;

    /// Bytes that the reader keeps in memory while it reads rows in order, without the chunk that
    /// it fills.
    fn resident_bytes(&self) -> u64;

    /// Bytes that [`write_annotations`](Self::write_annotations) takes beyond the 12 MiB of usual
    /// files: for columns with large chunks.
    fn annotation_bytes(&self) -> u64 {
        0
    }

    /// Does reads that [`resident_bytes`](Self::resident_bytes) counts and that opening the file
    /// did not do, because they take much memory. The [`form`](Self::form) may be an upper bound
    /// before.
    ///
    /// # Errors
    ///
    /// - the file cannot be read, or contradicts itself
    fn prepare(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Reads consecutive rows as they are stored. `chunk` takes the form of the source and keeps
    /// its buffers.
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

    /// The values that were rounded to f32 in the rows read so far.
    fn rounding(&self) -> Rounding;

    /// Writes an AnnData file without a matrix at `dest`: the names of cells and genes and all
    /// columns of `obs` and `var`, in current encodings.
    ///
    /// Without the feature `hdf5` it may write nothing. The store then has no names.
    ///
    /// # Errors
    ///
    /// - names or columns cannot be read, `dest` cannot be written
    fn write_annotations(&self, dest: &Path, monitor: &dyn Monitor) -> Result<(), StorageError>;

    /// Identifies the file and the selection.
    fn stamp(&self) -> SourceStamp;
}

/// Opens the matrix that `selection` names in the file at `path`.
///
/// # Errors
///
/// - nothing is at `path`, or its format is not supported
/// - the matrix does not exist; the message lists those that do
/// - the matrix contradicts itself: lengths, shapes, row pointers
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
