//! Matrix Market files (`.mtx`, `.mtx.gz`): genes × cells in coordinates, in any order.
//!
//! | file     | question                                                     |
//! |----------|--------------------------------------------------------------|
//! | `header` | what does the file announce, and is it a matrix of counts?   |
//! | `stream` | how do several threads read one text in its order?           |
//! | `parse`  | how does a line become an entry, and which lines are refused? |

mod header;
mod parse;
mod stream;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::header::{DAMAGED, Header};
use self::parse::{Fault, FaultKind, Rules};
use self::stream::{Buffers, Outcome, Stream};
use super::subset::Subset;
use super::{Entries, Form, Rounding, RowChunk, Source, SourceStamp, stamp};
use crate::error::Short;
use crate::remedy::Choice;
use crate::store::Selection;
#[cfg(feature = "hdf5")]
use crate::{Axis, FrameWriter, Monitor};
use crate::{Matrices, Remedy, StorageError};

/// The name of the matrix in messages.
pub(super) const DATASET: &str = "matrix";

/// The matrix in a Matrix Market file, whatever lies beside the file.
pub(super) struct MarketReader {
    path: PathBuf,
    header: Header,
    rules: Arc<Rules>,
    reading: Option<Reading>,
    rounding: Rounding,
}

/// The state between two reads.
struct Reading {
    stream: Stream,
    /// The piece that entries are taken from, and the next one.
    piece: Buffers,
    at: usize,
    /// Lines and entries of the file up to the end of the piece.
    lines: u64,
    entries: u64,
}

impl MarketReader {
    /// Opens the matrix. Rows of the file are genes or, `by_cell`, cells.
    ///
    /// # Errors
    ///
    /// - the file cannot be read
    /// - the header announces no matrix that can be read
    pub(super) fn open(path: &Path, by_cell: bool) -> Result<MarketReader, StorageError> {
        let header = Header::read(path)?;
        let Header { rows, columns, is_pattern, .. } = header;
        let rules = Arc::new(Rules { rows, columns, is_pattern, by_cell, genes: None });
        Ok(MarketReader { path: path.into(), header, rules, reading: None, rounding: Rounding::default() })
    }

    /// Leaves out genes.
    pub(super) fn keep(&mut self, genes: Subset) {
        self.rules = Arc::new(Rules { genes: Some(genes), ..(*self.rules).clone() });
    }

    /// Cells and genes.
    pub(super) fn shape(&self) -> (usize, usize) {
        let (cells, genes) = self.shape_in_file();
        (cells, self.rules.genes.as_ref().map_or(genes, Subset::len))
    }

    /// Cells and genes, with those that are left out.
    pub(super) fn shape_in_file(&self) -> (usize, usize) {
        let (rows, columns) = (self.header.rows as usize, self.header.columns as usize);
        if self.rules.by_cell { (rows, columns) } else { (columns, rows) }
    }

    pub(super) fn form(&self) -> Form {
        Form::Entries { at_most: self.header.entries }
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        stream::resident_bytes(self.header.is_pattern) + self.rules.genes.as_ref().map_or(0, Subset::resident_bytes)
    }

    pub(super) fn rounding(&self) -> Rounding {
        self.rounding
    }

    pub(super) fn read_entries(&mut self, most: usize, entries: &mut Entries) -> Result<(), StorageError> {
        entries.clear();
        // After an error, reading begins again.
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => self.begin()?,
        };
        while reading.at == reading.piece.entries.len() {
            if !self.advance(&mut reading)? {
                return Ok(());
            }
        }
        let Entries { cells, genes, values } = &reading.piece.entries;
        let taken = reading.at..values.len().min(reading.at.saturating_add(most));
        entries.cells.extend_from_slice(&cells[taken.clone()]);
        entries.genes.extend_from_slice(&genes[taken.clone()]);
        entries.values.extend_from_slice(&values[taken.clone()]);
        reading.at = taken.end;
        self.reading = Some(reading);
        Ok(())
    }

    fn begin(&self) -> Result<Reading, StorageError> {
        let stream = Stream::begin(&self.path, self.header.bytes, &self.rules)?;
        Ok(Reading { stream, piece: Buffers::default(), at: 0, lines: self.header.lines, entries: 0 })
    }

    /// Goes on to the next piece. Returns false at the end of the file.
    fn advance(&mut self, reading: &mut Reading) -> Result<bool, StorageError> {
        reading.stream.give_back(std::mem::take(&mut reading.piece));
        let (piece, outcome) = reading.stream.next();
        (reading.piece, reading.at) = (piece, 0);
        let announced = self.header.entries;
        let (is_refused, entries) = match &outcome {
            Outcome::Parsed(found) => (false, found.entries),
            Outcome::Refused(fault) => (true, fault.entries),
            Outcome::Failed(_) | Outcome::End => (false, 0),
        };
        if reading.entries + entries > announced || (is_refused && reading.entries + entries == announced) {
            let problem = format!("announces {announced} entries, but more lines follow");
            return Err(self.refuse(self.header.lines, problem, DAMAGED));
        }
        reading.entries += entries;
        match outcome {
            Outcome::Parsed(found) => {
                reading.lines += found.lines;
                self.rounding.add(found.rounding);
                Ok(true)
            }
            Outcome::Refused(fault) => Err(self.refuse_line(reading.lines, fault)),
            Outcome::Failed(error) => Err(error),
            Outcome::End if reading.entries == announced => Ok(false),
            Outcome::End => {
                let found = reading.entries;
                let problem = format!("announces {announced} entries, but the file has only {found}");
                Err(self.refuse(self.header.lines, problem, DAMAGED))
            }
        }
    }

    /// The error of a line that is `fault.line` lines behind `before`.
    fn refuse_line(&self, before: u64, Fault { line, kind, .. }: Fault) -> StorageError {
        let line = before + line + 1;
        match kind {
            FaultKind::Form(problem) => self.refuse(line, problem, DAMAGED),
            FaultKind::Value(value) if value.is_finite() && value > 0.0 => {
                let problem = format!("has the value {}, which is beyond 32-bit floats", Short(value));
                self.refuse(line, problem, "scale the values down")
            }
            FaultKind::Value(value) => {
                let word = if value < 0.0 { "a negative value" } else { "a value that is not finite:" };
                let problem = format!("has {word} {}", Short(value));
                self.refuse(line, problem, Remedy::ChooseValues(Matrices::default()))
            }
        }
    }

    fn refuse(&self, line: u64, problem: String, remedy: impl Into<Box<Remedy>>) -> StorageError {
        StorageError::InvalidLine { path: self.path.clone(), line, problem, remedy: remedy.into() }
    }
}

/// A Matrix Market file alone.
pub(super) struct MarketSource {
    matrix: MarketReader,
    stamp: SourceStamp,
}

impl MarketSource {
    /// Opens the matrix, of cells × genes if `selection.transpose` is set.
    ///
    /// # Errors
    ///
    /// - as for [`MarketReader::open`]
    /// - `selection` makes a choice that such a file does not have
    pub(super) fn open(path: &Path, selection: &Selection) -> Result<MarketSource, StorageError> {
        selection.check(path, "a Matrix Market file", &[Choice::Transpose])?;
        let matrix = MarketReader::open(path, selection.transpose)?;
        Ok(MarketSource { matrix, stamp: stamp(path, selection)? })
    }
}

impl Source for MarketSource {
    fn path(&self) -> &Path {
        &self.matrix.path
    }

    fn dataset(&self) -> &str {
        DATASET
    }

    fn cells(&self) -> usize {
        self.matrix.shape().0
    }

    fn genes(&self) -> usize {
        self.matrix.shape().1
    }

    fn form(&self) -> Form {
        self.matrix.form()
    }

    fn resident_bytes(&self) -> u64 {
        self.matrix.resident_bytes()
    }

    fn read_rows(&mut self, _: Range<usize>, _: &mut RowChunk) -> Result<(), StorageError> {
        panic!("{} is read by entries", self.path().display());
    }

    fn read_entries(&mut self, most: usize, entries: &mut Entries) -> Result<(), StorageError> {
        self.matrix.read_entries(most, entries)
    }

    fn rounding(&self) -> Rounding {
        self.matrix.rounding()
    }

    #[cfg(feature = "hdf5")]
    fn write_table(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        super::numbered::names(axis, table, monitor)
    }

    fn stamp(&self) -> SourceStamp {
        self.stamp.clone()
    }
}
