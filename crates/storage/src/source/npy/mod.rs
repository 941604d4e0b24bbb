//! NumPy arrays (`.npy`): cells × genes, of any numeric type, byte order and memory order.

pub(super) mod decode;
pub(super) mod header;

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use self::decode::Decoder;
use self::header::Header;
#[cfg(feature = "hdf5")]
use super::numbered;
use super::{Form, Rounding, RowChunk, Source, SourceStamp, stamp, value};
use crate::remedy::Choice;
use crate::store::Selection;
#[cfg(feature = "hdf5")]
use crate::{Axis, FrameWriter, Monitor};
use crate::{StorageError, traffic};

/// The name of the array in messages.
const DATASET: &str = "array";

/// Bytes of the file read at a time.
const PIECE: usize = 1 << 19;

/// Bytes of a stripe of rows that is read column by column. Each column costs one read, so stripes
/// are tall.
const STRIPE: usize = 8 << 20;

/// A matrix in a NumPy file.
pub(super) struct NpySource {
    path: PathBuf,
    file: File,
    header: Header,
    decoder: Decoder,
    stripe: Stripe,
    stamp: SourceStamp,
}

/// Rows of a matrix that is stored by columns, in the types and order of the file.
#[derive(Default)]
struct Stripe {
    rows: Range<usize>,
    /// One column after another, each of `rows.len()` numbers.
    bytes: Vec<u8>,
}

impl NpySource {
    /// Opens the array, transposed if `selection.transpose` is set.
    ///
    /// # Errors
    ///
    /// - the header is invalid, or the file is too short for its numbers
    /// - `selection` makes a choice that an array does not have
    pub(super) fn open(path: &Path, selection: &Selection) -> Result<NpySource, StorageError> {
        selection.check(path, "a NumPy array", &[Choice::Transpose])?;
        let file = File::open(path).map_err(|e| StorageError::io("read", path, e))?;
        let invalid = |problem: String, remedy: &str| StorageError::InvalidDataset {
            path: path.into(),
            dataset: DATASET.into(),
            problem,
            remedy: remedy.into(),
        };
        let mut header =
            Header::read(&file).map_err(|problem| invalid(problem, "save a matrix of numbers with numpy.save"))?;
        let found = file.metadata().map_err(|e| StorageError::io("read", path, e))?.len() - header.data_start;
        let expected =
            header.data_bytes().ok_or_else(|| invalid("is larger than any file".into(), "create it again"))?;
        if found < expected {
            let problem = format!("has {found} bytes of numbers, expected {expected}: the file is cut short");
            return Err(invalid(problem, "copy or create it again"));
        }
        if selection.transpose {
            (header.rows, header.columns) = (header.columns, header.rows);
            header.by_column = !header.by_column;
        }
        let (decoder, stripe) = (Decoder::new(header.element, header.big_endian), Stripe::default());
        Ok(NpySource { path: path.into(), file, header, decoder, stripe, stamp: stamp(path, selection)? })
    }

    /// Reads rows of a matrix that is stored by rows.
    fn read_by_row(&mut self, rows: Range<usize>, out: &mut [f32]) -> Result<(), StorageError> {
        let size = self.header.element.size();
        let first = rows.start * self.header.columns;
        let mut bytes = vec![0; PIECE.min(out.len() * size)];
        for (i, piece) in out.chunks_mut(PIECE / size).enumerate() {
            let at = first + i * (PIECE / size);
            let bytes = &mut bytes[..piece.len() * size];
            self.read_bytes(at, bytes)?;
            self.decoder.decode(bytes, piece).map_err(|(p, value)| {
                let at = at + p;
                self.bad_value(at / self.header.columns, at % self.header.columns, value)
            })?;
        }
        Ok(())
    }

    /// Reads rows of a matrix that is stored by columns.
    fn read_by_column(&mut self, rows: Range<usize>, out: &mut [f32]) -> Result<(), StorageError> {
        if rows.start < self.stripe.rows.start || rows.end > self.stripe.rows.end {
            self.load_stripe(rows.clone())?;
        }
        let (size, columns) = (self.header.element.size(), self.header.columns);
        let height = self.stripe.rows.len();
        let skip = rows.start - self.stripe.rows.start;
        let mut column_values = vec![0.0; rows.len()];
        for column in 0..columns {
            let start = (column * height + skip) * size;
            let bytes = &self.stripe.bytes[start..start + rows.len() * size];
            self.decoder
                .decode(bytes, &mut column_values)
                .map_err(|(p, value)| self.bad_value(rows.start + p, column, value))?;
            for (row, &value) in column_values.iter().enumerate() {
                out[row * columns + column] = value;
            }
        }
        Ok(())
    }

    fn load_stripe(&mut self, rows: Range<usize>) -> Result<(), StorageError> {
        let (size, columns) = (self.header.element.size(), self.header.columns);
        let height = self.stripe_rows().max(rows.len()).min(self.header.rows - rows.start);
        let mut bytes = std::mem::take(&mut self.stripe.bytes);
        self.stripe.rows = 0..0;
        bytes.resize(height * columns * size, 0);
        for (column, part) in bytes.chunks_exact_mut((height * size).max(1)).enumerate() {
            self.read_bytes(column * self.header.rows + rows.start, part)?;
        }
        self.stripe = Stripe { rows: rows.start..rows.start + height, bytes };
        Ok(())
    }

    /// Height of a stripe: as many rows as [`STRIPE`] holds, at least 16.
    fn stripe_rows(&self) -> usize {
        (STRIPE / (self.header.columns * self.header.element.size()).max(1)).max(16)
    }

    /// Reads numbers from position `first` of the array on.
    fn read_bytes(&self, first: usize, bytes: &mut [u8]) -> Result<(), StorageError> {
        let at = self.header.data_start + first as u64 * self.header.element.size() as u64;
        self.file.read_exact_at(bytes, at).map_err(|e| StorageError::io("read", &self.path, e))?;
        traffic::ended();
        Ok(())
    }

    fn bad_value(&self, row: usize, column: usize, found: f64) -> StorageError {
        value::refused(&self.path, DATASET, (row, column), found)
    }
}

impl Source for NpySource {
    fn path(&self) -> &Path {
        &self.path
    }

    fn dataset(&self) -> &str {
        DATASET
    }

    fn cells(&self) -> usize {
        self.header.rows
    }

    fn genes(&self) -> usize {
        self.header.columns
    }

    fn form(&self) -> Form {
        Form::Dense
    }

    fn resident_bytes(&self) -> u64 {
        let row = (self.header.columns * self.header.element.size()) as u64;
        let stripe = if self.header.by_column { row * (self.stripe_rows().min(self.header.rows)) as u64 } else { 0 };
        stripe + 2 * PIECE as u64
    }

    fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        assert!(rows.start <= rows.end && rows.end <= self.cells(), "rows {rows:?} are inside the matrix");
        let values = chunk.dense();
        values.resize(rows.len() * self.header.columns, 0.0);
        if self.header.by_column { self.read_by_column(rows, values) } else { self.read_by_row(rows, values) }
    }

    fn rounding(&self) -> Rounding {
        self.decoder.rounding()
    }

    #[cfg(feature = "hdf5")]
    fn write_table(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        numbered::names(axis, table, monitor)
    }

    fn stamp(&self) -> SourceStamp {
        self.stamp.clone()
    }
}
