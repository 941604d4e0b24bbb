//! One step of subspace iteration: `X̂ᵀX̂·Q` for l directions Q (m × l).
//!
//! Every tile of rows does
//!
//! ```text
//! Y = X̂·Q,   share += (X̂ᵀY, Σ max(Y, 0)², Σ min(Y, 0)²)
//! ```
//!
//! Y is not kept. The sums of the squares of its positive and of its negative entries, column by
//! column, are the norms that a non-negative start takes from the left singular vectors.
//!
//! Scaled genes and weighted rows are as in [`factorize`](super::factorize). Columns of Q have
//! norms of at most 1 but for rounding, so by Cauchy–Schwarz `|(X̂ᵀY)_jc| ≤ ‖X̂‖·‖x_:j‖` and
//! `‖y_c‖² ≤ ‖X̂‖²`: the bounds of the exact sums.

use partwise_kernels::{FactorBuf, FactorMut, FactorRef, stride};
use partwise_storage::store::BlockInfo;
use partwise_storage::tile::TileError;

use crate::blocks::Blocks;
use crate::comm::{Comm, CommError};
use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;
use crate::exact::ExactSum;
use crate::products::TileProducts;

/// The sums of a step.
#[derive(Debug)]
pub(crate) struct SubspaceSums {
    /// (X̂ᵀY), m × stride(l), in the units of X.
    pub(crate) xty: ExactSum,
    /// Squares of the positive entries of Y (row 0) and of the negative ones (row 1), column by
    /// column.
    pub(crate) signed: ExactSum,
}

impl SubspaceSums {
    pub(crate) fn new(genes: usize, directions: usize) -> Self {
        SubspaceSums { xty: ExactSum::new(genes, stride(directions)), signed: ExactSum::new(2, directions) }
    }

    /// Back to zero before a pass over a matrix with these column norms (squared) and ‖X̂‖².
    pub(crate) fn reset(&mut self, gene_sq_norms: &[f64], sq_norm: f64) {
        let norm = sq_norm.sqrt();
        self.xty.reset(|gene| norm * gene_sq_norms[gene].sqrt());
        self.signed.reset(|_| sq_norm);
    }
}

/// One worker's shares and scratch.
#[derive(Debug)]
pub(crate) struct Local {
    /// X̂ᵀY of the block in hand, m × ld.
    xty: FactorBuf,
    /// Y of the tile; afterwards R·Y if rows are weighted.
    y: FactorBuf,
    signed: Vec<f64>,
}

impl Local {
    pub(crate) fn new(data: &dyn Blocks, directions: usize) -> Self {
        Local {
            xty: FactorBuf::zeros(data.genes(), directions),
            y: FactorBuf::zeros(data.tile_rows(), directions),
            signed: vec![0.0; 2 * directions],
        }
    }
}

/// A step with its directions fixed.
pub(crate) struct Subspace<'p> {
    pub(crate) data: &'p dyn Blocks,
    /// D·Q, m × l.
    pub(crate) directions: FactorRef<'p>,
    pub(crate) sums: &'p SubspaceSums,
}

impl Fold for Subspace<'_> {
    type Local = Local;

    fn begin(&self, _local: &mut Local, _block: usize, _info: &BlockInfo) -> Result<(), DriverError> {
        Ok(())
    }

    fn tile(&self, local: &mut Local, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        let (rows, l) = (place.rows.len(), self.directions.k());
        let ld = stride(l);
        let weights = self.data.row_weights(place.block);
        let y = &mut local.y[..rows * ld];
        y.fill(0.0);
        tile.xht(FactorMut::new(y, rows, l, ld), self.directions)?;
        weights.multiply(y, place.rows.clone(), ld);
        let (positive, negative) = local.signed.split_at_mut(l);
        for row in y.chunks_exact(ld) {
            for ((value, positive), negative) in row.iter().zip(&mut *positive).zip(&mut *negative) {
                let square = f64::from(*value) * f64::from(*value);
                *(if *value > 0.0 { positive } else { negative }) += square;
            }
        }
        weights.multiply(y, place.rows.clone(), ld);
        let share = FactorMut::new(&mut local.xty, self.data.genes(), l, ld);
        tile.wtx(share, FactorRef::new(y, rows, l, ld))
    }

    fn end(&self, local: &mut Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        let beyond = |_| DriverError::Range { first_row: info.first_row, last_row: info.first_row + info.rows - 1 };
        self.sums.xty.add(&mut local.xty, block).map_err(beyond)?;
        self.sums.signed.add(&mut local.signed, block).map_err(beyond)
    }

    /// m·stride(l) + 2l numbers.
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        let mut locks: Vec<_> = [&self.sums.xty, &self.sums.signed].into_iter().flat_map(ExactSum::lock).collect();
        let mut parts: Vec<&mut [i64]> = locks.iter_mut().map(|stripe| stripe.as_mut_slice()).collect();
        comm.all_reduce_sum(&mut parts)
    }
}
