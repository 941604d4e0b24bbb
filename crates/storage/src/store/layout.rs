//! How the matrix is cut: rows into blocks, blocks into tiles.
//!
//! Nothing here depends on threads, memory or machine, so that everything computed block by block repeats everywhere.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::tile::TILE_ROWS;

/// What the tiles of a store are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Nonzeros in gene order, packed ([`SparseTile`](crate::tile::SparseTile)).
    Sparse,
    /// All values, row-major ([`DenseTile`](crate::tile::DenseTile)).
    Dense,
}

/// Most bytes of a dense tile, unless its smallest number of rows takes more.
const DENSE_TILE_BYTES: usize = 1 << 20;

/// Fewest rows of a dense tile.
const DENSE_TILE_MIN_ROWS: usize = 16;

impl Layout {
    /// The rows of a tile for a matrix of `genes` columns: [`TILE_ROWS`] if sparse; if dense the largest power of two up to
    /// that with which a tile is at most 1 MiB, but at least 16.
    pub fn tile_rows(self, genes: usize) -> usize {
        match self {
            Self::Sparse => TILE_ROWS,
            Self::Dense => {
                let rows = DENSE_TILE_BYTES / genes.saturating_mul(4).max(1);
                let power = rows.checked_ilog2().map_or(1, |log| 1 << log);
                power.clamp(DENSE_TILE_MIN_ROWS, TILE_ROWS)
            }
        }
    }
}

/// The rows of a block for a matrix of `cells` rows: the power of two at or below cells / 32, from 256 to 4096. So even
/// small matrices have work for many threads, and large ones blocks over which the sums of a block cost little.
pub fn default_block_rows(cells: usize) -> usize {
    (cells / 32).checked_ilog2().map_or(256, |log| 1 << log).clamp(256, 4096)
}

/// Shape and cut of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) cells: usize,
    pub(super) genes: usize,
    pub(super) layout: Layout,
    pub(super) block_rows: usize,
    pub(super) tile_rows: usize,
}

impl Cut {
    /// What is wrong with these numbers, if anything is.
    pub(super) fn problem(&self) -> Option<String> {
        let Self { cells, genes, layout, block_rows, tile_rows } = *self;
        if tile_rows == 0 || tile_rows > TILE_ROWS {
            return Some(format!("tiles of {tile_rows} rows; they have 1 to {TILE_ROWS}"));
        }
        if block_rows == 0 || !block_rows.is_multiple_of(tile_rows) {
            return Some(format!("blocks of {block_rows} rows; they have a multiple of the {tile_rows} of a tile"));
        }
        if u32::try_from(block_rows).is_err() || u32::try_from(genes).is_err() {
            return Some(format!("blocks of {block_rows} rows and {genes} genes; neither may exceed {}", u32::MAX));
        }
        // Every size that is computed from these is below four times the bytes of the matrix laid out dense.
        let dense = cells.checked_add(block_rows).and_then(|rows| rows.checked_mul(genes.max(64)));
        let too_large = dense.and_then(|values| values.checked_mul(64)).is_none();
        (layout == Layout::Dense && genes == 0 && cells > 0 || too_large)
            .then(|| format!("a {layout:?} matrix of {cells} × {genes}"))
    }

    /// Number of blocks.
    pub(super) fn blocks(&self) -> usize {
        self.cells.div_ceil(self.block_rows)
    }

    /// Number of tiles of all blocks.
    pub(super) fn tiles(&self) -> usize {
        self.cells.div_ceil(self.tile_rows)
    }

    /// The rows of block `block`.
    pub(super) fn block_rows_of(&self, block: usize) -> Range<usize> {
        let first = block * self.block_rows;
        first..(first + self.block_rows).min(self.cells)
    }

    /// The tiles of block `block`, counted over all blocks.
    pub(super) fn block_tiles(&self, block: usize) -> Range<usize> {
        let rows = self.block_rows_of(block);
        rows.start / self.tile_rows..rows.end.div_ceil(self.tile_rows)
    }

    /// The rows of a tile, counted over all blocks.
    pub(super) fn tile_rows_of(&self, tile: usize) -> Range<usize> {
        let first = tile * self.tile_rows;
        first..(first + self.tile_rows).min(self.cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_height_follows_the_number_of_cells_alone() {
        let cases =
            [(0, 256), (2_700, 256), (16_383, 256), (16_384, 512), (50_000, 1024), (131_072, 4096), (1 << 40, 4096)];
        for (cells, rows) in cases {
            assert_eq!(default_block_rows(cells), rows, "{cells} cells");
        }
    }

    #[test]
    fn dense_tiles_stay_below_a_mebibyte() {
        let cases =
            [(0, 256), (1, 256), (1_000, 256), (1_024, 256), (1_025, 128), (2_000, 128), (20_000, 16), (1 << 30, 16)];
        for (genes, rows) in cases {
            assert_eq!(Layout::Dense.tile_rows(genes), rows, "{genes} genes");
            assert_eq!(Layout::Sparse.tile_rows(genes), 256);
        }
    }

    #[test]
    fn blocks_and_tiles_cover_all_rows() {
        let cut = Cut { cells: 1_100, genes: 3, layout: Layout::Sparse, block_rows: 512, tile_rows: 256 };
        assert_eq!((cut.blocks(), cut.tiles()), (3, 5));
        assert_eq!(cut.block_tiles(1), 2..4);
        assert_eq!((cut.block_rows_of(2), cut.block_tiles(2), cut.tile_rows_of(4)), (1024..1100, 4..5, 1024..1100));
    }
}
