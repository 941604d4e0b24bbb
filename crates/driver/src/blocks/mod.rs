//! Row blocks: the engine's view of a matrix, on disk or in memory.
//!
//! | file          | gives                                                |
//! |---------------|------------------------------------------------------|
//! | `store`       | the blocks of a store on disk                        |
//! | `memory`      | packed blocks in memory                              |
//! | `matrix`      | a user's arrays, checked and packed into memory      |
//! | `weights`     | the factors of the rows of a block                   |
//! | `conformance` | the promises of [`Blocks`], for every implementation |

pub mod conformance;
mod matrix;
mod memory;
mod store;
mod weights;

use std::ops::Range;

use fixedbitset::FixedBitSet;
use partwise_storage::StorageError;
use partwise_storage::store::{BlockInfo, GeneMoments, KeptSample, Layout, PerMillion, SegmentBuf};
use partwise_storage::tile::{CellMoments, Tile, TileError};

use crate::error::DriverError;

pub use matrix::{Matrix, MatrixError};
pub(crate) use memory::{Cut, MemoryBlocks, PackedTile};
pub use store::StoreBlocks;
pub use weights::RowWeights;

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
    /// The factor r_i of every row of one block.
    fn row_weights(&self, _block: usize) -> RowWeights<'_> {
        RowWeights::Ones
    }
    /// How many rows and columns are not left out; all, unless the matrix is a
    /// subset of another.
    fn kept(&self) -> (usize, usize) {
        (self.cells(), self.genes())
    }
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
    /// Nonzeros in rows and columns that are not left out.
    fn nonzeros(&self) -> u64;
    /// ‖X‖², of rows that are not left out and of all columns.
    fn sq_norm(&self) -> f64;
    /// Nonzeros, Σ x and Σ x² of every gene, over rows that are not left out.
    fn gene_moments(&self) -> &[GeneMoments];
    /// Whether all values are counts: integers up to 2²⁴.
    fn holds_counts(&self) -> bool;
    /// Σ t and Σ t² of every gene's values per million, over rows that are not left out; `None` if they are
    /// not known.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn per_million(&self) -> Result<Option<Vec<PerMillion>>, StorageError>;
    /// The genes that are not left out; `None`: all.
    fn kept_genes(&self) -> Option<&FixedBitSet> {
        None
    }
    /// Nonzeros, Σ x and Σ x² of some cells; zero if they are left out.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn cell_moments(&self, cells: Range<usize>) -> Result<Vec<CellMoments>, StorageError>;
    /// The sample that the data keep of all their rows and genes, if they do.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn kept_sample(&self) -> Result<Option<KeptSample>, StorageError> {
        Ok(None)
    }
    /// A hash of the data, for checkpoints and processes to compare.
    fn fingerprint(&self) -> String;
    /// Bytes read from disk so far.
    fn bytes_read(&self) -> u64 {
        0
    }
}
