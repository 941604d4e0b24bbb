//! One pass that takes chosen rows out of a matrix.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use partwise_storage::store::{BlockInfo, Layout};
use partwise_storage::tile::{RunBatch, SparseTile, TILE_ROWS, Tile, TileError};

use crate::comm::{Comm, CommError};
use crate::data::Blocks;
use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;

/// Rows that processes exchange at once.
const ROWS_AT_ONCE: usize = 256;

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
    layout: Layout,
    block_rows: usize,
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
    /// Will take `chosen` (ascending) out of `data`.
    pub(crate) fn new(chosen: &'p [Chosen], data: &dyn Blocks) -> Self {
        Gather {
            chosen,
            layout: data.layout(),
            block_rows: data.block_rows(),
            slots: (0..data.blocks()).map(|_| Mutex::default()).collect(),
        }
    }

    /// The rows, by block.
    pub(crate) fn into_rows(self) -> Vec<Rows> {
        self.slots.into_iter().map(|slot| slot.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())).collect()
    }

    fn slot(&self, block: usize) -> MutexGuard<'_, Rows> {
        self.slots[block].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Writes what this process has of `rows` into `words`, one for each entry.
    fn give(&self, rows: &[Chosen], words: &mut [i64]) {
        let mut at = 0;
        for row in rows {
            let words = &mut words[at..at + row.entries];
            at += row.entries;
            let have = self.slot(self.block_of(row.cell));
            let Ok(i) = have.cells.binary_search(&row.cell) else { continue };
            for (word, entry) in words.iter_mut().zip(have.entries(i)) {
                let gene = have.genes.get(entry).copied().unwrap_or(0);
                *word = i64::from(gene) << 32 | i64::from(have.values[entry].to_bits());
            }
        }
    }

    /// Adds those of `rows` that this process did not have.
    fn take(&self, rows: &[Chosen], words: &[i64]) {
        let mut at = 0;
        for row in rows {
            let words = &words[at..at + row.entries];
            at += row.entries;
            let mut have = self.slot(self.block_of(row.cell));
            if have.cells.binary_search(&row.cell).is_ok() {
                continue;
            }
            // The rows of a block are all of one process, and come in order.
            have.cells.push(row.cell);
            if self.layout == Layout::Sparse {
                have.genes.extend(words.iter().map(|word| (word >> 32) as u32));
            }
            have.values.extend(words.iter().map(|&word| f32::from_bits(word as u32)));
            let end = have.values.len();
            have.ends.push(end);
        }
    }

    fn block_of(&self, cell: usize) -> usize {
        cell / self.block_rows
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
        *self.slot(block) = std::mem::take(&mut local.rows);
        Ok(())
    }

    /// Every process gets the rows of all: an entry is one integer, and all but one process have zero there.
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        let mut words = Vec::new();
        for rows in self.chosen.chunks(ROWS_AT_ONCE) {
            words.clear();
            words.resize(rows.iter().map(|row| row.entries).sum(), 0);
            self.give(rows, &mut words);
            comm.all_reduce_sum(&mut [&mut words])?;
            self.take(rows, &words);
        }
        Ok(())
    }
}
