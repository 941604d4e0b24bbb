//! The reading thread: reads one tile after another, each into a slot.

use std::ops::Range;

use crossbeam_channel::{Receiver, Sender};

use super::ConvertSpec;
use super::check::Place;
use super::plan::{self, Plan};
use super::shape::StoreShape;
use crate::source::{Form, RowChunk, Source};
use crate::store::{EncodedTile, Layout};
use crate::{Monitor, StorageError};

/// Values of a dense source that are read together when they become sparse rows.
const PIECE: usize = 1 << 17;

/// The memory of a tile in flight, used again for a later one: its rows, and what they become.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) chunk: RowChunk,
    pub(super) encoded: EncodedTile,
}

/// A tile as it was read.
pub(super) struct Read {
    pub(super) tile: usize,
    pub(super) slot: Slot,
    /// Entries as stored, if the source is sparse.
    pub(super) entries: u64,
    /// The tile has more entries than planned, and is alone in flight.
    pub(super) oversize: bool,
}

/// Reads every tile of a source.
pub(super) struct Reader<'a> {
    pub(super) source: &'a mut dyn Source,
    pub(super) form: Form,
    pub(super) shape: &'a StoreShape,
    pub(super) spec: &'a ConvertSpec,
    pub(super) plan: Plan,
    pub(super) expected: usize,
    pub(super) monitor: &'a dyn Monitor,
    /// The first tile.
    pub(super) first: usize,
    /// Slots that were not used yet.
    pub(super) spare: Vec<Slot>,
    /// Slots of tiles that have been written. Only the writer holds the other end, so that the
    /// reader notices when it ends.
    pub(super) free: Receiver<Slot>,
    pub(super) read_to: Sender<Read>,
}

impl Reader<'_> {
    /// Reads until the last tile, an error, or the end of the other threads.
    pub(super) fn run(mut self) -> Result<(), StorageError> {
        let mut dense = RowChunk::default();
        for tile in self.first..self.shape.tiles() {
            if self.monitor.cancelled() {
                return Err(StorageError::Cancelled);
            }
            // Closed channels mean that another thread has failed and reported it.
            let Some(mut slot) = self.slot() else { return Ok(()) };
            let stored = read_tile(self.source, self.shape, self.form, tile, &mut dense, &mut slot.chunk)?;
            // The form of a sparse source gives its fullest tile.
            let oversize = stored > self.expected;
            let read = Read { tile, slot, entries: stored as u64, oversize };
            let sent = if oversize { self.send_alone(read, stored)? } else { self.send(read) };
            if !sent {
                return Ok(());
            }
        }
        Ok(())
    }

    fn send(&self, read: Read) -> bool {
        self.read_to.send(read).is_ok()
    }

    /// An empty slot; `None` if the other threads have ended.
    fn slot(&mut self) -> Option<Slot> {
        self.spare.pop().or_else(|| self.free.recv().ok())
    }

    /// Waits until no other tile is in flight, frees their buffers, sends `read` and waits for it.
    /// Returns false if the other threads have ended.
    fn send_alone(&mut self, read: Read, entries: usize) -> Result<bool, StorageError> {
        plan::plan(self.source, self.shape, entries, self.spec)?;
        let others = (1..self.plan.tiles).all(|_| self.slot().is_some());
        let alone = others && self.send(read) && self.slot().is_some();
        self.spare.resize_with(self.plan.tiles, Slot::default);
        Ok(alone)
    }
}

/// Reads a tile into `chunk` in the layout of the store, with `dense` as scratch, and checks its
/// lengths.
///
/// Returns the number of entries of a sparse tile, including zeros that a sparse source stores; 0
/// for a dense tile.
pub(super) fn read_tile(
    source: &mut dyn Source,
    shape: &StoreShape,
    form: Form,
    tile: usize,
    dense: &mut RowChunk,
    chunk: &mut RowChunk,
) -> Result<usize, StorageError> {
    let rows = shape.rows_of(tile);
    let place = Place::of(source, shape.genes);
    if shape.layout == Layout::Sparse && form == Form::Dense {
        return sparse_rows(source, &place, shape.genes, rows, dense, chunk);
    }
    source.read_rows(rows.clone(), chunk)?;
    place.check_lengths(chunk, form, &rows)?;
    match chunk {
        RowChunk::Sparse { values, .. } if source.is_joined() => Ok(values.len()),
        RowChunk::Sparse { values, .. } => place.check_tile(form, values.len(), &rows).map(|()| values.len()),
        RowChunk::Dense { .. } => Ok(0),
    }
}

/// Reads rows of a dense source as sparse rows. Returns the number of their entries.
pub(crate) fn sparse_rows(
    source: &mut dyn Source,
    place: &Place,
    genes: usize,
    rows: Range<usize>,
    dense: &mut RowChunk,
    chunk: &mut RowChunk,
) -> Result<usize, StorageError> {
    let (indptr, indices, values) = chunk.sparse();
    indptr.push(0);
    let step = (PIECE / genes).max(1);
    for first in rows.clone().step_by(step) {
        let piece = first..rows.end.min(first + step);
        source.read_rows(piece.clone(), dense)?;
        place.check_lengths(dense, Form::Dense, &piece)?;
        let RowChunk::Dense { values: table } = &*dense else { continue };
        for row in table.chunks_exact(genes) {
            for (column, &value) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
                indices.push(column as u32);
                values.push(value);
            }
            indptr.push(values.len());
        }
    }
    Ok(values.len())
}
