//! Which way to the axes is expected to take less time.
//!
//! The estimate follows from the shape of the data alone, and never from the machine: the choice shapes
//! bits. Its constants are nanoseconds of one thread, measured with AVX-512; only their ratios matter.
//!
//! | work                                   | Gram matrix               | products            |
//! |----------------------------------------|---------------------------|---------------------|
//! | unpack the entries of a row            | once                      | once a pass         |
//! | s entries of a row that are kept       | s²/2, or m²/2 in vectors  |                     |
//! | all S entries of a row                 |                           | 2·S·l a pass        |
//! | the share of a batch, or of a block    | m²/2                      |                     |
//! | products of C, in memory               | m²·l some times, or m³    |                     |

use partwise_storage::store::Layout;

use super::gram::ALL;
use crate::compute::gram::BATCH;
use crate::shape::DataShape;

/// Genes at most: C takes 64 MiB, the sum as much, and every thread's share as well.
const GENES: usize = 4096;
/// Unpacking an entry.
const UNPACK: f64 = 1.5;
/// One term of an element of the Gram matrix, entry by entry.
const BY_ENTRIES: f64 = 1.5;
/// The same for all genes of a row.
const BY_ROWS: f64 = 0.15;
/// Sorting an entry for it.
const SORT: f64 = 4.0;
/// Walking through a value of the share.
const WALK: f64 = 1.0;
/// A multiplication and an addition of a product with directions.
const PRODUCT: f64 = 0.09;
/// The same with C in memory.
const IN_MEMORY: f64 = 0.15;
/// Products with C in memory.
const PRODUCTS: f64 = 18.0;
/// Of the cube of the genes, where all eigenvectors are taken.
const EIGEN: f64 = 3.0;

/// Sizes of what is kept, and of the other way.
pub(super) struct Work<'w> {
    pub(super) shape: &'w DataShape,
    pub(super) genes: usize,
    /// Nonzeros of what is kept.
    pub(super) nonzeros: u64,
    /// Directions, and passes that multiply them.
    pub(super) directions: usize,
    pub(super) steps: usize,
}

impl Work<'_> {
    /// Whether one pass for the Gram matrix takes less time than the passes of products.
    pub(super) fn gram_is_faster(&self) -> bool {
        self.genes <= GENES && self.gram() <= self.products()
    }

    fn gram(&self) -> f64 {
        let (shape, m) = (self.shape, self.genes as f64);
        let cells = shape.cells.max(1) as f64;
        let triangle = m * m / 2.0;
        let (kept, sparse) = match shape.layout {
            Layout::Sparse => (self.nonzeros as f64, true),
            Layout::Dense => (cells * m, false),
        };
        let of_row = kept / cells;
        let terms = match BY_ENTRIES * of_row * of_row / 2.0 {
            by_entries if sparse && by_entries < BY_ROWS * triangle => by_entries,
            _ => BY_ROWS * triangle,
        };
        let walks = shape.blocks() as f64 * 2.0 + kept / BATCH as f64;
        // Beyond what products take for their own axes.
        let in_memory = match self.genes {
            genes if genes == self.directions => 0.0,
            genes if genes <= ALL => EIGEN * m * m * m,
            _ => PRODUCTS * IN_MEMORY * m * m * self.directions as f64,
        };
        shape.entries() as f64 * UNPACK + kept * SORT + cells * terms + walks * WALK * triangle + in_memory
    }

    fn products(&self) -> f64 {
        let of_entry = UNPACK + 2.0 * PRODUCT * self.directions as f64;
        self.steps as f64 * self.shape.entries() as f64 * of_entry
    }
}
