//! Copying chosen rows out of a tile.

use std::ops::Range;

use partwise_storage::tile::{DenseTile, RunBatch, SparseTile, TILE_ROWS, TileError};

/// Rows copied out of tiles, in the order of the matrix.
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
    /// Entries of the i-th row.
    pub(crate) fn entries(&self, i: usize) -> Range<usize> {
        i.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[i]
    }
}

/// A row of a tile to be copied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChosenRow {
    /// Row of the tile.
    pub(crate) row: usize,
    /// Row of the matrix.
    pub(crate) cell: usize,
    /// Its stored entries.
    pub(crate) entries: usize,
}

/// Scratch of [`copy_sparse`].
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Where the next entry of each chosen row goes.
    next: Vec<usize>,
    /// Which nonzeros of the batch are in chosen rows.
    found: Vec<u32>,
}

/// Puts the entries of the chosen rows where they belong, gene by gene.
///
/// Few of a tile's nonzeros are in chosen rows, and it cannot be predicted which ones: a loop
/// without branches lists them first.
pub(super) fn copy_sparse(
    tile: &SparseTile<'_>,
    chosen: &[ChosenRow],
    rows: &mut Rows,
    batch: &mut RunBatch,
    scratch: &mut Scratch,
) -> Result<(), TileError> {
    let Scratch { next, found } = scratch;
    let (mut is_chosen, mut slot_of) = ([false; TILE_ROWS], [0; TILE_ROWS]);
    let mut end = rows.values.len();
    next.clear();
    for (slot, row) in chosen.iter().enumerate() {
        is_chosen[row.row] = true;
        slot_of[row.row] = slot;
        next.push(end);
        end += row.entries;
        rows.cells.push(row.cell);
        rows.ends.push(end);
    }
    // Exactly: the spare room of a growing Vec is not in the plan.
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
    // The sums of a cell and its tile are written together; only a store from elsewhere could
    // differ.
    let ends = &rows.ends[rows.ends.len() - chosen.len()..];
    match next.iter().zip(ends).find(|(next, end)| next != end) {
        Some((&found, &expected)) => {
            let what = "entries of a row, as its sums tell";
            Err(TileError::Mismatch { what, expected: expected as u64, found: found as u64 })
        }
        None => Ok(()),
    }
}

/// Copies whole rows.
pub(super) fn copy_dense(tile: &DenseTile<'_>, chosen: &[ChosenRow], rows: &mut Rows) {
    for &ChosenRow { row, cell, .. } in chosen {
        rows.cells.push(cell);
        rows.values.extend_from_slice(&tile.values[row * tile.genes..(row + 1) * tile.genes]);
        rows.ends.push(rows.values.len());
    }
}
