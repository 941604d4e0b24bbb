//! A sample of a store's rows, kept beside them: a start reads it instead of all rows.
//!
//! The rows are drawn by their squared norm ([`sampling`](crate::sampling)) with a seed that is always the same, and
//! packed in their order. A fit draws its own sample [from them](crate::sampling::draw_again).
//!
//! `sample.bin` has 64 bytes of header, 32 for each row, 24 for each tile, and then the tiles. The checksum of all
//! before the tiles is in the manifest. Stores of format 1.0 and 1.1 have no such file, and neither have
//! small ones.

mod gather;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub(super) use gather::{Tiles, write};

use super::cut::{Cut, Layout};
use super::files::{self, Fields};
use super::manifest::FileStamp;
use super::{Store, names};
use crate::error::StorageError;
use crate::sampling::{Caps, SampledRow};
use crate::tile::{SparseTile, TILE_ROWS, TileError};

/// One entry in so many is in the sample that a store keeps, but at least and at most so many.
const PART: u64 = 16;
const FEWEST_ENTRIES: u64 = 4_000_000;
const MOST_ENTRIES: u64 = 16_000_000;
const MOST_ROWS: usize = 1 << 16;
/// A matrix with fewer entries is read in a moment, and a sample of it would take a large part of its bytes.
const WORTH_A_SAMPLE: u64 = 20_000_000;

const MAGIC: &[u8; 8] = b"PWSAMPL1";
const HEADER: usize = 64;
const ROW_BYTES: usize = 32;
const TILE_BYTES: usize = 24;

/// The size of the sample that the store of such a matrix keeps; `None`: it keeps none.
///
/// It is a function of the matrix alone, so that any machine writes the same store.
pub fn kept_caps(layout: Layout, nonzeros: u64) -> Option<Caps> {
    let worth = layout == Layout::Sparse && nonzeros >= WORTH_A_SAMPLE;
    worth.then(|| Caps { entries: (nonzeros / PART).clamp(FEWEST_ENTRIES, MOST_ENTRIES), rows: MOST_ROWS })
}

/// A tile of the sample.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SampleTile {
    /// Its rows, among those of the sample.
    rows: Range<usize>,
    bytes: u64,
    nonzeros: u64,
    crc: u32,
    /// Its first byte in the file.
    start: u64,
}

/// The sample that a store keeps of its rows.
#[derive(Debug)]
pub struct KeptSample {
    path: PathBuf,
    file: File,
    genes: usize,
    rows: Vec<SampledRow>,
    tiles: Vec<SampleTile>,
    bytes: u64,
}

impl Store {
    /// The sample that the store keeps, if it does. Reads its list of rows.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is damaged.
    pub fn sample(&self) -> Result<Option<KeptSample>, StorageError> {
        self.sample.map(|stamp| KeptSample::open(&self.path, &self.cut, stamp)).transpose()
    }

    /// Whether the store keeps a sample of its rows.
    pub fn keeps_sample(&self) -> bool {
        self.sample.is_some()
    }
}

impl KeptSample {
    fn open(folder: &Path, cut: &Cut, stamp: FileStamp) -> Result<Self, StorageError> {
        let path = folder.join(names::SAMPLE);
        files::check_size(&path, stamp.bytes)?;
        let file = files::open(&path)?;
        let damaged = |what: &str, expected: &str, found: u64| StorageError::damaged(&path, what, expected, found);
        let mut head = vec![0; HEADER];
        files::read_at(&file, &path, 0, &mut head)?;
        if &head[..8] != MAGIC {
            return Err(StorageError::damaged(
                &path,
                "the first bytes",
                MAGIC.escape_ascii(),
                head[..8].escape_ascii(),
            ));
        }
        let (rows, tiles) = (head.u64_at(8), head.u64_at(16));
        if rows > cut.cells as u64 || tiles > rows || head_bytes(rows as usize, tiles as usize) > stamp.bytes {
            return Err(damaged("the number of rows", "one that the file has room for", rows));
        }
        let (rows, tiles) = (rows as usize, tiles as usize);
        head.resize(head_bytes(rows, tiles) as usize, 0);
        files::read_at(&file, &path, HEADER as u64, &mut head[HEADER..])?;
        let found = crc32c::crc32c(&head);
        if found != stamp.crc32c {
            let expected = format!("{:08x}", stamp.crc32c);
            return Err(StorageError::damaged(&path, "the checksum of its lists", expected, format!("{found:08x}")));
        }
        let (records, tile_records) = head[HEADER..].split_at(rows * ROW_BYTES);
        let rows: Vec<SampledRow> = records.chunks_exact(ROW_BYTES).map(SampledRow::read).collect();
        let mut cells = rows.iter().map(|row| row.cell).chain([cut.cells]);
        if !cells.by_ref().is_sorted_by(|a, b| a < b) {
            return Err(damaged("the list of rows", "rows of the matrix, ascending", rows.len() as u64));
        }
        if let Some(row) = rows.iter().find(|row| !row.is_possible(cut.genes)) {
            return Err(damaged("the records of its rows", "sums and chances of rows", row.cell as u64));
        }
        let mut listed = Vec::with_capacity(tiles);
        let (mut row, mut start) = (0, head_bytes(rows.len(), tiles));
        for record in tile_records.chunks_exact(TILE_BYTES).take(tiles) {
            let tile = SampleTile::read(record, row, start);
            let sums = rows.get(tile.rows.clone()).map(nonzeros_of);
            if sums != Some(tile.nonzeros) || !(1..=TILE_ROWS).contains(&tile.rows.len()) {
                return Err(damaged("the list of tiles", "one that has all rows", tile.rows.end as u64));
            }
            (row, start) = (tile.rows.end, start.saturating_add(tile.bytes));
            listed.push(tile);
        }
        if row != rows.len() || start != stamp.bytes {
            return Err(damaged("the end of its tiles", "the end of the file, with the last row", start));
        }
        Ok(KeptSample { path, file, genes: cut.genes, rows, tiles: listed, bytes: stamp.bytes })
    }

    /// Its rows, ascending.
    pub fn rows(&self) -> &[SampledRow] {
        &self.rows
    }

    /// Its values above zero.
    pub fn nonzeros(&self) -> u64 {
        nonzeros_of(&self.rows)
    }

    /// Bytes of its file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many tiles it has.
    pub fn tiles(&self) -> usize {
        self.tiles.len()
    }

    /// The rows of a tile, as places in [`rows`](Self::rows).
    ///
    /// # Panics
    ///
    /// When there is no such tile.
    pub fn rows_of(&self, tile: usize) -> Range<usize> {
        self.tiles[tile].rows.clone()
    }

    /// Whether samples of this size may be drawn from it: it has at least 1.5 times their entries, or 1.5 times their
    /// rows. Samples of two seeds then share two thirds of their rows at most, on average.
    pub fn suffices(&self, caps: Caps) -> bool {
        let has = |wanted: u64, there: u64| wanted.saturating_mul(3) <= there.saturating_mul(2);
        has(caps.entries, self.nonzeros()) || has(caps.rows as u64, self.rows.len() as u64)
    }

    /// One of its tiles, read into `bytes`.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is damaged.
    ///
    /// # Panics
    ///
    /// When there is no such tile.
    pub fn read<'b>(&self, tile: usize, bytes: &'b mut Vec<u8>) -> Result<SparseTile<'b>, StorageError> {
        let SampleTile { rows, bytes: length, nonzeros, crc, start } = &self.tiles[tile];
        bytes.resize(*length as usize, 0);
        files::read_at(&self.file, &self.path, *start, bytes)?;
        let found = crc32c::crc32c(bytes);
        if found != *crc {
            return Err(self.damaged_tile(tile, &TileError::Checksum { expected: *crc, found }));
        }
        SparseTile::parse(bytes, rows.len(), self.genes, *nonzeros).map_err(|error| self.damaged_tile(tile, &error))
    }

    /// The error of a tile that turns out to be damaged while it is decoded.
    pub fn damaged_tile(&self, tile: usize, source: &TileError) -> StorageError {
        StorageError::damaged(&self.path, format!("tile {tile} of the sample"), "as it was written", source)
    }
}

/// Bytes before the tiles.
fn head_bytes(rows: usize, tiles: usize) -> u64 {
    HEADER as u64 + rows as u64 * ROW_BYTES as u64 + tiles as u64 * TILE_BYTES as u64
}

fn nonzeros_of(rows: &[SampledRow]) -> u64 {
    rows.iter().map(|row| u64::from(row.nonzeros)).sum()
}

impl SampledRow {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.cell as u64).to_le_bytes());
        out.extend_from_slice(&self.sum_sq.to_le_bytes());
        out.extend_from_slice(&self.chance.to_le_bytes());
        out.extend_from_slice(&self.nonzeros.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
    }

    /// Whether a matrix with so many columns may have such a row.
    fn is_possible(&self, genes: usize) -> bool {
        let SampledRow { sum_sq, chance, nonzeros, .. } = *self;
        sum_sq > 0.0 && sum_sq.is_finite() && chance > 0.0 && chance <= 1.0 && nonzeros as usize <= genes
    }

    fn read(record: &[u8]) -> Self {
        let cell = usize::try_from(record.u64_at(0)).unwrap_or(usize::MAX);
        SampledRow { cell, sum_sq: record.f64_at(8), chance: record.f64_at(16), nonzeros: record.u32_at(24) }
    }
}

impl SampleTile {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.extend_from_slice(&self.nonzeros.to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&(self.rows.len() as u32).to_le_bytes());
    }

    fn read(record: &[u8], first_row: usize, start: u64) -> Self {
        let rows = first_row..first_row.saturating_add(record.u32_at(20) as usize);
        SampleTile { rows, bytes: record.u64_at(0), nonzeros: record.u64_at(8), crc: record.u32_at(16), start }
    }
}
