//! Writes the sample of a store, from the tiles that have just been written.
//!
//! A tile of the sample takes its rows out of the tiles of the store that have them: all of those of a small store,
//! and at most as many as the sample has rows of a large one.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use super::{HEADER, MAGIC, SampleTile, head_bytes};
use crate::error::StorageError;
use crate::monitor::{Monitor, Unit};
use crate::sampling::{Caps, Drawn, Population, RowWeight, SampledRow, draw};
use crate::store::cells;
use crate::store::cut::Cut;
use crate::store::files;
use crate::store::manifest::FileStamp;
use crate::store::names;
use crate::store::table::Table;
use crate::tile::{
    ChosenRow, CsrRows, RunBatch, SparseTile, TILE_ROWS, TakeScratch, TakenRows, TileEncoder, TileError, packs_rows,
};

/// The seed of the sample in a store. Fits have theirs from users, who begin at 0.
pub(super) const SEED: u64 = 0x7061_7274_7769_7365;

/// The tiles of a store that is not complete yet.
pub(in crate::store) struct Tiles<'t> {
    pub(in crate::store) folder: &'t Path,
    pub(in crate::store) cut: &'t Cut,
    pub(in crate::store) table: &'t Table,
}

/// Writes `sample.bin` with at most `caps` rows and entries, by `threads` threads. Each holds no more entries than
/// twice the fullest tile has. Returns its stamp, and whether a tile of it packs its rows.
pub(in crate::store) fn write(
    tiles: &Tiles<'_>,
    caps: Caps,
    threads: usize,
    monitor: &dyn Monitor,
) -> Result<(FileStamp, bool), StorageError> {
    let rows = tiles.draw(caps)?;
    let most = tiles.table.tiles.iter().map(|tile| tile.nonzeros).max().unwrap_or(0);
    let groups = groups(&rows, most);
    let path = tiles.folder.join(names::SAMPLE);
    let file = File::create(&path).map_err(|error| StorageError::io("create", &path, error))?;
    let sources = Sources::open(tiles)?;
    monitor.start("sample", rows.len() as u64, Unit::Rows);
    let mut workers: Vec<Worker> = (0..threads.clamp(1, groups.len().max(1))).map(|_| Worker::default()).collect();
    let (mut listed, mut end) = (Vec::with_capacity(groups.len()), head_bytes(rows.len(), groups.len()));
    let mut some_pack_rows = false;
    for some in groups.chunks(workers.len()) {
        if monitor.cancelled() {
            return Err(StorageError::Cancelled);
        }
        let packed = std::thread::scope(|scope| {
            let mut started = Vec::new();
            for (worker, group) in workers.iter_mut().zip(some) {
                let (sources, rows) = (&sources, &rows[group.clone()]);
                started.push(scope.spawn(move || worker.pack(sources, rows)));
            }
            started.into_iter().map(|one| one.join().expect("packing does not panic")).collect::<Vec<_>>()
        });
        for (group, packed) in some.iter().zip(packed) {
            let bytes = packed?;
            some_pack_rows |= packs_rows(&bytes);
            files::write_at(&file, &path, end, &bytes)?;
            let (nonzeros, crc) = (super::nonzeros_of(&rows[group.clone()]), crc32c::crc32c(&bytes));
            listed.push(SampleTile { rows: group.clone(), bytes: bytes.len() as u64, nonzeros, crc, start: end });
            end += bytes.len() as u64;
            monitor.advance(group.len() as u64);
        }
    }
    let head = head(&rows, &listed);
    files::write_at(&file, &path, 0, &head)?;
    files::sync(&file, &path)?;
    monitor.finish();
    Ok((FileStamp { bytes: end, crc32c: crc32c::crc32c(&head) }, some_pack_rows))
}

/// All before the tiles.
fn head(rows: &[SampledRow], tiles: &[SampleTile]) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&(rows.len() as u64).to_le_bytes());
    head.extend_from_slice(&(tiles.len() as u64).to_le_bytes());
    head.resize(HEADER, 0);
    rows.iter().for_each(|row| row.write(&mut head));
    tiles.iter().for_each(|tile| tile.write(&mut head));
    head
}

/// Cuts rows into tiles of at most 256 rows, none fuller than `most` unless a row alone is.
fn groups(rows: &[SampledRow], most: u64) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let (mut first, mut entries) = (0, 0);
    for (i, row) in rows.iter().enumerate() {
        let added = entries + u64::from(row.nonzeros);
        if i > first && (i - first == TILE_ROWS || added > most) {
            groups.push(first..i);
            (first, entries) = (i, 0);
        }
        entries += u64::from(row.nonzeros);
    }
    if first < rows.len() {
        groups.push(first..rows.len());
    }
    groups
}

impl Tiles<'_> {
    /// The rows of the sample, ascending.
    fn draw(&self, caps: Caps) -> Result<Vec<SampledRow>, StorageError> {
        let (path, cells) = (self.folder.join(names::CELLS), self.cut.cells);
        let population = Population {
            cells,
            // Weights are Σ x² then, bit by bit.
            sq_norm: 1.0,
            moments: &mut |rows| cells::read(&path, cells, rows),
            entries: &|moments| moments.nonzeros,
        };
        let draw = draw(population, RowWeight::SquaredNorm, caps, SEED)?;
        let chances = draw.chances(draw.rows.len());
        let row = |(row, chance): (&Drawn, f64)| {
            let Drawn { cell, weight, entries, .. } = *row;
            SampledRow { cell, sum_sq: weight, chance, nonzeros: entries }
        };
        let mut rows: Vec<SampledRow> = draw.rows.iter().zip(chances).map(row).collect();
        rows.sort_unstable_by_key(|row| row.cell);
        Ok(rows)
    }
}

/// The files of the tiles, open.
struct Sources<'t> {
    tiles: &'t Tiles<'t>,
    files: Vec<File>,
}

impl<'t> Sources<'t> {
    fn open(tiles: &'t Tiles<'t>) -> Result<Self, StorageError> {
        let count = tiles.table.blocks.last().map_or(0, |block| block.file + 1);
        let open = |number| files::open(&tiles.folder.join(names::block_file(number as usize)));
        Ok(Sources { tiles, files: (0..count).map(open).collect::<Result<_, _>>()? })
    }

    /// Calls `see` with a tile, counted over the whole store, read into `bytes`.
    fn tile(
        &self,
        tile: usize,
        bytes: &mut Vec<u8>,
        see: impl FnOnce(&SparseTile<'_>) -> Result<(), TileError>,
    ) -> Result<(), StorageError> {
        let Tiles { folder, cut, table } = *self.tiles;
        let block = cut.block_of_tile(tile);
        let (file, record) = (table.blocks[block].file as usize, table.tiles[tile]);
        let path = folder.join(names::block_file(file));
        bytes.resize(record.bytes as usize, 0);
        files::read_at(&self.files[file], &path, table.tile_place(cut, tile).start, bytes)?;
        let rows = cut.tile_rows_of(tile);
        let found = crc32c::crc32c(bytes);
        let seen = match found == record.crc {
            true => SparseTile::parse(bytes, rows.len(), cut.genes, record.nonzeros).and_then(|tile| see(&tile)),
            false => Err(TileError::Checksum { expected: record.crc, found }),
        };
        seen.map_err(|source| StorageError::DamagedTile {
            path,
            block,
            first_row: rows.start,
            last_row: rows.end - 1,
            source,
        })
    }
}

/// The buffers of a thread.
#[derive(Default)]
struct Worker {
    encoder: TileEncoder,
    batch: RunBatch,
    scratch: TakeScratch,
    bytes: Vec<u8>,
    chosen: Vec<ChosenRow>,
}

impl Worker {
    /// A tile of these rows.
    fn pack(&mut self, sources: &Sources<'_>, rows: &[SampledRow]) -> Result<Vec<u8>, StorageError> {
        let Worker { encoder, batch, scratch, bytes, chosen } = self;
        let cut = sources.tiles.cut;
        let mut taken = TakenRows::default();
        for rows in rows.chunk_by(|a, b| a.cell / cut.tile_rows == b.cell / cut.tile_rows) {
            let tile = rows[0].cell / cut.tile_rows;
            let first = cut.tile_rows_of(tile).start;
            let choice = |&SampledRow { cell, nonzeros, .. }: &SampledRow| ChosenRow {
                row: cell - first,
                cell,
                entries: nonzeros as usize,
            };
            chosen.clear();
            chosen.extend(rows.iter().map(choice));
            sources.tile(tile, bytes, |tile| taken.take(tile, chosen, batch, scratch))?;
        }
        let indptr: Vec<usize> = [0].into_iter().chain(taken.ends.iter().copied()).collect();
        let csr = CsrRows { indptr: &indptr, indices: &taken.genes, values: &taken.values };
        let mut packed = Vec::new();
        encoder.encode(csr, cut.genes, &mut packed);
        Ok(packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_of_the_sample_are_no_fuller_than_those_of_the_store() {
        let row = |cell: usize, nonzeros: u32| SampledRow { cell, sum_sq: 1.0, chance: 1.0, nonzeros };
        let rows: Vec<SampledRow> = (0..600).map(|cell| row(cell, if cell < 10 { 90 } else { 1 })).collect();
        assert_eq!(groups(&rows, 300), [0..3, 3..6, 6..9, 9..220, 220..476, 476..600]);
        assert_eq!(groups(&rows[..3], 50), [0..1, 1..2, 2..3]);
        assert_eq!(groups(&[], 50), []);
    }
}
