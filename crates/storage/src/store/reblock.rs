//! Copies a store into blocks of another height.
//!
//! A tile does not depend on its block, so that packed tiles are copied unchanged. Only the heads
//! of the blocks and the table are new. That costs a read and a write of the store. Converting the
//! input again would also decompress and pack it, and needs the input.

use std::fs;
use std::path::Path;

use super::stamp::Overwrite;
use super::writer::{StoreHeader, StoreWriter};
use super::{Store, files, names};
use crate::error::StorageError;
use crate::monitor::{Monitor, Unit};
use crate::tile::TileError;

/// Cells whose moments are copied at a time.
const CELLS_AT_A_TIME: usize = 1 << 16;

/// Writes the matrix of `store` to `dest` in blocks of `block_rows` rows, a multiple of its tiles'
/// rows. `dest` may be the path of `store`, with [`Overwrite::Replace`].
///
/// Everything else is as in `store`: tiles, moments, annotations and the stamp of the input, so
/// that a fit of that input accepts the new store. Copying it back to the first height gives the
/// same files, byte for byte. Each tile is checked against its checksum. A fit of the copy may
/// differ in the last bits, because sums are rounded per block.
///
/// A large store keeps a sample of its rows, also if `store` is of an earlier format and has none.
///
/// Costs one read and one write of the store on one thread, with the memory of the largest tile;
/// and for the sample a read of its tiles, with the memory to pack one. Reports bytes to `monitor`.
///
/// # Errors
///
/// - no store can have blocks of `block_rows` rows
/// - `store` is damaged; the error names file, block and rows
/// - `dest` exists, or cannot be written; no unfinished store is left
/// - `monitor` cancels
pub fn reblock(
    store: &Store,
    dest: &Path,
    block_rows: usize,
    overwrite: Overwrite,
    monitor: &dyn Monitor,
) -> Result<Store, StorageError> {
    let header = StoreHeader {
        cells: store.cells(),
        genes: store.genes(),
        layout: store.layout(),
        block_rows,
        tile_rows: store.tile_rows(),
        source: store.source().clone(),
    };
    let mut writer = StoreWriter::create(dest, header, overwrite)?;
    monitor.start("copy", store.bytes, Unit::Bytes);
    let mut copied = 0;
    let mut bytes = Vec::new();
    for block in 0..store.blocks() {
        for tile in 0..store.block(block).tiles {
            if monitor.cancelled() {
                return Err(StorageError::Cancelled);
            }
            let record = store.tile_record(block, tile);
            read_tile(store, block, tile, &mut bytes)?;
            writer.append(&bytes, record.nonzeros, record.crc)?;
            copied += record.bytes;
            monitor.advance(record.bytes);
        }
    }
    for first in (0..store.cells()).step_by(CELLS_AT_A_TIME) {
        let last = (first + CELLS_AT_A_TIME).min(store.cells());
        writer.add_cells(&store.cell_moments(first..last)?)?;
    }
    copy_annotations(store, &writer.annotations_path())?;
    monitor.advance(store.bytes.saturating_sub(copied));
    monitor.finish();
    if let Some(caps) = writer.kept_caps() {
        writer.write_sample(caps, 1, monitor)?;
    }
    if monitor.cancelled() {
        return Err(StorageError::Cancelled);
    }
    writer.finish_with(&store.genes, store.gene_per_million()?.as_deref(), &store.totals)
}

/// Reads the packed bytes of a tile and checks them against their checksum.
fn read_tile(store: &Store, block: usize, tile: usize, bytes: &mut Vec<u8>) -> Result<(), StorageError> {
    let place = store.tile_place(block, tile);
    bytes.resize((place.end - place.start) as usize, 0);
    let block_file = store.block_file_of(block);
    files::read_at(&block_file.file, &block_file.path, place.start, bytes)?;
    let (expected, found) = (store.tile_record(block, tile).crc, crc32c::crc32c(bytes));
    let sound = expected == found;
    if sound { Ok(()) } else { Err(store.damaged_tile(block, tile, TileError::Checksum { expected, found })) }
}

/// Copies the annotations, if there are any. A link would be cheaper, but a change of one file
/// would damage two stores.
fn copy_annotations(store: &Store, dest: &Path) -> Result<(), StorageError> {
    debug_assert!(dest.ends_with(names::ANNOTATIONS));
    if store.annotations.is_some() {
        fs::copy(store.annotations()?, dest).map_err(|error| StorageError::io("write", dest, error))?;
    }
    Ok(())
}
