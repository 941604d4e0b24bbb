//! Copying chosen rows out of a tile.

use std::ops::Range;

use super::{DenseTile, RunBatch, SparseTile, TILE_ROWS, TileError};

/// Rows copied out of tiles, in the order in which they were taken.
#[derive(Debug, Default, Clone)]
pub struct TakenRows {
    /// Which rows of the matrix.
    pub cells: Vec<usize>,
    /// Where each row's entries end in `genes` and `values` (sparse) or in `values` (dense).
    pub ends: Vec<usize>,
    /// Genes of the entries, ascending in a row; empty for dense data.
    pub genes: Vec<u32>,
    /// Values of the entries.
    pub values: Vec<f32>,
}

/// A row of a tile to be copied.
#[derive(Debug, Clone, Copy)]
pub struct ChosenRow {
    /// Row of the tile.
    pub row: usize,
    /// Row of the matrix.
    pub cell: usize,
    /// Its stored entries.
    pub entries: usize,
}

/// Scratch of [`TakenRows::take`], for any number of tiles.
#[derive(Debug, Default)]
pub struct TakeScratch {
    /// Where the next entry of each chosen row goes.
    next: Vec<usize>,
    /// Which nonzeros of the batch are in chosen rows.
    found: Vec<u32>,
}

impl TakenRows {
    /// Entries of the i-th row.
    pub fn entries(&self, i: usize) -> Range<usize> {
        i.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[i]
    }

    /// Adds the chosen rows of a tile, which ascend: puts their entries where they belong, gene by gene.
    ///
    /// Few of a tile's nonzeros are in chosen rows, and it cannot be predicted which ones: a loop
    /// without branches lists them first.
    ///
    /// # Errors
    ///
    /// - the tile is damaged, or a row does not have the entries that were promised
    pub fn take(
        &mut self,
        tile: &SparseTile<'_>,
        chosen: &[ChosenRow],
        batch: &mut RunBatch,
        scratch: &mut TakeScratch,
    ) -> Result<(), TileError> {
        let TakeScratch { next, found } = scratch;
        let (mut is_chosen, mut slot_of) = ([false; TILE_ROWS], [0; TILE_ROWS]);
        let mut end = self.values.len();
        next.clear();
        for (slot, row) in chosen.iter().enumerate() {
            is_chosen[row.row] = true;
            slot_of[row.row] = slot;
            next.push(end);
            end += row.entries;
            self.cells.push(row.cell);
            self.ends.push(end);
        }
        // Exactly: the spare room of a growing Vec is in no plan.
        self.genes.reserve_exact(end - self.genes.len());
        self.genes.resize(end, 0);
        self.values.reserve_exact(end - self.values.len());
        self.values.resize(end, 0.0);

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
                    self.genes[at] = batch.genes[run];
                    self.values[at] = batch.values[i as usize];
                }
                next[slot] += 1;
            }
        }
        // The sums of a cell and its tile are written together; only a store from elsewhere could
        // differ.
        let ends = &self.ends[self.ends.len() - chosen.len()..];
        match next.iter().zip(ends).find(|(next, end)| next != end) {
            Some((&found, &expected)) => {
                let what = "entries of a row, as its sums tell";
                Err(TileError::Mismatch { what, expected: expected as u64, found: found as u64 })
            }
            None => Ok(()),
        }
    }

    /// Adds whole rows of a dense tile.
    pub fn take_dense(&mut self, tile: &DenseTile<'_>, chosen: &[ChosenRow]) {
        for &ChosenRow { row, cell, .. } in chosen {
            self.cells.push(cell);
            self.values.extend_from_slice(&tile.values[row * tile.genes..(row + 1) * tile.genes]);
            self.ends.push(self.values.len());
        }
    }
}
