//! What a plan is made for: a matrix and a machine.

use partwise_storage::Store;
use partwise_storage::store::Layout;

/// What a machine offers to one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Compute threads wanted.
    pub threads: usize,
    /// Memory budget, bytes: the peak resident size of the process.
    pub memory: u64,
}

/// Size and layout of a matrix, known from a store or foreseen for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataShape {
    /// Rows n.
    pub cells: usize,
    /// Columns m.
    pub genes: usize,
    /// Nonzeros.
    pub nonzeros: u64,
    /// Sparse or dense tiles.
    pub layout: Layout,
    /// Rows of a block.
    pub block_rows: usize,
    /// Rows of a tile.
    pub tile_rows: usize,
    /// Packed bytes of all blocks.
    pub packed_bytes: u64,
    /// Packed bytes of the largest tile.
    pub max_tile_bytes: u64,
    /// Nonzeros of the fullest tile; 0 where tiles are dense.
    pub max_tile_nonzeros: usize,
}

impl From<&Store> for DataShape {
    fn from(store: &Store) -> Self {
        DataShape {
            cells: store.cells(),
            genes: store.genes(),
            nonzeros: store.nonzeros(),
            layout: store.layout(),
            block_rows: store.block_rows(),
            tile_rows: store.tile_rows(),
            packed_bytes: (0..store.blocks()).map(|block| store.block(block).bytes as u64).sum(),
            max_tile_bytes: store.max_tile_bytes() as u64,
            max_tile_nonzeros: match store.layout() {
                Layout::Sparse => store.max_tile_nonzeros(),
                Layout::Dense => 0,
            },
        }
    }
}

impl DataShape {
    pub(super) fn blocks(&self) -> usize {
        self.cells.div_ceil(self.block_rows)
    }

    pub(super) fn entries(&self) -> u64 {
        match self.layout {
            Layout::Sparse => self.nonzeros,
            Layout::Dense => self.cells as u64 * self.genes as u64,
        }
    }
}
