//! One pass that takes chosen rows out of a matrix.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use partwise_storage::store::{BlockInfo, Layout};
use partwise_storage::tile::{ChosenRow, TakenRows, TileError};

use crate::blocks::Blocks;
use crate::comm::{Comm, CommError};
use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;
use crate::products::TileProducts;

/// Rows that processes exchange at once.
const ROWS_AT_ONCE: usize = 256;

/// A row to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Row of the matrix.
    pub(crate) cell: usize,
    /// Its stored entries.
    pub(crate) entries: usize,
}

/// Takes the listed rows out of every block. Each block has a slot of its own, so the order of
/// blocks does not show.
pub(crate) struct TakeRows<'p> {
    /// Rows of the matrix, ascending.
    chosen: &'p [Chosen],
    /// Whether an entry has a gene besides its value.
    sparse: bool,
    block_rows: usize,
    slots: Vec<Mutex<TakenRows>>,
}

/// One worker's rows of the block in hand.
#[derive(Debug, Default)]
pub(crate) struct Local {
    rows: TakenRows,
    of_tile: Vec<ChosenRow>,
}

impl<'p> TakeRows<'p> {
    /// Will take `chosen` (ascending) out of `data`.
    pub(crate) fn new(chosen: &'p [Chosen], data: &dyn Blocks) -> Self {
        TakeRows {
            chosen,
            sparse: data.layout() == Layout::Sparse,
            block_rows: data.block_rows(),
            slots: (0..data.blocks()).map(|_| Mutex::default()).collect(),
        }
    }

    /// The rows, by block.
    pub(crate) fn into_rows(self) -> Vec<TakenRows> {
        self.slots.into_iter().map(|slot| slot.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())).collect()
    }

    fn slot(&self, block: usize) -> MutexGuard<'_, TakenRows> {
        self.slots[block].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Writes those of `rows` that this process has into `words`, one word for each entry.
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
            // One process has all rows of a block, and they come in order.
            have.cells.push(row.cell);
            if self.sparse {
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

impl Fold for TakeRows<'_> {
    type Local = Local;

    fn wants(&self, _block: usize, cells: Range<usize>) -> bool {
        !self.among(&cells).is_empty()
    }

    fn begin(&self, local: &mut Local, _block: usize, _info: &BlockInfo) -> Result<(), DriverError> {
        local.rows = TakenRows::default();
        Ok(())
    }

    fn tile(&self, local: &mut Local, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        let Local { rows, of_tile } = local;
        of_tile.clear();
        of_tile.extend(self.among(&place.cells).iter().map(|&Chosen { cell, entries }| ChosenRow {
            row: cell - place.cells.start,
            cell,
            entries,
        }));
        // Another fold of the pass may want a tile that this one does not.
        if of_tile.is_empty() { Ok(()) } else { tile.copy_rows(of_tile, rows) }
    }

    fn end(&self, local: &mut Local, block: usize, _info: &BlockInfo) -> Result<(), DriverError> {
        *self.slot(block) = std::mem::take(&mut local.rows);
        Ok(())
    }

    /// Every process gets the rows of all: an entry is one integer, and all but one process have
    /// zero there.
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
