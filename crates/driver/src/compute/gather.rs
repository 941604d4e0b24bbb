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

/// Takes the rows listed out of every block; each block has a slot of its own, so the order of blocks does not show.
pub(crate) struct Gather<'p> {
    /// Rows of the matrix, ascending.
    chosen: &'p [usize],
    slots: Vec<Mutex<Rows>>,
}

/// One thread's scratch.
#[derive(Debug, Default)]
pub(crate) struct Local {
    batch: RunBatch,
    rows: Rows,
    /// Where the next entry of each chosen row of the tile goes.
    next: Vec<usize>,
    found: Vec<Found>,
}

impl<'p> Gather<'p> {
    /// Will take `chosen` (ascending) out of a matrix of `blocks` blocks.
    pub(crate) fn new(chosen: &'p [usize], blocks: usize) -> Self {
        Gather { chosen, slots: (0..blocks).map(|_| Mutex::default()).collect() }
    }

    /// The rows, by block.
    pub(crate) fn into_rows(self) -> Vec<Rows> {
        self.slots.into_iter().map(|slot| slot.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())).collect()
    }

    /// The chosen among these cells.
    fn among(&self, cells: &Range<usize>) -> &'p [usize] {
        let first = self.chosen.partition_point(|&cell| cell < cells.start);
        let end = self.chosen.partition_point(|&cell| cell < cells.end);
        &self.chosen[first..end]
    }
}

/// Up to so many chosen rows of a tile are put aside as they are met and sorted afterwards, which decodes the tile once; the
/// entries of more would take memory that the plan does not count, so they are counted first and placed in a second
/// sweep.
const FEW: usize = 32;

/// An entry put aside: which of the chosen rows, gene, value.
type Found = (u32, u32, f32);

impl Local {
    /// Appends the entries of the chosen rows to `rows`, row by row.
    fn take_sparse(&mut self, tile: &SparseTile<'_>, chosen: &[usize], first_cell: usize) -> Result<(), TileError> {
        const NOT_CHOSEN: usize = usize::MAX;
        let mut slot_of = [NOT_CHOSEN; TILE_ROWS];
        for (slot, cell) in chosen.iter().enumerate() {
            slot_of[cell - first_cell] = slot;
        }
        let Local { batch, rows, next, found } = self;
        next.clear();
        next.resize(chosen.len(), 0);
        found.clear();
        let few = chosen.len() <= FEW;
        for_each(tile, batch, |row, gene, value| {
            if let Some(count) = next.get_mut(slot_of[row]) {
                *count += 1;
                if few {
                    found.push((slot_of[row] as u32, gene, value));
                }
            }
        })?;
        let mut at = rows.values.len();
        for (next, &cell) in next.iter_mut().zip(chosen) {
            at += std::mem::replace(next, at);
            rows.cells.push(cell);
            rows.ends.push(at);
        }
        // Exactly: what a Vec adds when it grows by itself is not in the plan.
        rows.genes.reserve_exact(at - rows.genes.len());
        rows.genes.resize(at, 0);
        rows.values.reserve_exact(at - rows.values.len());
        rows.values.resize(at, 0.0);
        let mut place = |slot: usize, gene, value| {
            if let Some(at) = next.get_mut(slot) {
                rows.genes[*at] = gene;
                rows.values[*at] = value;
                *at += 1;
            }
        };
        if few {
            found.iter().for_each(|&(slot, gene, value)| place(slot as usize, gene, value));
            return Ok(());
        }
        for_each(tile, batch, |row, gene, value| place(slot_of[row], gene, value))
    }
}

/// Shows every entry of a tile as (row of the tile, gene, value), gene by gene.
fn for_each(
    tile: &SparseTile<'_>,
    batch: &mut RunBatch,
    mut see: impl FnMut(usize, u32, f32),
) -> Result<(), TileError> {
    let mut runs = tile.runs();
    while runs.next_batch(batch)? {
        let mut start = 0;
        for (&gene, &end) in batch.genes.iter().zip(&batch.ends) {
            let run = start..end as usize;
            for (&row, &value) in batch.rows[run.clone()].iter().zip(&batch.values[run]) {
                see(usize::from(row), gene, value);
            }
            start = end as usize;
        }
    }
    Ok(())
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
                for &cell in chosen {
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
