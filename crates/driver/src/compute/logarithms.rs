//! Any computation on logarithms: ln(1 + x·target / (sum of the cell)) in place of each value x.
//!
//! The store is not touched. Each tile takes the logarithms once it is decoded, so they cost memory for
//! one tile. Cells whose sum is zero, and those that are left out, stay zero.

use std::ops::Range;

use partwise_storage::store::BlockInfo;
use partwise_storage::tile::TileError;

use crate::blocks::FitData;
use crate::comm::{Comm, CommError};
use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;
use crate::products::TileProducts;

/// A fold on the values of `data`, or on their logarithms.
pub(crate) struct Logarithms<'p, F> {
    pub(crate) data: &'p dyn FitData,
    /// The sum that every cell is scaled to before the logarithm; `None`: values as they are.
    pub(crate) target: Option<f64>,
    pub(crate) fold: F,
}

/// One worker's state of the fold, and the factors of the rows of the block in hand.
#[derive(Debug)]
pub(crate) struct Local<L> {
    factors: Vec<f32>,
    inner: L,
}

impl<L> Local<L> {
    pub(crate) fn new(inner: L) -> Self {
        Local { factors: Vec::new(), inner }
    }
}

/// Bytes that a worker holds besides those of its fold: the factors, and the sums they are made from.
pub(crate) fn bytes(block_rows: usize) -> u64 {
    32 * block_rows as u64
}

impl<F: Fold> Fold for Logarithms<'_, F> {
    type Local = Local<F::Local>;

    fn begin(&self, local: &mut Self::Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        if let Some(target) = self.target {
            let cells = self.data.cell_moments(info.first_row..info.first_row + info.rows)?;
            let factor = |sum: f64| if sum > 0.0 { (target / sum) as f32 } else { 0.0 };
            local.factors.clear();
            local.factors.extend(cells.iter().map(|cell| factor(cell.sum)));
        }
        self.fold.begin(&mut local.inner, block, info)
    }

    fn tile(&self, local: &mut Self::Local, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        if self.target.is_some() {
            tile.take_logarithms(&local.factors[place.rows.clone()]);
        }
        self.fold.tile(&mut local.inner, tile, place)
    }

    fn end(&self, local: &mut Self::Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        self.fold.end(&mut local.inner, block, info)
    }

    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        self.fold.merge(comm)
    }

    fn wants(&self, block: usize, cells: Range<usize>) -> bool {
        self.fold.wants(block, cells)
    }
}
