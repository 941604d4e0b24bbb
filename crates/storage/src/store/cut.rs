//! The cut of a matrix: rows into blocks, blocks into tiles.
//!
//! The cut does not depend on threads, memory or machine, so that computations block by block give
//! the same results everywhere.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::tile::TILE_ROWS;

/// The kind of the tiles of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Nonzeros in gene order, packed ([`SparseTile`](crate::tile::SparseTile)).
    Sparse,
    /// All values, row-major ([`DenseTile`](crate::tile::DenseTile)).
    Dense,
}

/// The most bytes of a dense tile, unless the fewest rows take more.
const DENSE_TILE_BYTES: usize = 1 << 20;

/// Fewest rows of a dense tile.
const DENSE_TILE_MIN_ROWS: usize = 16;

impl Layout {
    /// The rows of a tile for a matrix of `genes` columns. Sparse: [`TILE_ROWS`]. Dense: the
    /// largest power of two with which a tile has at most 1 MiB, from 16 up to [`TILE_ROWS`].
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

/// The mean number of values of a gene in a block. With it, clearing a block's share of the sums
/// and converting it to integers costs a few per cent of a pass (`docs/blocks.md`).
const VALUES_PER_GENE: u128 = 128;

/// More blocks than this do not keep more threads busy.
const MOST_BLOCKS: usize = 512;

/// Fewer blocks than this keep too few threads busy.
const LEAST_BLOCKS: usize = 32;

/// The default rows of a block for a matrix of `cells` × `genes` with `entries` values (all values
/// if it is dense): the smallest power of two with which a block has 128 values of a gene on
/// average and there are at most 512 blocks. At least 32 blocks take precedence over both. A block
/// has 256 to 16384 rows.
pub fn default_block_rows(cells: usize, genes: usize, entries: u64) -> usize {
    let worth = VALUES_PER_GENE * genes as u128 * cells as u128 / u128::from(entries.max(1));
    let worth = usize::try_from(worth).unwrap_or(usize::MAX).max(cells / MOST_BLOCKS);
    let most = (cells / LEAST_BLOCKS).checked_ilog2().map_or(0, |log| 1 << log);
    worth.checked_next_power_of_two().unwrap_or(usize::MAX).min(most).clamp(256, 16384)
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
    /// The reason why no store can have these numbers, if there is one.
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
        // Every size computed from these is below four times the bytes of the dense matrix.
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

    /// The block of a tile, counted over all blocks.
    pub(super) fn block_of_tile(&self, tile: usize) -> usize {
        tile / (self.block_rows / self.tile_rows)
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
    fn block_height_follows_the_shape_alone() {
        // Cells, genes, values a cell.
        for (why, (cells, genes, values), rows) in [
            ("nothing", (0, 0, 0), 256),
            ("no value", (1 << 20, 1_000, 0), 16_384),
            ("small", (2_700, 13_714, 850), 256),
            ("32 blocks come first", (16_384, 20_000, 1_000), 512),
            ("32 blocks come first", (50_000, 20_000, 1_000), 1_024),
            ("128 values a gene", (250_000, 20_000, 1_000), 4_096),
            ("128 values a gene", (200_000, 2_000, 66), 4_096),
            ("few values a gene", (1_000_000, 60_000, 500), 16_384),
            ("at most 512 blocks", (2_000_000, 20_000, 2_000), 4_096),
            ("dense", (20_000, 2_000, 2_000), 256),
            ("dense, at most 512 blocks", (1_000_000, 2_000, 2_000), 2_048),
            ("not above 16384", (1 << 40, 20_000, 1_000), 16_384),
        ] {
            let entries = cells as u64 * values;
            assert_eq!(default_block_rows(cells, genes, entries), rows, "{why}: {cells} x {genes}, {values} a cell");
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
