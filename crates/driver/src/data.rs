//! What the engine folds over: row blocks, whether they lie in a store on disk or in memory.

use std::ops::Range;

use partwise_storage::store::{BlockInfo, Layout, SegmentBuf, Store};
use partwise_storage::tile::{Tile, TileError};

use crate::error::DriverError;

/// A matrix in row blocks that can be read any number of times, by many threads.
///
/// To write a new one: say the shape, yield tiles by (block, tile), and keep every answer the same from call to call;
/// the engine, the solvers and the sums know nothing else.
pub trait Blocks: Sync {
    /// Rows n.
    fn cells(&self) -> usize;
    /// Columns m.
    fn genes(&self) -> usize;
    /// Stored entries, a measure of the work of one pass.
    fn entries(&self) -> u64;
    /// Sparse or dense tiles.
    fn layout(&self) -> Layout;
    /// Number of row blocks.
    fn blocks(&self) -> usize;
    /// Rows of every block but the last.
    fn block_rows(&self) -> usize;
    /// Rows of every tile but a block's last.
    fn tile_rows(&self) -> usize;
    /// First row, rows, tiles and bytes of one block.
    fn block(&self, block: usize) -> BlockInfo;
    /// Bytes of one tile of a block.
    fn tile_bytes(&self, block: usize, tile: usize) -> usize;
    /// Σ over rows of x_ij² (weights included), one a gene.
    fn gene_sq_norms(&self) -> &[f64];
    /// Factor r_i that every row is to be multiplied by, for the rows of one block; `None`: all are 1.
    fn row_weights(&self, block: usize) -> Option<&[f32]>;
    /// Whether `fetch` has nothing to do because the bytes are in memory or mapped.
    fn resident(&self) -> bool;
    /// Brings consecutive tiles of a block into `buf`.
    ///
    /// # Errors
    ///
    /// When the bytes cannot be read or are damaged.
    fn fetch(&self, block: usize, tiles: Range<usize>, buf: &mut SegmentBuf) -> Result<(), DriverError>;
    /// One of the tiles that `fetch` brought into `buf` (any buffer where the data are resident).
    ///
    /// # Errors
    ///
    /// When the tile is damaged.
    fn tile<'a>(
        &'a self,
        block: usize,
        tiles: Range<usize>,
        tile: usize,
        buf: &'a SegmentBuf,
    ) -> Result<Tile<'a>, DriverError>;
    /// What to say of a tile whose runs turn out not to decode.
    fn damaged(&self, block: usize, tile: usize, error: TileError) -> DriverError;
}

/// A store as the engine sees it.
#[derive(Debug)]
pub struct StoreBlocks<'s> {
    store: &'s Store,
    gene_sq_norms: Vec<f64>,
}

impl<'s> StoreBlocks<'s> {
    /// All blocks of `store`.
    pub fn new(store: &'s Store) -> Self {
        StoreBlocks { store, gene_sq_norms: store.gene_moments().iter().map(|gene| gene.sum_sq).collect() }
    }
}

impl Blocks for StoreBlocks<'_> {
    fn cells(&self) -> usize {
        self.store.cells()
    }
    fn genes(&self) -> usize {
        self.store.genes()
    }
    fn entries(&self) -> u64 {
        match self.store.layout() {
            Layout::Sparse => self.store.nonzeros(),
            Layout::Dense => self.store.cells() as u64 * self.store.genes() as u64,
        }
    }
    fn layout(&self) -> Layout {
        self.store.layout()
    }
    fn blocks(&self) -> usize {
        self.store.blocks()
    }
    fn block_rows(&self) -> usize {
        self.store.block_rows()
    }
    fn tile_rows(&self) -> usize {
        self.store.tile_rows()
    }
    fn block(&self, block: usize) -> BlockInfo {
        self.store.block(block)
    }
    fn tile_bytes(&self, block: usize, tile: usize) -> usize {
        self.store.tile_bytes(block, tile)
    }
    fn gene_sq_norms(&self) -> &[f64] {
        &self.gene_sq_norms
    }
    fn row_weights(&self, _block: usize) -> Option<&[f32]> {
        None
    }
    fn resident(&self) -> bool {
        self.store.is_mapped()
    }
    fn fetch(&self, block: usize, tiles: Range<usize>, buf: &mut SegmentBuf) -> Result<(), DriverError> {
        Ok(self.store.read_into(block, tiles, buf)?)
    }
    fn tile<'a>(
        &'a self,
        block: usize,
        tiles: Range<usize>,
        tile: usize,
        buf: &'a SegmentBuf,
    ) -> Result<Tile<'a>, DriverError> {
        let segment = match self.store.mapped(block, tiles.clone()) {
            Some(segment) => segment,
            None => self.store.segment(block, tiles, buf),
        };
        Ok(segment.tile(tile)?)
    }
    fn damaged(&self, block: usize, tile: usize, error: TileError) -> DriverError {
        self.store.damaged_tile(block, tile, error).into()
    }
}
