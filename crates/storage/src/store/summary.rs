//! Figures of a store and of its blocks.

use super::Store;

/// Figures of a block that are known without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// Its first row in the matrix.
    pub first_row: usize,
    /// Its rows.
    pub rows: usize,
    /// Its tiles.
    pub tiles: usize,
    /// Bytes from the start of its first tile to the end of its last one: the cost of reading the
    /// whole block.
    pub bytes: usize,
    /// Its values above zero.
    pub nonzeros: u64,
}

/// Figures of a store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Rows.
    pub cells: usize,
    /// Columns.
    pub genes: usize,
    /// Values above zero.
    pub nonzeros: u64,
    /// Σ x.
    pub sum: f64,
    /// The largest value.
    pub max: f32,
    /// Whether all values are integers up to 2²⁴.
    pub integer: bool,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of blocks and table for each value above zero (0 if there is none).
    pub bytes_per_nonzero: f64,
    /// Bytes of the sample that it keeps of its rows; 0: it keeps none.
    pub sample_bytes: u64,
    /// Blocks.
    pub blocks: usize,
    /// Rows of a block.
    pub block_rows: usize,
}

impl Store {
    /// Rows, tiles and bytes of block `block`.
    ///
    /// # Panics
    ///
    /// When there is no such block.
    #[track_caller]
    pub fn block(&self, block: usize) -> BlockInfo {
        assert!(block < self.blocks(), "block {block} is one of {}", self.blocks());
        let (rows, tiles) = (self.cut.block_rows_of(block), self.cut.block_tiles(block).len());
        let bytes = self.tile_place(block, tiles - 1).end - self.tile_place(block, 0).start;
        let nonzeros = self.table.blocks[block].nonzeros;
        BlockInfo { first_row: rows.start, rows: rows.len(), tiles, bytes: bytes as usize, nonzeros }
    }

    /// The figures of the store.
    pub fn summary(&self) -> Summary {
        let nonzeros = self.nonzeros();
        Summary {
            cells: self.cells(),
            genes: self.genes(),
            nonzeros,
            sum: self.totals.sum,
            max: self.totals.max,
            integer: self.totals.integer,
            bytes: self.bytes,
            bytes_per_nonzero: if nonzeros == 0 { 0.0 } else { self.packed_bytes as f64 / nonzeros as f64 },
            sample_bytes: self.sample.map_or(0, |stamp| stamp.bytes),
            blocks: self.blocks(),
            block_rows: self.block_rows(),
        }
    }
}
