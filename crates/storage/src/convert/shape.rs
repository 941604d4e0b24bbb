//! Decides the shape of a store: sparse or dense, the heights of tiles and blocks.
//!
//! The shape depends only on the source, so that the budget and the number of threads do not change
//! the store.

use std::ops::Range;

use super::check::Place;
use super::{ConvertSpec, StorageError, plan};
use crate::source::{Form, RowChunk, Source};
use crate::store::{Layout, default_block_rows};
use crate::tile::TILE_ROWS;

/// Values of the leading rows that decide whether a dense source is mostly zeros.
const SAMPLE: usize = 1 << 20;

/// Values read at a time.
const PIECE: usize = 1 << 18;

/// The shape of a store to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoreShape {
    pub(super) cells: usize,
    pub(super) genes: usize,
    pub(super) layout: Layout,
    pub(super) tile_rows: usize,
    pub(super) block_rows: usize,
    /// For a dense source: the most entries expected in a sparse tile, judging by the sample.
    pub(super) sampled_entries_per_tile: usize,
}

impl StoreShape {
    /// Decides the shape. Reads the leading rows of a dense source.
    ///
    /// A dense source becomes a sparse store if 8 bytes for each nonzero of these rows (a column
    /// and a value) are fewer than 4 bytes for each value. The leading rows hold about a million
    /// values, and are at least 16.
    ///
    /// # Errors
    ///
    /// - there is no row or no column, or the form contradicts itself
    /// - the block height is not a positive multiple of the tile's height
    /// - the leading rows cannot be read, or not within the budget
    pub(super) fn of(source: &mut dyn Source, spec: &ConvertSpec) -> Result<StoreShape, StorageError> {
        let (cells, genes) = (source.cells(), source.genes());
        let place = Place::of(source, genes);
        place.check_shape(cells)?;
        plan::check_sampling(source, (cells, genes), spec)?;
        source.prepare()?;
        match source.form() {
            Form::Sparse { entries, most_per_tile } => {
                place.check_form(entries, most_per_tile)?;
                StoreShape::cut((cells, genes), Layout::Sparse, entries, 0, spec)
            }
            Form::Dense => {
                let Sampled { layout, entries, most_per_tile } = sample(source, &place, (cells, genes))?;
                StoreShape::cut((cells, genes), layout, entries, most_per_tile, spec)
            }
            Form::Entries { .. } => unreachable!("entries are transposed first"),
        }
    }

    fn cut(
        (cells, genes): (usize, usize),
        layout: Layout,
        entries: u64,
        sampled_entries_per_tile: usize,
        spec: &ConvertSpec,
    ) -> Result<StoreShape, StorageError> {
        let tile_rows = layout.tile_rows(genes);
        let block_rows = spec.block_rows.unwrap_or_else(|| default_block_rows(cells, genes, entries));
        if block_rows == 0 || !block_rows.is_multiple_of(tile_rows) {
            return Err(StorageError::BlockRows { block_rows, tile_rows });
        }
        Ok(StoreShape { cells, genes, layout, tile_rows, block_rows, sampled_entries_per_tile })
    }

    /// The rows of the first `tiles` tiles.
    pub(super) fn rows_before(&self, tiles: usize) -> usize {
        (tiles * self.tile_rows).min(self.cells)
    }

    /// The number of tiles.
    pub(super) fn tiles(&self) -> usize {
        self.cells.div_ceil(self.tile_rows)
    }

    /// The rows of a tile.
    pub(super) fn rows_of(&self, tile: usize) -> Range<usize> {
        let first = tile * self.tile_rows;
        first..self.cells.min(first + self.tile_rows)
    }
}

/// Estimates from the leading rows of a dense source.
struct Sampled {
    layout: Layout,
    /// The expected number of values in a store of that layout.
    entries: u64,
    /// The most entries expected in a sparse tile.
    most_per_tile: usize,
}

fn sample(source: &mut dyn Source, place: &Place, (cells, genes): (usize, usize)) -> Result<Sampled, StorageError> {
    let rows = (SAMPLE / genes).max(16).min(cells);
    let step = (PIECE / genes).max(1);
    let mut chunk = RowChunk::default();
    let mut nonzeros = 0;
    let mut densest = 0;
    for first in (0..rows).step_by(step) {
        let piece = first..rows.min(first + step);
        source.read_rows(piece.clone(), &mut chunk)?;
        place.check_lengths(&chunk, Form::Dense, &piece)?;
        let RowChunk::Dense { values } = &chunk else { continue };
        for row in values.chunks_exact(genes) {
            let count = row.iter().filter(|&&v| v > 0.0).count();
            nonzeros += count;
            densest = densest.max(count);
        }
    }
    let layout = if 8 * nonzeros < 4 * rows * genes { Layout::Sparse } else { Layout::Dense };
    let a_row = match layout {
        Layout::Sparse => nonzeros as f64 / rows.max(1) as f64,
        Layout::Dense => genes as f64,
    };
    let entries = (a_row * cells as f64) as u64;
    Ok(Sampled { layout, entries, most_per_tile: densest * TILE_ROWS })
}
