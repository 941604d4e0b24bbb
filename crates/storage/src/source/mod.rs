//! Readers of users' files: one member per format, each a matrix of cells × genes.
//!
//! Most formats are read by rows. Those that are stored by gene, or in no order, are read as entries
//! in the order of the file ([`Form::Entries`]); `convert` transposes them.
//!
//! [`open`] recognises a file by its content, not by its name. A reader validates values and
//! indices, and its errors name their place. It keeps only its chunk cache in memory, so that files
//! of any size need the same memory.

#[cfg(feature = "hdf5")]
pub(crate) mod annotations;
#[cfg(feature = "hdf5")]
mod bare;
pub mod conformance;
mod csv;
#[cfg(feature = "hdf5")]
mod h5ad;
#[cfg(feature = "hdf5")]
mod h5mu;
#[cfg(feature = "hdf5")]
mod in_hdf5;
#[cfg(feature = "hdf5")]
mod loom;
mod matrix;
mod matrix_market;
mod npy;
mod npz;
#[cfg(feature = "hdf5")]
mod numbered;
pub mod peek;
mod reads;
mod subset;
mod tenx;
mod unpacked;
mod value;
#[cfg_attr(not(feature = "hdf5"), allow(dead_code, reason = "names are read to be written with the HDF5 library"))]
mod zarr;

use std::ops::Range;
use std::path::Path;

pub use reads::{Entries, Form, RowChunk};

pub use crate::number::Rounding;

use crate::detect::{self, Format};
use crate::store::{Selection, SourceStamp};
#[cfg(feature = "hdf5")]
use crate::{AnnDataWriter, Axis, FrameWriter, Overwrite};
use crate::{Matrices, Monitor, StorageError};

/// A matrix of cells × genes in a file, read by rows or entry by entry, as its [`form`](Self::form)
/// says.
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
///    through [`Source::rounding`]. If the file is not stored by rows, return its entries in the order
///    of the file: `convert` transposes them.
/// 4. When rows are read in order, decompress each piece of the file once. Count the memory for
///    that in [`Source::resident_bytes`].
/// 5. Write names and columns in `write_table`.
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

    /// Sparse, dense or entries; the number of entries unless it is dense. `convert` refuses a source
    /// whose form is wrong.
    fn form(&self) -> Form;

    /// Bytes that the reader keeps in memory while it reads rows in order, without the chunk that
    /// it fills.
    fn resident_bytes(&self) -> u64;

    /// Bytes that [`write_table`](Self::write_table) takes beyond the memory of usual files: for
    /// columns with large chunks.
    fn annotation_bytes(&self) -> u64 {
        0
    }

    /// Does reads that [`resident_bytes`](Self::resident_bytes) counts and that opening the file
    /// did not do, because they take much memory or time. The [`form`](Self::form) may be an upper bound
    /// before.
    ///
    /// # Errors
    ///
    /// - the file cannot be read, or contradicts itself
    fn prepare(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Whether the matrix is that of several files. The numbers of its [`form`](Self::form) are estimates
    /// then, and the order of columns in a row is that of no file.
    fn is_joined(&self) -> bool {
        false
    }

    /// The leading rows that the matrix of a source with the stamp `earlier` has in common with this one, if
    /// both have the same genes.
    fn common_rows(&self, earlier: &SourceStamp) -> usize {
        if self.stamp() == *earlier { self.cells() } else { 0 }
    }

    /// Identifies the genes and their order, where they do not follow from the stamp.
    fn genes_crc(&self) -> u32 {
        0
    }

    /// The other matrices of the file that a selection may name.
    fn other_matrices(&self) -> Matrices {
        Matrices::default()
    }

    /// The column of `var` with ids that are unique where names of genes repeat, if the format has one.
    fn gene_ids(&self) -> Option<&'static str> {
        None
    }

    /// Announces the folder for temporary files.
    fn use_folder(&mut self, folder: &Path) {
        let _ = folder;
    }

    /// Announces that all rows or entries are read in order. From now on the source may use `threads`
    /// threads and keep `memory` bytes more in memory, which
    /// [`resident_bytes`](Self::resident_bytes) then counts. With no memory it stops reading ahead.
    fn read_ahead(&mut self, threads: usize, memory: u64) {
        let _ = (threads, memory);
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
    /// When `rows` reaches beyond the matrix, or the form is [`Form::Entries`].
    fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError>;

    /// Replaces `entries` with the next ones in the order of the file, at most `most`. None are left
    /// when it returns no entry; the next call then begins again. It also does after an error.
    ///
    /// # Errors
    ///
    /// - as for [`read_rows`](Self::read_rows)
    ///
    /// # Panics
    ///
    /// When the form is not [`Form::Entries`].
    fn read_entries(&mut self, most: usize, entries: &mut Entries) -> Result<(), StorageError> {
        let _ = (most, entries);
        panic!("{} is read by rows", self.path().display());
    }

    /// The values that were rounded to f32 in the rows read so far.
    fn rounding(&self) -> Rounding;

    /// Writes the names of the cells or of the genes, and all columns of `obs` or `var`, in current
    /// encodings.
    ///
    /// # Errors
    ///
    /// - names or columns cannot be read, `table` cannot be written
    #[cfg(feature = "hdf5")]
    fn write_table(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError>;

    /// The texts of a column of `obs` or `var`, or the names, if they can be read without writing a table.
    #[cfg(feature = "hdf5")]
    fn texts(&self, axis: Axis, column: Option<&str>) -> Option<Vec<String>> {
        let _ = (axis, column);
        None
    }

    /// Writes both tables as an AnnData file without a matrix at `dest`.
    ///
    /// Without the feature `hdf5` it writes nothing. The store then has no names.
    ///
    /// # Errors
    ///
    /// - as for [`write_table`](Self::write_table)
    fn write_annotations(&self, dest: &Path, monitor: &dyn Monitor) -> Result<(), StorageError> {
        #[cfg(feature = "hdf5")]
        {
            let mut writer = AnnDataWriter::create(dest, Overwrite::Replace)?;
            for (axis, rows) in [(Axis::Cells, self.cells()), (Axis::Genes, self.genes())] {
                let mut table = writer.dataframe(axis, rows)?;
                self.write_table(axis, &mut table, monitor)?;
                table.finish()?;
            }
            writer.finish()
        }
        #[cfg(not(feature = "hdf5"))]
        {
            let _ = (dest, monitor);
            Ok(())
        }
    }

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
        Format::TenxFolder => tenx::open_folder(path, selection),
        #[cfg(feature = "hdf5")]
        Format::Hdf5 => in_hdf5::open(path, selection),
        #[cfg(not(feature = "hdf5"))]
        Format::Hdf5 => Err(StorageError::UnknownFormat {
            path: path.into(),
            reason: "it is an HDF5 file, and this build has no HDF5 library; save it as .npy".into(),
        }),
        Format::Zarr | Format::Zip => zarr::open(path, selection),
        Format::MatrixMarket if tenx::has_lists(path) => tenx::open_folder(path, selection),
        Format::MatrixMarket => Ok(Box::new(matrix_market::MarketSource::open(path, selection)?)),
        Format::Npy => Ok(Box::new(npy::NpySource::open(path, selection)?)),
        Format::Csv => csv::open(path, selection),
        Format::Npz => npz::open(path, selection),
    }
}

/// The stamp of `selection` of the file or folder at `path`, without opening it.
///
/// The stamp of a folder has the bytes of all files in it and the time of the last change to one.
///
/// # Errors
///
/// - nothing is at `path`, or it cannot be read
pub fn stamp(path: &Path, selection: &Selection) -> Result<SourceStamp, StorageError> {
    let absolute = std::path::absolute(path).map_err(|e| StorageError::io("read", path, e))?;
    let (bytes, modified_ns) = extent(path, DEEPEST)?;
    Ok(SourceStamp { path: absolute, bytes, modified_ns, selection: selection.clone(), joined: None })
}

/// The deepest nesting of folders that a stamp follows. Links may form circles.
const DEEPEST: usize = 8;

/// The bytes of a file, or of all files in a folder, and the time of the last change.
fn extent(path: &Path, depth: usize) -> Result<(u64, i64), StorageError> {
    let io = |e| StorageError::io("read", path, e);
    let meta = std::fs::metadata(path).map_err(io)?;
    let modified = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    let modified = modified.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX));
    if !meta.is_dir() || depth == 0 {
        return Ok((meta.len(), modified));
    }
    let (mut bytes, mut latest) = (0_u64, 0);
    for entry in std::fs::read_dir(path).map_err(io)? {
        // A link to nothing holds nothing.
        let Ok((inside, changed)) = extent(&entry.map_err(io)?.path(), depth - 1) else { continue };
        (bytes, latest) = (bytes.saturating_add(inside), latest.max(changed));
    }
    Ok((bytes, latest))
}
