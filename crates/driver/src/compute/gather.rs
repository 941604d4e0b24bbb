//! One pass that takes chosen rows out of a matrix.

use std::ops::Range;
use std::sync::Mutex;

use partwise_storage::store::BlockInfo;
use partwise_storage::tile::{RunBatch, SparseTile, TILE_ROWS, Tile, TileError};

use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;

/// Rows taken out of one block, in the order of the matrix.
#[derive(Debug, Default, Clone)]
pub(crate) struct Rows {
    /// Which rows of the matrix.
    pub(crate) cells: Vec<usize>,
    /// Where each row's entries end in `genes` and `values` (sparse) or in `values` (dense).
    pub(crate) ends: Vec<usize>,
    /// Genes of the entries, ascending in a row; empty for dense data.
    pub(crate) genes: Vec<u32>,
    /// Values of the entries.
    pub(crate) values: Vec<f32>,
}

impl Rows {
    /// Entries of the i-th row taken.
    pub(crate) fn entries(&self, i: usize) -> Range<usize> {
        i.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[i]
    }
}

/// A row to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Row of the matrix.
    pub(crate) cell: usize,
    /// Its stored entries.
    pub(crate) entries: usize,
}

/// Takes the rows listed out of every block; each block has a slot of its own, so the order of blocks does not show.
pub(crate) struct Gather<'p> {
    /// Rows of the matrix, ascending.
    chosen: &'p [Chosen],
    slots: Vec<Mutex<Rows>>,
}

/// One thread's scratch.
#[derive(Debug, Default)]
pub(crate) struct Local {
    batch: RunBatch,
    rows: Rows,
    /// Where the next entry of each chosen row of the tile goes.
    next: Vec<usize>,
    /// Which nonzeros of the batch are in chosen rows.
    found: Vec<u32>,
}

impl<'p> Gather<'p> {
    /// Will take `chosen` (ascending) out of a matrix of `blocks` blocks.
    pub(crate) fn new(chosen: &'p [Chosen], blocks: usize) -> Self {
        Gather { chosen, slots: (0..blocks).map(|_| Mutex::default()).collect() }
    }

    /// The rows, by block.
    pub(crate) fn into_rows(self) -> Vec<Rows> {
        self.slots.into_iter().map(|slot| slot.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())).collect()
    }

    /// The chosen among these cells.
    fn among(&self, cells: &Range<usize>) -> &'p [Chosen] {
        let first = self.chosen.partition_point(|row| row.cell < cells.start);
        let end = self.chosen.partition_point(|row| row.cell < cells.end);
        &self.chosen[first..end]
    }
}

impl Local {
    /// Puts the entries of the chosen rows where they belong, gene by gene.
    ///
    /// Of a tile's nonzeros few are in chosen rows, and which ones cannot be predicted: so a loop without branches lists
    /// them first.
    fn take_sparse(&mut self, tile: &SparseTile<'_>, chosen: &[Chosen], first_cell: usize) -> Result<(), TileError> {
        let Local { batch, rows, next, found } = self;
        let (mut is_chosen, mut slot_of) = ([false; TILE_ROWS], [0; TILE_ROWS]);
        let mut end = rows.values.len();
        next.clear();
        for (slot, row) in chosen.iter().enumerate() {
            is_chosen[row.cell - first_cell] = true;
            slot_of[row.cell - first_cell] = slot;
            next.push(end);
            end += row.entries;
            rows.cells.push(row.cell);
            rows.ends.push(end);
        }
        // Exactly: what a Vec adds when it grows by itself is not in the plan.
        rows.genes.reserve_exact(end - rows.genes.len());
        rows.genes.resize(end, 0);
        rows.values.reserve_exact(end - rows.values.len());
        rows.values.resize(end, 0.0);

        let mut runs = tile.runs();
        while runs.next_batch(batch)? {
            found.resize(found.len().max(batch.rows.len() + 1), 0);
            let mut count = 0;
            for (i, &row) in batch.rows.iter().enumerate() {
                found[count] = i as u32;
                count += usize::from(is_chosen[usize::from(row)]);
            }
            let mut run = 0;
            for &i in &found[..count] {
                while batch.ends[run] <= i {
                    run += 1;
                }
                let slot = slot_of[usize::from(batch.rows[i as usize])];
                let at = next[slot];
                if at < end {
                    rows.genes[at] = batch.genes[run];
                    rows.values[at] = batch.values[i as usize];
                }
                next[slot] += 1;
            }
        }
        // The sums of a cell and its tile are written together; only a store that somebody else made could differ.
        let ends = &rows.ends[rows.ends.len() - chosen.len()..];
        match next.iter().zip(ends).find(|(next, end)| next != end) {
            Some((&found, &expected)) => {
                let what = "entries of a row, as its sums tell";
                Err(TileError::Mismatch { what, expected: expected as u64, found: found as u64 })
            }
            None => Ok(()),
        }
    }
}

impl Fold for Gather<'_> {
    type Local = Local;

    fn wants(&self, _block: usize, cells: Range<usize>) -> bool {
        !self.among(&cells).is_empty()
    }

    fn begin(&self, local: &mut Local, _block: usize, _info: &BlockInfo) -> Result<(), DriverError> {
        local.rows = Rows::default();
        Ok(())
    }

    fn tile(&self, local: &mut Local, tile: &Tile<'_>, place: &TilePlace) -> Result<(), TileError> {
        let chosen = self.among(&place.cells);
        match tile {
            Tile::Sparse(tile) => local.take_sparse(tile, chosen, place.cells.start)?,
            Tile::Dense(tile) => {
                let rows = &mut local.rows;
                for &Chosen { cell, .. } in chosen {
                    let row = cell - place.cells.start;
                    rows.cells.push(cell);
                    rows.values.extend_from_slice(&tile.values[row * tile.genes..(row + 1) * tile.genes]);
                    rows.ends.push(rows.values.len());
                }
            }
        }
        Ok(())
    }

    fn end(&self, local: &mut Local, block: usize, _info: &BlockInfo) -> Result<(), DriverError> {
        *self.slots[block].lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = std::mem::take(&mut local.rows);
        Ok(())
    }
}
