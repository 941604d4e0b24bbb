//! One pass that sums up the values of each gene above its limit: how many there are, Σ x and Σ x². The sums of
//! values that are clipped at the limit follow from them and from those of all values.
//!
//! Values above a limit are few, so a worker lists those of a block, and adds them to the sums at its end.

use std::sync::{Mutex, PoisonError};

use partwise_storage::store::{BlockInfo, GeneMoments};
use partwise_storage::tile::TileError;

use crate::blocks::FitData;
use crate::comm::{Comm, CommError};
use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;
use crate::exact::ExactSum;
use crate::products::TileProducts;

/// The values of one gene above its limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Above {
    /// How many.
    pub(crate) count: f64,
    /// Σ x.
    pub(crate) sum: f64,
    /// Σ x².
    pub(crate) sum_sq: f64,
}

/// The sums of all genes.
pub(crate) struct Clipped<'c> {
    data: &'c dyn FitData,
    limits: &'c [f64],
    /// As [`Above`].
    sums: [ExactSum; 3],
    /// A share of them, zero between blocks.
    share: Mutex<[Vec<f64>; 3]>,
}

/// One worker's values above their limits in the block in hand, and their genes.
#[derive(Debug, Default)]
pub(crate) struct Local {
    above: Vec<(u32, f32)>,
}

impl<'c> Clipped<'c> {
    /// Will look for values of `data` above the `limits` of genes. A gene whose limit is infinite has none.
    pub(crate) fn new(data: &'c dyn FitData, limits: &'c [f64]) -> Self {
        let of = data.gene_moments();
        let bounds: [fn(&GeneMoments) -> f64; 3] = [|gene| gene.nonzeros as f64, |gene| gene.sum, |gene| gene.sum_sq];
        let sums = bounds.map(|bound| {
            let mut sum = ExactSum::new(of.len(), 1);
            sum.reset(|gene| bound(&of[gene]));
            sum
        });
        Clipped { data, limits, sums, share: Mutex::new(std::array::from_fn(|_| vec![0.0; of.len()])) }
    }

    /// The sums of every gene.
    pub(crate) fn found(&self) -> Vec<Above> {
        let genes = self.limits.len();
        let [counts, sums, squares] = self.sums.each_ref().map(|sum| {
            let mut values = vec![0.0; genes];
            sum.read(0..genes, 0..1, &mut values);
            values
        });
        let all = counts.into_iter().zip(sums).zip(squares);
        all.map(|((count, sum), sum_sq)| Above { count, sum, sum_sq }).collect()
    }
}

impl Fold for Clipped<'_> {
    type Local = Local;

    fn begin(&self, local: &mut Local, _block: usize, _info: &BlockInfo) -> Result<(), DriverError> {
        local.above.clear();
        Ok(())
    }

    fn tile(&self, local: &mut Local, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        let weights = self.data.blocks().row_weights(place.block);
        tile.entries(|row, gene, value| {
            if f64::from(value) > self.limits[gene] && weights.of(place.rows.start + row) > 0.0 {
                local.above.push((gene as u32, value));
            }
        })
    }

    fn end(&self, local: &mut Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        if local.above.is_empty() {
            return Ok(());
        }
        let mut share = self.share.lock().unwrap_or_else(PoisonError::into_inner);
        let [counts, sums, squares] = &mut *share;
        for (gene, value) in local.above.drain(..) {
            let (gene, value) = (gene as usize, f64::from(value));
            counts[gene] += 1.0;
            sums[gene] += value;
            squares[gene] += value * value;
        }
        let beyond = |_| DriverError::Range { first_row: info.first_row, last_row: info.first_row + info.rows - 1 };
        self.sums.iter().zip(&mut *share).try_for_each(|(sum, share)| sum.add(share, block)).map_err(beyond)
    }

    /// 3·m numbers.
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        let mut locks: Vec<_> = self.sums.iter().flat_map(ExactSum::lock).collect();
        let mut parts: Vec<&mut [i64]> = locks.iter_mut().map(|stripe| stripe.as_mut_slice()).collect();
        comm.all_reduce_sum(&mut parts)
    }
}
