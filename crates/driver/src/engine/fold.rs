//! What a computation is to the engine.

use std::ops::Range;

use partwise_storage::store::BlockInfo;
use partwise_storage::tile::{Tile, TileError};

use crate::comm::{Comm, CommError};
use crate::error::DriverError;

/// Where a tile lies.
#[derive(Debug, Clone)]
pub struct TilePlace {
    /// Index of its block.
    pub block: usize,
    /// The rows it covers, counted from the first row of the block.
    pub rows: Range<usize>,
    /// The rows it covers, counted from the first row of the matrix.
    pub cells: Range<usize>,
}

/// A computation over row blocks: something local to a block's rows, and a small share added to a sum.
///
/// The engine calls `begin`, then `tile` for every tile of the block in order, then `end`, all from one thread with
/// that thread's `Local`; blocks come in any order, from any thread of any process, each exactly once a pass. Then `merge`.
///
/// To write a new one:
///
/// 1. `Local` holds a thread's scratch and the share of the block in hand; whoever runs the pass makes one a thread
///    and keeps them from pass to pass.
/// 2. `tile` computes on the tile and adds to the share in the fixed order of its own loops.
/// 3. `end` hands the share on in a way that no order of blocks can change: an [`ExactSum`](crate::exact::ExactSum),
///    a slot of its own for each block, a maximum.
/// 4. `merge` adds up, over the processes, what `end` has collected in this one.
/// 5. After the pass, whoever holds the fold reads the sum.
///
/// A fold knows nothing of threads, shards, disks, budgets, progress or interruption.
pub trait Fold: Sync {
    /// What one thread holds.
    type Local: Send;

    /// A block starts.
    ///
    /// # Errors
    ///
    /// Whatever keeps the fold from starting; ends the pass.
    fn begin(&self, local: &mut Self::Local, block: usize, info: &BlockInfo) -> Result<(), DriverError>;

    /// The next tile of the block.
    ///
    /// # Errors
    ///
    /// When the tile does not decode; ends the pass. The engine adds where it lies.
    fn tile(&self, local: &mut Self::Local, tile: &Tile<'_>, place: &TilePlace) -> Result<(), TileError>;

    /// The block is complete.
    ///
    /// # Errors
    ///
    /// Whatever keeps the share from being handed on; ends the pass.
    fn end(&self, local: &mut Self::Local, block: usize, info: &BlockInfo) -> Result<(), DriverError>;

    /// Every block of this process has gone through, and so it has in the others: adds up what all of them hold. Called once a
    /// pass where there are several processes; each has to ask `comm` for the same sums in the same order.
    ///
    /// # Errors
    ///
    /// When a process is lost.
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError>;

    /// Whether a tile is needed at all; tiles that are not are neither read nor shown. A block without a wanted tile
    /// has neither `begin` nor `end`.
    fn wants(&self, _block: usize, _cells: Range<usize>) -> bool {
        true
    }
}
