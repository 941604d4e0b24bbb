//! A computation, as the engine sees it.

use std::ops::Range;

use partwise_storage::store::BlockInfo;
use partwise_storage::tile::TileError;

use crate::comm::{Comm, CommError};
use crate::error::DriverError;
use crate::products::{Decoder, TileProducts};

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

/// A computation over row blocks: something local to a block's rows, and a small share added to a
/// sum.
///
/// The engine calls `begin`, then `tile` for every tile of the block in order, then `end`, all from
/// one thread with that thread's `Local`. Blocks come in any order, from any thread of any process,
/// each exactly once a pass. Then it calls `merge`.
///
/// To write a new one:
///
/// 1. `Local` holds a thread's scratch and the share of the block in hand. The caller of the pass
///    makes one for each [`Worker`] and keeps them from pass to pass.
/// 2. `tile` takes products from the tile and adds to the share in the fixed order of its own
///    loops. It never asks how the tile is stored.
/// 3. `end` adds the share to something that no order of blocks can change: an
///    [`ExactSum`](crate::exact::ExactSum), a slot of its own for each block, a maximum.
/// 4. `merge` adds up, over the processes, the sums of this one.
/// 5. After the pass, the owner of the fold reads the sum.
///
/// Several folds share a pass as a pair `(A, B)`, nested if there are more, or as a list of one kind.
/// Each tile is read and decoded once for all of them, and each has the sums that it has alone.
///
/// A fold knows nothing of threads, shards, disks, budgets, progress or interruption.
pub trait Fold: Sync {
    /// The state of one thread.
    type Local: Send;

    /// A block starts.
    ///
    /// # Errors
    ///
    /// When the fold cannot start the block; ends the pass.
    fn begin(&self, local: &mut Self::Local, block: usize, info: &BlockInfo) -> Result<(), DriverError>;

    /// The next tile of the block.
    ///
    /// # Errors
    ///
    /// When the tile does not decode; ends the pass. The engine adds the place of the tile.
    fn tile(&self, local: &mut Self::Local, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError>;

    /// The block is complete.
    ///
    /// # Errors
    ///
    /// When the share cannot be added; ends the pass.
    fn end(&self, local: &mut Self::Local, block: usize, info: &BlockInfo) -> Result<(), DriverError>;

    /// Adds up the sums of all processes. The engine calls it after the blocks of all processes
    /// have gone through, once a pass and only if there are several processes. Each process must
    /// ask `comm` for the same sums in the same order.
    ///
    /// # Errors
    ///
    /// When a process is lost.
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError>;

    /// Whether the fold needs a tile. The engine neither reads nor shows a tile that no fold of the
    /// pass wants, and a block without a wanted tile has neither `begin` nor `end`. A fold that
    /// shares a pass also sees the tiles that only another one wants.
    fn wants(&self, _block: usize, _cells: Range<usize>) -> bool {
        true
    }
}

impl<A: Fold, B: Fold> Fold for (A, B) {
    type Local = (A::Local, B::Local);

    fn begin(&self, local: &mut Self::Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        self.0.begin(&mut local.0, block, info)?;
        self.1.begin(&mut local.1, block, info)
    }

    fn tile(&self, local: &mut Self::Local, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        self.0.tile(&mut local.0, tile, place)?;
        self.1.tile(&mut local.1, tile, place)
    }

    fn end(&self, local: &mut Self::Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        self.0.end(&mut local.0, block, info)?;
        self.1.end(&mut local.1, block, info)
    }

    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        self.0.merge(comm)?;
        self.1.merge(comm)
    }

    fn wants(&self, block: usize, cells: Range<usize>) -> bool {
        self.0.wants(block, cells.clone()) || self.1.wants(block, cells)
    }
}

impl<F: Fold> Fold for Vec<F> {
    type Local = Vec<F::Local>;

    fn begin(&self, local: &mut Self::Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        self.iter().zip(local).try_for_each(|(fold, local)| fold.begin(local, block, info))
    }

    fn tile(&self, local: &mut Self::Local, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        self.iter().zip(local).try_for_each(|(fold, local)| fold.tile(local, tile, place))
    }

    fn end(&self, local: &mut Self::Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        self.iter().zip(local).try_for_each(|(fold, local)| fold.end(local, block, info))
    }

    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        self.iter().try_for_each(|fold| fold.merge(comm))
    }

    fn wants(&self, block: usize, cells: Range<usize>) -> bool {
        self.iter().any(|fold| fold.wants(block, cells.clone()))
    }
}

/// One compute thread of a pass: its part of the fold and the buffers that it decodes into. Kept
/// from pass to pass.
#[derive(Debug, Default)]
pub struct Worker<L> {
    /// The fold's state of this thread.
    pub local: L,
    /// Buffers for decoded tiles.
    pub decoder: Decoder,
}

impl<L> Worker<L> {
    /// A worker with this state and empty buffers.
    pub fn new(local: L) -> Self {
        Worker { local, decoder: Decoder::new() }
    }
}
