//! Exports a store as an AnnData file, value for value.

use std::path::Path;

use super::AnnDataWriter;
use crate::store::{Layout, Overwrite, SegmentBuf, Store};
use crate::tile::{Rows, Tile, TileError};
use crate::{Monitor, StorageError, Unit};

/// Writes the matrix, the names and the columns of `store` to an AnnData file at `dest`: sparse
/// stores as CSR, dense ones as tables.
///
/// Costs memory for one tile.
///
/// # Errors
///
/// - a tile of the store is damaged
/// - `dest` exists, or cannot be written: nothing is left there
/// - `monitor` cancels
pub fn export(store: &Store, dest: &Path, overwrite: Overwrite, monitor: &dyn Monitor) -> Result<(), StorageError> {
    let mut writer = AnnDataWriter::with_annotations(&store.annotations()?, (None, None), dest, overwrite)?;
    monitor.start("export", store.cells() as u64, Unit::Rows);
    match store.layout() {
        Layout::Sparse => {
            let mut x = writer.x_csr(store.cells(), store.genes(), store.nonzeros())?;
            let mut rows = Rows::default();
            for_tiles(store, monitor, |first_row, tile, damaged| match tile {
                Tile::Sparse(tile) => x.push(rows.of(&tile).map_err(damaged)?),
                Tile::Dense(_) => unreachable!("a sparse store has sparse tiles, row {first_row}"),
            })?;
            x.finish()?;
        }
        Layout::Dense => {
            let mut x = writer.x_dense(store.cells(), store.genes())?;
            for_tiles(store, monitor, |first_row, tile, _| match tile {
                Tile::Dense(tile) => x.write_rows(first_row, tile.values),
                Tile::Sparse(_) => unreachable!("a dense store has dense tiles, row {first_row}"),
            })?;
        }
    }
    monitor.finish();
    writer.finish()
}

/// Calls `each` with each tile of `store` in order, its first row and a constructor of the error of
/// a damaged tile.
fn for_tiles(
    store: &Store,
    monitor: &dyn Monitor,
    mut each: impl FnMut(usize, Tile<'_>, &dyn Fn(TileError) -> StorageError) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let mut buffer = SegmentBuf::default();
    for block in 0..store.blocks() {
        let info = store.block(block);
        for tile in 0..info.tiles {
            if monitor.cancelled() {
                return Err(StorageError::Cancelled);
            }
            let first_row = info.first_row + tile * store.tile_rows();
            let last_row = (first_row + store.tile_rows()).min(info.first_row + info.rows) - 1;
            let damaged = |source: TileError| StorageError::DamagedTile {
                path: store.path().into(),
                block,
                first_row,
                last_row,
                source,
            };
            let segment = store.read(block, tile..tile + 1, &mut buffer)?;
            each(first_row, segment.tile(tile)?, &damaged)?;
            monitor.advance((last_row + 1 - first_row) as u64);
        }
    }
    Ok(())
}
