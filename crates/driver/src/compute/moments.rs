//! One pass that sums up the values of each gene: Σ x and Σ x², for values that the store keeps no sums
//! of. Rows that are left out must be zero.

use partwise_storage::store::{BlockInfo, GeneMoments};
use partwise_storage::tile::TileError;

use crate::comm::{Comm, CommError};
use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;
use crate::exact::ExactSum;
use crate::products::TileProducts;

/// The sums of all genes.
pub(crate) struct Moments {
    /// Σ x and Σ x².
    sums: [ExactSum; 2],
}

/// One worker's shares of the block in hand.
#[derive(Debug)]
pub(crate) struct Local {
    shares: [Vec<f64>; 2],
}

impl Local {
    pub(crate) fn new(genes: usize) -> Self {
        Local { shares: std::array::from_fn(|_| vec![0.0; genes]) }
    }
}

impl Moments {
    /// Of genes with so many nonzeros (`of`), none of which is larger than `largest`.
    pub(crate) fn new(of: &[GeneMoments], largest: f64) -> Self {
        let sums = [largest, largest * largest].map(|most| {
            let mut sum = ExactSum::new(of.len(), 1);
            sum.reset(|gene| of[gene].nonzeros as f64 * most);
            sum
        });
        Moments { sums }
    }

    /// The sums found, with the numbers of nonzeros in `of`.
    pub(crate) fn found(&self, of: &[GeneMoments]) -> Vec<GeneMoments> {
        let [sums, squares] = [0, 1].map(|which: usize| {
            let mut values = vec![0.0; of.len()];
            self.sums[which].read(0..of.len(), 0..1, &mut values);
            values
        });
        let all = of.iter().zip(sums).zip(squares);
        all.map(|((of, sum), sum_sq)| GeneMoments { sum, sum_sq, ..*of }).collect()
    }
}

impl Fold for &Moments {
    type Local = Local;

    fn begin(&self, _local: &mut Local, _block: usize, _info: &BlockInfo) -> Result<(), DriverError> {
        Ok(())
    }

    fn tile(&self, local: &mut Local, tile: &mut TileProducts<'_>, _place: &TilePlace) -> Result<(), TileError> {
        let [sums, squares] = &mut local.shares;
        tile.entries(|_, gene, value| {
            let value = f64::from(value);
            sums[gene] += value;
            squares[gene] += value * value;
        })
    }

    fn end(&self, local: &mut Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        let beyond = |_| DriverError::Range { first_row: info.first_row, last_row: info.first_row + info.rows - 1 };
        self.sums.iter().zip(&mut local.shares).try_for_each(|(sum, share)| sum.add(share, block)).map_err(beyond)
    }

    /// 2·m numbers.
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        let mut locks: Vec<_> = self.sums.iter().flat_map(ExactSum::lock).collect();
        let mut parts: Vec<&mut [i64]> = locks.iter_mut().map(|stripe| stripe.as_mut_slice()).collect();
        comm.all_reduce_sum(&mut parts)
    }
}
