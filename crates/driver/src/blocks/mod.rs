//! Row blocks: the engine's view of a matrix, on disk or in memory.
//!
//! | file          | gives                                                |
//! |---------------|------------------------------------------------------|
//! | `store`       | the blocks of a store on disk                        |
//! | `memory`      | packed blocks in memory                              |
//! | `matrix`      | a user's arrays, checked and packed into memory      |
//! | `conformance` | the promises of [`Blocks`], for every implementation |

pub mod conformance;
mod matrix;
mod memory;
mod store;

use std::ops::Range;

use partwise_storage::StorageError;
use partwise_storage::store::{BlockInfo, GeneMoments, Layout, SegmentBuf};
use partwise_storage::tile::{CellMoments, Tile, TileError};

use crate::error::DriverError;

pub use matrix::{Matrix, MatrixError};
pub(crate) use memory::{Cut, MemoryBlocks, PackedTile};
pub use store::StoreBlocks;

/// A matrix in row blocks that can be read any number of times, by many threads.
///
/// To write a new one, give the shape, yield tiles by (block, tile), and keep every answer the same
/// from call to call. The engine, the solvers and the sums need nothing else. Then hold it to its
/// promises with [`conformance::hold`].
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
    /// Bytes that one tile of a block takes, with the gap behind it if there is one.
    fn tile_bytes(&self, block: usize, tile: usize) -> usize;
    /// Σ over rows of x_ij² (weights included), one a gene.
    fn gene_sq_norms(&self) -> &[f64];
    /// The factor r_i of every row of one block; `None`: all are 1.
    fn row_weights(&self, block: usize) -> Option<&[f32]>;
    /// Whether `fetch` has nothing to do because the bytes are in memory or mapped.
    fn resident(&self) -> bool;
    /// Brings consecutive tiles of a block into `buf`.
    ///
    /// # Errors
    ///
    /// When the bytes cannot be read or are damaged.
    fn fetch(&self, block: usize, tiles: Range<usize>, buf: &mut SegmentBuf) -> Result<(), DriverError>;
    /// One of the tiles that `fetch` brought into `buf` (any buffer if the data are resident).
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
    /// The error of a tile whose runs do not decode.
    fn damaged(&self, block: usize, tile: usize, error: TileError) -> DriverError;
}

/// Data that can be fitted: row blocks, and the sums that a fit asks for before it reads them.
pub trait FitData: Sync {
    /// The row blocks.
    fn blocks(&self) -> &dyn Blocks;
    /// Nonzeros of the whole matrix.
    fn nonzeros(&self) -> u64;
    /// ‖X‖².
    fn sq_norm(&self) -> f64;
    /// Nonzeros, Σ x and Σ x² of every gene.
    fn gene_moments(&self) -> &[GeneMoments];
    /// Nonzeros, Σ x and Σ x² of some cells.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn cell_moments(&self, cells: Range<usize>) -> Result<Vec<CellMoments>, StorageError>;
    /// A hash of the data, for checkpoints and processes to compare.
    fn fingerprint(&self) -> String;
    /// Bytes read from disk so far.
    fn bytes_read(&self) -> u64 {
        0
    }
}
