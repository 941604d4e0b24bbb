//! Copies some columns of a store into a store of their own.

use std::path::Path;

use fixedbitset::FixedBitSet;

use super::stamp::{Overwrite, SourceStamp};
use super::writer::{EncodedTile, StoreHeader, StoreWriter};
use super::{Segment, SegmentBuf, Store};
use crate::error::StorageError;
use crate::monitor::{Monitor, Unit};
use crate::tile::{CsrRows, DenseTile, RunBatch, SparseTile, Tile, TileEncoder, TileError, encode_dense};

/// Tiles that a thread packs before they are written.
const TILES_OF_A_THREAD: usize = 4;

/// Rows of a block of the copy that [`select_genes`] makes of a store with this many rows: at least 64 blocks where there are so many
/// tiles, and no more than six tiles, so that a block's rows stay in the cache.
pub fn copy_block_rows(cells: usize, tile_rows: usize) -> usize {
    (cells / 64 / tile_rows).clamp(1, 6) * tile_rows
}

/// Bytes that a thread of [`select_genes`] holds for tiles of at most `nonzeros` entries in the selected columns:
/// rows in compressed form, the buffers of the encoder as they grow, and packed tiles.
pub fn select_bytes(nonzeros: usize) -> u64 {
    let (rows, encoder, packed) = (8, 34, 2 * TILES_OF_A_THREAD as u64);
    nonzeros as u64 * (rows + encoder + packed)
}

/// Writes the columns `genes` of `store` to `dest`, in their order and with all rows, values above zero
/// bit by bit. The copy has the stamp of no input and no names. It has low blocks, for computations with many
/// numbers in each row.
///
/// Costs one read of the store, which `threads` threads decode and pack; memory is that of a few tiles for each.
/// Reports rows to `monitor`.
///
/// # Errors
///
/// - `store` is damaged; the error names file, block and rows
/// - `dest` exists, or cannot be written; no unfinished store is left
/// - `monitor` cancels
///
/// # Panics
///
/// When `genes` has another length than the store has columns, or is empty.
pub fn select_genes(
    store: &Store,
    genes: &FixedBitSet,
    (dest, overwrite): (&Path, Overwrite),
    threads: usize,
    monitor: &dyn Monitor,
) -> Result<Store, StorageError> {
    assert_eq!(genes.len(), store.genes(), "a flag for every gene");
    let places = Places::of(genes);
    let header = StoreHeader {
        cells: store.cells(),
        genes: places.count,
        layout: store.layout(),
        block_rows: copy_block_rows(store.cells(), store.tile_rows()),
        tile_rows: store.tile_rows(),
        source: SourceStamp::default(),
    };
    let mut writer = StoreWriter::create(dest, header, overwrite)?;
    monitor.start("selected genes", store.cells() as u64, Unit::Rows);
    let mut packers: Vec<Packer> = (0..threads.max(1)).map(|_| Packer::default()).collect();
    let at_once = TILES_OF_A_THREAD * packers.len();
    let mut buf = SegmentBuf::new();
    for block in 0..store.blocks() {
        let tiles = store.block(block).tiles;
        for first in (0..tiles).step_by(at_once) {
            if monitor.cancelled() {
                return Err(StorageError::Cancelled);
            }
            let range = first..(first + at_once).min(tiles);
            store.read_into(block, range.clone(), &mut buf)?;
            let segment = store.segment(block, range.clone(), &buf);
            let packed = std::thread::scope(|scope| {
                let parts = packers.iter_mut().zip(range.clone().step_by(TILES_OF_A_THREAD)).map(|(packer, first)| {
                    let part = first..(first + TILES_OF_A_THREAD).min(range.end);
                    let pack = |tile| packer.pack(&segment, (block, tile), &places, store);
                    scope.spawn(|| part.map(pack).collect::<Result<Vec<EncodedTile>, StorageError>>())
                });
                let parts: Vec<_> = parts.collect();
                parts.into_iter().map(|part| part.join().expect("packing does not panic")).collect::<Vec<_>>()
            });
            for part in packed {
                for tile in part? {
                    monitor.advance(tile.rows as u64);
                    writer.push_tile(&tile)?;
                }
            }
        }
    }
    monitor.finish();
    writer.finish()
}

/// Where columns go in the copy.
struct Places {
    /// The new place of every column; `None`: it is left out.
    of: Vec<Option<u32>>,
    count: usize,
}

impl Places {
    fn of(genes: &FixedBitSet) -> Self {
        let mut next = 0;
        let place = |gene: usize| {
            genes.contains(gene).then(|| {
                next += 1;
                next - 1
            })
        };
        let of: Vec<Option<u32>> = (0..genes.len()).map(place).collect();
        assert!(next > 0, "a store has columns");
        Places { of, count: next as usize }
    }
}

/// The buffers of a thread.
#[derive(Default)]
struct Packer {
    encoder: TileEncoder,
    batch: RunBatch,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl Packer {
    /// The selected columns of a tile of a segment, packed.
    fn pack(
        &mut self,
        segment: &Segment<'_>,
        (block, tile): (usize, usize),
        places: &Places,
        store: &Store,
    ) -> Result<EncodedTile, StorageError> {
        let packed = match segment.tile(tile)? {
            Tile::Sparse(sparse) => self.sparse(&sparse, places),
            Tile::Dense(dense) => Ok(self.dense(dense, places)),
        };
        packed.map_err(|error| store.damaged_tile(block, tile, error))
    }

    /// Decodes the tile twice, once to count the entries of each row, so that it needs no list of them.
    fn sparse(&mut self, tile: &SparseTile<'_>, places: &Places) -> Result<EncodedTile, TileError> {
        let rows = tile.rows();
        self.indptr.clear();
        self.indptr.resize(rows + 1, 0);
        each_entry(tile, &mut self.batch, places, |row, _, _| self.indptr[row + 1] += 1)?;
        for row in 0..rows {
            self.indptr[row + 1] += self.indptr[row];
        }
        let nonzeros = self.indptr[rows];
        self.indices.resize(nonzeros, 0);
        self.values.resize(nonzeros, 0.0);
        // Columns ascend in every row, because they ascend in the tile.
        let mut next = self.indptr.clone();
        each_entry(tile, &mut self.batch, places, |row, place, value| {
            (self.indices[next[row]], self.values[next[row]]) = (place, value);
            next[row] += 1;
        })?;
        let csr = CsrRows { indptr: &self.indptr, indices: &self.indices, values: &self.values };
        let mut bytes = Vec::new();
        let moments = self.encoder.encode(csr, places.count, &mut bytes);
        Ok(EncodedTile { bytes, rows, nonzeros: nonzeros as u64, moments })
    }

    fn dense(&mut self, tile: DenseTile<'_>, places: &Places) -> EncodedTile {
        self.values.clear();
        for row in tile.values.chunks_exact(places.of.len()) {
            self.values.extend(row.iter().zip(&places.of).filter(|(_, place)| place.is_some()).map(|(value, _)| value));
        }
        let (mut bytes, rows) = (Vec::new(), self.values.len() / places.count);
        let moments = encode_dense(&self.values, places.count, &mut bytes);
        let nonzeros = self.values.iter().filter(|value| **value > 0.0).count() as u64;
        EncodedTile { bytes, rows, nonzeros, moments }
    }
}

/// Shows row, new column and value of every entry of a selected column.
fn each_entry(
    tile: &SparseTile<'_>,
    batch: &mut RunBatch,
    places: &Places,
    mut see: impl FnMut(usize, u32, f32),
) -> Result<(), TileError> {
    let mut runs = tile.runs();
    while runs.next_batch(batch)? {
        let mut first = 0;
        for (&gene, &end) in batch.genes.iter().zip(&batch.ends) {
            let run = first..end as usize;
            first = run.end;
            if let Some(place) = places.of[gene as usize] {
                let entries = batch.rows[run.clone()].iter().zip(&batch.values[run]);
                entries.for_each(|(&row, &value)| see(usize::from(row), place, value));
            }
        }
    }
    Ok(())
}
