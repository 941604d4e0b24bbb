//! Runs reader, encoders and writer together.
//!
//! ```text
//! reader (1 thread) ──tile, rows──► encoders ──packed tile──► writer (the caller), in order
//!        ▲                                                        │
//!        └────────────────── empty slots ◄────────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::thread::{Builder, Scope};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::ConvertSpec;
use super::check::{self, Place};
use super::plan;
use super::reader::{Read, Reader, Slot};
use super::shape::StoreShape;
use super::tidy::{Tidied, Tidier};
use crate::source::{RowChunk, Source};
use crate::store::{EncodedTile, StoreWriter};
use crate::tile::{CsrRows, TileEncoder, encode_dense};
use crate::{Monitor, StorageError};

/// A packed tile.
struct Packed {
    tile: usize,
    slot: Slot,
    tidied: Tidied,
    entries: u64,
}

/// Counts of what the conversion met.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    /// The changes to rows.
    pub(super) tidied: Tidied,
    /// Rows without a value above zero.
    pub(super) empty_cells: u64,
}

/// Converts every tile of `source`.
pub(super) fn run(
    source: &mut dyn Source,
    shape: &StoreShape,
    spec: &ConvertSpec,
    writer: &mut StoreWriter,
    monitor: &dyn Monitor,
) -> Result<Done, StorageError> {
    let (form, is_joined) = (source.form(), source.is_joined());
    let expected = plan::expected_entries(shape, form);
    let plan = plan::plan(source, shape, expected, spec)?;
    let (free_to, free) = bounded(plan.tiles);
    let (read_to, read) = bounded(plan.tiles);
    let (packed_to, packed) = bounded(plan.tiles + 1);
    // For the threads that do not have the source.
    let place = Place::of(source, shape.genes);
    std::thread::scope(|scope| {
        let reader = Reader {
            source,
            form,
            shape,
            spec,
            plan,
            expected,
            monitor,
            first: writer.tiles_done(),
            spare: std::iter::repeat_with(Slot::default).take(plan.tiles).collect(),
            free,
            read_to,
        };
        let failed = packed_to.clone();
        let read_rows = move || {
            let _alarm = Alarm(&failed);
            if let Err(error) = reader.run() {
                // The writer does not receive it if it has failed itself.
                let _ = failed.send(Err(error));
            }
        };
        start(scope, read_rows)?;
        for _ in 0..plan.threads {
            let (read, packed_to, place) = (read.clone(), packed_to.clone(), &place);
            start(scope, move || encode_all(shape, &read, &packed_to, place))?;
        }
        drop((read, packed_to));
        let (done, entries) = write_in_order(shape, writer, &packed, free_to, monitor)?;
        if !is_joined {
            place.check_total(form, entries)?;
        }
        Ok(done)
    })
}

/// Starts a thread of the pipeline. If it does not start, the others end with their channels.
fn start<'scope>(scope: &'scope Scope<'scope, '_>, work: impl FnOnce() + Send + 'scope) -> Result<(), StorageError> {
    let started = Builder::new().spawn_scoped(scope, work);
    started.map(drop).map_err(|source| StorageError::Threads { source })
}

/// Ends the work if its thread panics, so that the others do not wait for it. The scope then
/// propagates the panic.
struct Alarm<'a>(&'a Sender<Result<Packed, StorageError>>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.send(Err(StorageError::Cancelled));
        }
    }
}

/// Packs tiles until the last one.
fn encode_all(
    shape: &StoreShape,
    read: &Receiver<Read>,
    packed_to: &Sender<Result<Packed, StorageError>>,
    place: &Place,
) {
    let _alarm = Alarm(packed_to);
    let mut encoder = TileEncoder::new();
    let mut tidier = Tidier::default();
    for Read { tile, mut slot, entries, oversize } in read {
        let rows = shape.rows_of(tile);
        let Slot { chunk, encoded: EncodedTile { bytes, moments, .. } } = &mut slot;
        let tidied = match chunk {
            RowChunk::Sparse { indptr, indices, values } => {
                tidier.tidy(indptr, indices, values, shape.genes).inspect(|_| {
                    encoder.encode_into(CsrRows { indptr, indices, values }, shape.genes, bytes, moments);
                })
            }
            RowChunk::Dense { values } => check::check_dense(values, shape.genes).map(|()| {
                *moments = encode_dense(values, shape.genes, bytes);
                Tidied::default()
            }),
        };
        let tidied = match tidied {
            Ok(tidied) => tidied,
            Err(fault) => {
                let _ = packed_to.send(Err(place.fault(rows.start, fault)));
                return;
            }
        };
        slot.encoded.rows = rows.len();
        slot.encoded.nonzeros = slot.encoded.moments.cells.iter().map(|cell| u64::from(cell.nonzeros)).sum();
        if oversize {
            (encoder, slot.chunk) = (TileEncoder::new(), RowChunk::default());
        }
        if packed_to.send(Ok(Packed { tile, slot, tidied, entries })).is_err() {
            return;
        }
    }
}

/// Appends tiles to the store in order and returns their slots to the reader. Also returns the
/// number of entries that the source stores.
fn write_in_order(
    shape: &StoreShape,
    writer: &mut StoreWriter,
    packed: &Receiver<Result<Packed, StorageError>>,
    free_to: Sender<Slot>,
    monitor: &dyn Monitor,
) -> Result<(Done, u64), StorageError> {
    let mut waiting = BTreeMap::new();
    let (mut done, mut entries) = (Done::default(), 0);
    let mut next = writer.tiles_done();
    while next < shape.tiles() {
        // The senders are gone only if threads have panicked, which the scope propagates.
        let Ok(message) = packed.recv() else { break };
        let message = message?;
        waiting.insert(message.tile, message);
        while let Some(tile) = waiting.remove(&next) {
            let cells = &tile.slot.encoded.moments.cells;
            done.empty_cells += cells.iter().filter(|cell| cell.nonzeros == 0).count() as u64;
            done.tidied.add(tile.tidied);
            entries += tile.entries;
            writer.push_tile(&tile.slot.encoded)?;
            monitor.advance(shape.rows_of(next).len() as u64);
            if monitor.cancelled() {
                return Err(StorageError::Cancelled);
            }
            // The reader may have ended after its last tile.
            let _ = free_to.send(tile.slot);
            next += 1;
        }
    }
    Ok((done, entries))
}
