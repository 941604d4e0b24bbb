//! The covariance of genes times l directions: `(X − 1μᵀ)ᵀ(X − 1μᵀ)·Q`, with X never centred.
//!
//! Every tile of rows does
//!
//! ```text
//! Y = X·(D·Q) − 1·cᵀ,   share += (XᵀY, 1ᵀY)     c = (D·Q)ᵀμ
//! ```
//!
//! In counts the mean is most of X, so it leaves Y before anything is multiplied with it: the product
//! `XᵀX·Q − n·μ(μᵀQ)` would be a small difference of large numbers. As `1ᵀY` is zero but for rounding,
//! `XᵀY − μ(1ᵀY)` is the product wanted, and free of the rounding of c.
//!
//! Rows that are left out are zero in Y. Columns of Q have norms of at most 1 but for rounding. So
//! `|(XᵀY)_jc| ≤ ‖X·D‖·‖x_:j‖` and `|(1ᵀY)_c| ≤ √n·‖X·D‖`, for any part of the rows too: the bounds of
//! the exact sums, doubled for the rounding of c.

use partwise_kernels::{FactorBuf, FactorMut, FactorRef, stride};
use partwise_storage::store::{BlockInfo, GeneMoments};
use partwise_storage::tile::TileError;

use crate::blocks::Blocks;
use crate::comm::{Comm, CommError};
use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;
use crate::exact::ExactSum;
use crate::products::TileProducts;

/// The sums of a pass.
#[derive(Debug)]
pub(crate) struct CentredSums {
    /// XᵀY, m × stride(l), in the units of X.
    pub(crate) xty: ExactSum,
    /// 1ᵀY, 1 × l.
    pub(crate) y: ExactSum,
}

impl CentredSums {
    pub(crate) fn new(genes: usize, directions: usize) -> Self {
        CentredSums { xty: ExactSum::new(genes, stride(directions)), y: ExactSum::new(1, directions) }
    }

    /// Bytes that they hold.
    pub(crate) fn bytes(genes: usize, directions: usize) -> u64 {
        ExactSum::bytes(genes, stride(directions)) + ExactSum::bytes(1, directions)
    }

    /// Back to zero, for `cells` rows, genes with these moments, and ‖X·D‖.
    pub(crate) fn reset(&mut self, moments: &[GeneMoments], cells: usize, norm: f64) {
        self.xty.reset(|gene| 2.0 * norm * moments[gene].sum_sq.sqrt());
        self.y.reset(|_| 2.0 * norm * (cells as f64).sqrt());
    }
}

/// One worker's shares and scratch.
#[derive(Debug)]
pub(crate) struct Local {
    /// XᵀY of the block in hand, m × ld.
    xty: FactorBuf,
    /// Y of the tile.
    y: FactorBuf,
    sums: Vec<f64>,
}

impl Local {
    pub(crate) fn new(data: &dyn Blocks, directions: usize) -> Self {
        Local {
            xty: FactorBuf::zeros(data.genes(), directions),
            y: FactorBuf::zeros(data.tile_rows(), directions),
            sums: vec![0.0; directions],
        }
    }

    /// Bytes that a worker holds.
    pub(crate) fn bytes(genes: usize, tile_rows: usize, directions: usize) -> u64 {
        FactorBuf::bytes(genes, directions) + FactorBuf::bytes(tile_rows, directions) + 8 * directions as u64
    }
}

/// A pass with its directions fixed.
pub(crate) struct Centred<'p> {
    pub(crate) data: &'p dyn Blocks,
    /// D·Q, m × l.
    pub(crate) directions: FactorRef<'p>,
    /// c, l values.
    pub(crate) shift: &'p [f32],
    pub(crate) sums: &'p CentredSums,
}

impl Fold for Centred<'_> {
    type Local = Local;

    fn begin(&self, _local: &mut Local, _block: usize, _info: &BlockInfo) -> Result<(), DriverError> {
        Ok(())
    }

    fn tile(&self, local: &mut Local, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        let (rows, l) = (place.rows.len(), self.directions.k());
        let ld = stride(l);
        let y = &mut local.y[..rows * ld];
        y.fill(0.0);
        tile.xht(FactorMut::new(y, rows, l, ld), self.directions)?;
        for row in y.chunks_exact_mut(ld) {
            row.iter_mut().zip(self.shift).for_each(|(value, shift)| *value -= shift);
        }
        self.data.row_weights(place.block).multiply(y, place.rows.clone(), ld);
        for row in y.chunks_exact(ld) {
            local.sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        let share = FactorMut::new(&mut local.xty, self.data.genes(), l, ld);
        tile.wtx(share, FactorRef::new(y, rows, l, ld))
    }

    fn end(&self, local: &mut Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        let beyond = |_| DriverError::Range { first_row: info.first_row, last_row: info.first_row + info.rows - 1 };
        self.sums.xty.add(&mut local.xty, block).map_err(beyond)?;
        self.sums.y.add(&mut local.sums, block).map_err(beyond)
    }

    /// m·stride(l) + l numbers.
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        let mut locks: Vec<_> = [&self.sums.xty, &self.sums.y].into_iter().flat_map(ExactSum::lock).collect();
        let mut parts: Vec<&mut [i64]> = locks.iter_mut().map(|stripe| stripe.as_mut_slice()).collect();
        comm.all_reduce_sum(&mut parts)
    }
}
