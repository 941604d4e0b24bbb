//! One pass that computes a few numbers for each row: usages under known spectra, or scores on known axes.
//!
//! Every tile of rows does
//!
//! ```text
//! P = X·D·Mᵀ,   Y = argmin_{Y ≥ 0} ‖X·D − Y·M‖   or   Y = P − c,   share += (YᵀY, Σ Y∘P)
//! ```
//!
//! and Y goes to its place at the end of the block. Scaled genes are as in
//! [`factorize`](super::factorize): D·Mᵀ is made before the pass. Rows that are left out get zeros.
//!
//! With rows of M of norm 1 or more, ‖y_c‖ ≤ ‖X·D‖ for the non-negative least squares, and ⟨Y·M, X·D⟩ ≤
//! ‖X·D‖²: the bounds of the exact sums.

use partwise_kernels::{FactorBuf, FactorMut, FactorRef, PreparedRule, RuleScratch, gram};
use partwise_storage::store::BlockInfo;
use partwise_storage::tile::TileError;

use crate::blocks::Blocks;
use crate::comm::{Comm, CommError};
use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;
use crate::exact::ExactSum;
use crate::products::TileProducts;

/// Takes Y of consecutive rows, row-major: the first row, and the values.
pub(crate) type Sink<'s> = dyn Fn(usize, &[f32]) -> Result<(), DriverError> + Sync + 's;

/// How Y follows from P.
#[derive(Clone, Copy)]
pub(crate) enum RowMap<'p> {
    /// Non-negative least squares, prepared for M·Mᵀ.
    #[cfg_attr(not(feature = "hdf5"), expect(dead_code, reason = "spectra come from files"))]
    Nnls(&'p PreparedRule),
    /// P − c.
    Minus(&'p [f32]),
}

/// The sums of a pass.
#[derive(Debug)]
pub(crate) struct RowSums {
    /// YᵀY, k × k.
    pub(crate) yty: ExactSum,
    /// Σ Y∘P.
    pub(crate) cross: ExactSum,
}

impl RowSums {
    /// Zero sums of k numbers a row, bounded by ‖X·D‖².
    pub(crate) fn new(k: usize, sq_norm: f64) -> Self {
        let (mut yty, mut cross) = (ExactSum::new(k, k), ExactSum::new(1, 1));
        yty.reset(|_| sq_norm);
        cross.reset(|_| sq_norm);
        RowSums { yty, cross }
    }
}

/// The pass.
pub(crate) struct RowTable<'p> {
    pub(crate) data: &'p dyn Blocks,
    /// D·Mᵀ (m × k).
    pub(crate) factor: FactorRef<'p>,
    /// Distance of its rows.
    pub(crate) ld: usize,
    pub(crate) map: RowMap<'p>,
    /// Taken if they are wanted.
    pub(crate) sums: Option<&'p RowSums>,
    pub(crate) sink: &'p Sink<'p>,
}

/// One worker's rows of the block in hand.
#[derive(Debug)]
pub(crate) struct Local {
    /// P of the tile.
    p: FactorBuf,
    /// Y of the tile.
    y: FactorBuf,
    scratch: RuleScratch,
    /// Y of the block, without padding.
    rows: Vec<f32>,
    yty: Vec<f64>,
    cross: f64,
}

impl Local {
    pub(crate) fn new(data: &dyn Blocks, k: usize) -> Self {
        Local {
            p: FactorBuf::zeros(data.tile_rows(), k),
            y: FactorBuf::zeros(data.tile_rows(), k),
            scratch: RuleScratch::new(),
            rows: Vec::with_capacity(data.block_rows() * k),
            yty: vec![0.0; k * k],
            cross: 0.0,
        }
    }

    /// Bytes that a worker holds.
    pub(crate) fn bytes(block_rows: usize, tile_rows: usize, k: usize) -> u64 {
        (4 * (2 * tile_rows * partwise_kernels::stride(k) + block_rows * k) + 8 * k * k) as u64
    }
}

impl Fold for RowTable<'_> {
    type Local = Local;

    fn begin(&self, local: &mut Local, _block: usize, _info: &BlockInfo) -> Result<(), DriverError> {
        local.rows.clear();
        local.yty.fill(0.0);
        local.cross = 0.0;
        Ok(())
    }

    fn tile(&self, local: &mut Local, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        let Local { p, y, scratch, rows, yty, cross } = local;
        let (height, k, ld) = (place.rows.len(), self.factor.k(), self.ld);
        let (p, y) = (&mut p[..height * ld], &mut y[..height * ld]);
        p.fill(0.0);
        y.fill(0.0);
        tile.xht(FactorMut::new(p, height, k, ld), self.factor)?;
        let weights = self.data.row_weights(place.block);
        weights.multiply(p, place.rows.clone(), ld);
        match self.map {
            RowMap::Nnls(rule) => {
                rule.apply(FactorMut::new(y, height, k, ld), FactorRef::new(p, height, k, ld), scratch);
            }
            RowMap::Minus(shift) => {
                for (y, p) in y.chunks_exact_mut(ld).zip(p.chunks_exact(ld)) {
                    y.iter_mut().zip(p).zip(shift).for_each(|((y, p), shift)| *y = p - shift);
                }
                weights.multiply(y, place.rows.clone(), ld);
            }
        }
        if self.sums.is_some() {
            gram::add_gram(yty, FactorRef::new(y, height, k, ld));
            *cross += y.iter().zip(&*p).map(|(&y, &p)| f64::from(y) * f64::from(p)).sum::<f64>();
        }
        y.chunks_exact(ld).for_each(|row| rows.extend_from_slice(&row[..k]));
        Ok(())
    }

    fn end(&self, local: &mut Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        let range = || DriverError::Range { first_row: info.first_row, last_row: info.first_row + info.rows - 1 };
        if local.rows.iter().any(|value| !value.is_finite()) {
            return Err(range());
        }
        (self.sink)(info.first_row, &local.rows)?;
        let Some(sums) = self.sums else { return Ok(()) };
        let added = sums.yty.add(&mut local.yty, block).and(sums.cross.add(&mut [local.cross], block));
        added.map_err(|_| range())
    }

    /// k² + 1 numbers.
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        let Some(sums) = self.sums else { return Ok(()) };
        let mut locks: Vec<_> = [&sums.yty, &sums.cross].into_iter().flat_map(ExactSum::lock).collect();
        let mut parts: Vec<&mut [i64]> = locks.iter_mut().map(|stripe| stripe.as_mut_slice()).collect();
        comm.all_reduce_sum(&mut parts)
    }
}
