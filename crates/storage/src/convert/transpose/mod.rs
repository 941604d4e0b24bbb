//! Turns entries in any order into rows, out of core.
//!
//! The cells are divided into **strips** of equal height. Entries are read once, in the order of the
//! file, and collected by strip. When they fill the memory for them, each strip's share is packed and
//! appended to a temporary file, which has no name and vanishes with the process. Afterwards the
//! entries of each tile are counted, so rows are read as of any sparse source: the pieces of a strip
//! are unpacked and sorted by cell, a **window** of tiles at a time.
//!
//! Entries of one cell keep the order of the file, so that duplicates add up to the same bits with
//! any budget and any number of threads.
//!
//! | file      | question                                             |
//! |-----------|------------------------------------------------------|
//! | `room`    | how many entries fit into the budget at each step?   |
//! | `scatter` | how are entries collected by strip and put aside?    |
//! | `piece`   | how are the entries of a strip packed?               |
//! | `gather`  | how do the pieces of a strip become rows again?      |

mod gather;
mod piece;
mod room;
mod scatter;

use std::ops::Range;
use std::path::Path;

pub(crate) use self::gather::Gather;
use self::room::Room;
use self::scatter::Scatter;
use super::ConvertSpec;
use super::check::{DEFECT, Fault, Place};
use crate::source::{Entries, Form, Rounding, RowChunk, Source};
use crate::store::SourceStamp;
#[cfg(feature = "hdf5")]
use crate::{Axis, FrameWriter, Quiet};
use crate::{Matrices, Monitor, StorageError, Unit};

/// Entries read at a time.
const READ: usize = 1 << 16;

/// A source of entries, read by rows.
pub(super) struct Transposed<'a> {
    source: &'a mut dyn Source,
    gather: Gather,
}

impl<'a> Transposed<'a> {
    /// Reads all entries of `source` and puts them aside in a temporary file in `folder`.
    ///
    /// # Errors
    ///
    /// - an entry is invalid, or there are more than the form announces
    /// - the temporary file cannot be written
    /// - the budget is too small; the error states the smallest one that works
    /// - `monitor` cancels
    pub(super) fn of(
        source: &'a mut dyn Source,
        folder: &Path,
        spec: &ConvertSpec,
        monitor: &dyn Monitor,
    ) -> Result<Self, StorageError> {
        Place::of(source, source.genes()).check_shape(source.cells())?;
        source.prepare()?;
        let Form::Entries { at_most } = source.form() else { unreachable!("other forms are read by rows") };
        let room = Room::of(source, at_most, spec)?;
        monitor.start("transpose", at_most, Unit::Entries);
        let gather = scatter(source, folder, room, spec.threads, monitor)?;
        monitor.finish();
        Ok(Transposed { source, gather })
    }
}

/// Puts all entries of `source` aside in a temporary file in `folder`, with `threads` threads and at most
/// `memory` bytes, and says nothing of it.
///
/// # Errors
///
/// - as for [`Transposed::of`]
#[cfg(feature = "hdf5")]
pub(crate) fn gather(
    source: &mut dyn Source,
    folder: &Path,
    (threads, memory): (usize, u64),
) -> Result<Gather, StorageError> {
    let Form::Entries { at_most } = source.form() else { unreachable!("other forms are read by rows") };
    let room = Room::within(memory, at_most, source.cells());
    scatter(source, folder, room, threads, &Quiet)
}

fn scatter(
    source: &mut dyn Source,
    folder: &Path,
    room: Room,
    threads: usize,
    monitor: &dyn Monitor,
) -> Result<Gather, StorageError> {
    let (cells, genes) = (source.cells(), source.genes());
    let Form::Entries { at_most } = source.form() else { unreachable!("other forms are read by rows") };
    let place = Place::of(source, genes);
    let mut scatter = Scatter::create(folder, cells, room, threads)?;
    let mut entries = Entries::default();
    let mut found = 0;
    loop {
        source.read_entries(READ, &mut entries)?;
        if entries.is_empty() {
            break;
        }
        found += entries.len() as u64;
        if found > at_most {
            let problem = format!("has more than the {at_most} entries that it was announced to have");
            return Err(place.invalid(problem, DEFECT));
        }
        check(&entries, (cells, genes), &place)?;
        scatter.push(&entries)?;
        monitor.advance(entries.len() as u64);
        if monitor.cancelled() {
            return Err(StorageError::Cancelled);
        }
    }
    drop(entries);
    scatter.finish()
}

/// Checks lengths and places. Values are checked when rows are packed.
fn check(entries: &Entries, (cells, genes): (usize, usize), place: &Place) -> Result<(), StorageError> {
    if entries.cells.len() != entries.len() || entries.genes.len() != entries.len() {
        let (rows, columns, values) = (entries.cells.len(), entries.genes.len(), entries.len());
        return Err(place.invalid(format!("was read as {rows} rows, {columns} columns and {values} values"), DEFECT));
    }
    let outside = |list: &[u32], limit: usize| list.iter().fold(false, |any, &at| any | (at as usize >= limit));
    if !outside(&entries.cells, cells) && !outside(&entries.genes, genes) {
        return Ok(());
    }
    let mut places = entries.cells.iter().zip(&entries.genes);
    match places.find(|&(&cell, &gene)| cell as usize >= cells || gene as usize >= genes) {
        Some((&cell, _)) if cell as usize >= cells => {
            Err(place.invalid(format!("has an entry in row {cell}, but only {cells} rows"), DEFECT))
        }
        Some((&cell, &gene)) => Err(place.fault(cell as usize, Fault::Column { row: 0, column: gene })),
        None => Ok(()),
    }
}

impl Source for Transposed<'_> {
    fn path(&self) -> &Path {
        self.source.path()
    }

    fn dataset(&self) -> &str {
        self.source.dataset()
    }

    fn cells(&self) -> usize {
        self.source.cells()
    }

    fn genes(&self) -> usize {
        self.source.genes()
    }

    fn form(&self) -> Form {
        self.gather.form()
    }

    fn resident_bytes(&self) -> u64 {
        self.source.resident_bytes().saturating_add(self.gather.resident_bytes())
    }

    fn annotation_bytes(&self) -> u64 {
        self.source.annotation_bytes()
    }

    fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        assert!(rows.start <= rows.end && rows.end <= self.cells(), "rows {rows:?} are inside the matrix");
        self.gather.read_rows(rows, chunk)
    }

    fn other_matrices(&self) -> Matrices {
        self.source.other_matrices()
    }

    fn rounding(&self) -> Rounding {
        self.source.rounding()
    }

    #[cfg(feature = "hdf5")]
    fn write_table(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        self.source.write_table(axis, table, monitor)
    }

    fn stamp(&self) -> SourceStamp {
        self.source.stamp()
    }
}
