//! Verifies all bytes of a store.

use super::block::{self, BLOCK_ALIGN};
use super::files;
use super::names;
use super::segment::SegmentBuf;
use super::{BlockFile, Store};
use crate::error::StorageError;
use crate::monitor::{Monitor, Unit};
use crate::tile::{CellMoments, RunBatch, SparseTile, Tile, TileError};

/// Counts of what was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// Blocks.
    pub blocks: usize,
    /// Tiles in them.
    pub tiles: usize,
    /// Values above zero.
    pub nonzeros: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Cells whose moments are compared at a time.
const CELLS_AT_A_TIME: usize = 1 << 16;

impl Store {
    /// Reads every byte of the store and checks it: heads, directories and padding of blocks
    /// against the table, checksums and content of tiles, the moments of cells against the tiles,
    /// the sample, the checksum of the annotations.
    ///
    /// Costs one pass over the store on one thread, with the memory of the largest tile. Reports
    /// bytes to `monitor`.
    ///
    /// # Errors
    ///
    /// The first damage found, with path, block and rows; or the cancellation by the monitor.
    pub fn verify(&self, monitor: &dyn Monitor) -> Result<VerifyReport, StorageError> {
        monitor.start("verify", self.bytes, Unit::Bytes);
        let mut scratch = Scratch { buf: SegmentBuf::new(), batch: RunBatch::new(), rows: Vec::new() };
        let mut cells = Vec::new();
        for block in 0..self.blocks() {
            if monitor.cancelled() {
                return Err(StorageError::Cancelled);
            }
            self.verify_head(block)?;
            let rows = self.block(block).first_row..self.block(block).first_row + self.block(block).rows;
            for tile in 0..self.block(block).tiles {
                self.verify_tile(block, tile, &mut scratch, &mut cells)?;
            }
            self.verify_cells(rows.start, &cells)?;
            cells.clear();
            monitor.advance(self.table.blocks[block].bytes);
        }
        self.verify_sample(&mut scratch)?;
        if self.annotations.is_some() {
            self.annotations()?;
        }
        monitor.advance(self.bytes - self.table.blocks.iter().map(|block| block.bytes).sum::<u64>());
        monitor.finish();
        let tiles = self.table.tiles.len();
        Ok(VerifyReport { blocks: self.blocks(), tiles, nonzeros: self.nonzeros(), bytes: self.bytes })
    }

    /// Checks header, directory and all padding of a block.
    fn verify_head(&self, block: usize) -> Result<(), StorageError> {
        let BlockFile { file, path, .. } = self.block_file_of(block);
        let record = self.table.blocks[block];
        let tiles = &self.table.tiles[self.cut.block_tiles(block)];
        let expected = block::head(&self.cut, block, tiles);
        let mut head = vec![0; expected.len()];
        files::read_at(file, path, record.offset, &mut head)?;
        if head != expected {
            return Err(StorageError::damaged(
                path,
                format!("the head of block {block}"),
                "as in the table",
                "another",
            ));
        }
        let mut zeros = [0; BLOCK_ALIGN as usize];
        for tile in 0..tiles.len() {
            let end = self.tile_place(block, tile).end;
            let next = if tile + 1 < tiles.len() {
                self.tile_place(block, tile + 1).start
            } else {
                record.offset + record.bytes
            };
            let zeros = &mut zeros[..(next - end) as usize];
            files::read_at(file, path, end, zeros)?;
            if zeros.iter().any(|&byte| byte != 0) {
                let what = format!("the padding after tile {tile} of block {block}");
                return Err(StorageError::damaged(path, what, "zero", "other bytes"));
            }
        }
        Ok(())
    }

    /// Checks checksum and content of a tile. Appends the moments of its rows to `cells`.
    fn verify_tile(
        &self,
        block: usize,
        tile: usize,
        scratch: &mut Scratch,
        cells: &mut Vec<CellMoments>,
    ) -> Result<(), StorageError> {
        let segment = self.read(block, tile..tile + 1, &mut scratch.buf)?;
        let rows = match segment.tile(tile)? {
            Tile::Sparse(sparse) => {
                check_sparse(&sparse, &mut scratch.batch, &mut scratch.rows)
                    .map_err(|source| self.damaged_tile(block, tile, source))?;
                sparse.rows()
            }
            Tile::Dense(dense) => {
                scratch.rows.resize_with(dense.rows.max(scratch.rows.len()), Vec::new);
                for (row, values) in scratch.rows.iter_mut().zip(dense.values.chunks_exact(dense.genes.max(1))) {
                    row.clear();
                    row.extend(values.iter().filter(|&&value| value != 0.0));
                    if row.iter().any(|value| !(value.is_finite() && *value > 0.0)) {
                        let source = TileError::Mismatch { what: "values that cannot be used", expected: 0, found: 1 };
                        return Err(self.damaged_tile(block, tile, source));
                    }
                }
                dense.rows
            }
        };
        let first = cells.len();
        cells.extend(scratch.rows[..rows].iter().map(|row| CellMoments::of(row.iter().copied())));
        let nonzeros = cells[first..].iter().map(|cell| u64::from(cell.nonzeros)).sum::<u64>();
        let expected = self.tile_record(block, tile).nonzeros;
        if nonzeros != expected {
            let source = TileError::Mismatch { what: "values above zero", expected, found: nonzeros };
            return Err(self.damaged_tile(block, tile, source));
        }
        Ok(())
    }

    /// Checks the tiles of the sample, and its rows against the moments of the cells.
    fn verify_sample(&self, scratch: &mut Scratch) -> Result<(), StorageError> {
        let Some(sample) = self.sample()? else { return Ok(()) };
        let mut bytes = Vec::new();
        for tile in 0..sample.tiles() {
            let damaged = |source| sample.damaged_tile(tile, &source);
            check_sparse(&sample.read(tile, &mut bytes)?, &mut scratch.batch, &mut scratch.rows).map_err(damaged)?;
            let rows = &sample.rows()[sample.rows_of(tile)];
            for (row, values) in rows.iter().zip(&scratch.rows) {
                let found = CellMoments::of(values.iter().copied());
                let expected = self.cell_moments(row.cell..row.cell + 1)?[0];
                let listed = (row.nonzeros, row.sum_sq) == (expected.nonzeros, expected.sum_sq);
                if found != expected || !listed {
                    let what = "rows that are not those of the store";
                    return Err(damaged(TileError::Mismatch { what, expected: 0, found: 1 }));
                }
            }
        }
        Ok(())
    }

    /// Compares the moments of the rows from `first` on with those in the file.
    fn verify_cells(&self, first: usize, cells: &[CellMoments]) -> Result<(), StorageError> {
        let mut from = first;
        for some in cells.chunks(CELLS_AT_A_TIME) {
            let stored = self.cell_moments(from..from + some.len())?;
            if let Some(place) = stored.iter().zip(some).position(|(stored, found)| stored != found) {
                let path = self.path.join(names::CELLS);
                let what = format!("the moments of cell {}", from + place);
                return Err(StorageError::damaged(
                    &path,
                    what,
                    format!("{:?}", some[place]),
                    format!("{:?}", stored[place]),
                ));
            }
            from += some.len();
        }
        Ok(())
    }
}

/// Memory that is reused from tile to tile.
struct Scratch {
    buf: SegmentBuf,
    batch: RunBatch,
    /// The values of each row of a tile.
    rows: Vec<Vec<f32>>,
}

/// Decodes a tile and sorts its values into `rows`. Checks that rows ascend within a run and exist,
/// and that values are above zero.
fn check_sparse(tile: &SparseTile<'_>, batch: &mut RunBatch, rows: &mut Vec<Vec<f32>>) -> Result<(), TileError> {
    rows.resize_with(rows.len().max(tile.rows()), Vec::new);
    rows.iter_mut().for_each(Vec::clear);
    let mut runs = tile.runs();
    while runs.next_batch(batch)? {
        let mut start = 0;
        for &end in &batch.ends {
            let run = start..end as usize;
            start = end as usize;
            if !batch.rows[run.clone()].is_sorted_by(|a, b| a < b) {
                return Err(TileError::Mismatch { what: "rows of a run that do not ascend", expected: 0, found: 1 });
            }
            for (&row, &value) in batch.rows[run.clone()].iter().zip(&batch.values[run]) {
                if usize::from(row) >= tile.rows() {
                    let expected = tile.rows() as u64;
                    return Err(TileError::Mismatch { what: "rows (below)", expected, found: row.into() });
                }
                if !(value > 0.0 && value.is_finite()) {
                    return Err(TileError::Mismatch { what: "values that cannot be used", expected: 0, found: 1 });
                }
                rows[usize::from(row)].push(value);
            }
        }
    }
    Ok(())
}
