//! One pass that sums up genes over some of the cells, and finds cells by their sums.
//!
//! A cell is kept if its sum over the genes that count reaches a least value. Its entries then add to
//! the sums of all genes: Σ 1, Σ x and Σ x², exactly, so that no order of blocks shows.

use std::sync::{Mutex, PoisonError};

use fixedbitset::FixedBitSet;
use partwise_storage::store::{BlockInfo, GeneMoments};
use partwise_storage::tile::TileError;

use crate::comm::{Comm, CommError};
use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;
use crate::exact::ExactSum;
use crate::products::TileProducts;

/// Words of the set of kept cells that processes exchange at once.
const WORDS_AT_ONCE: usize = 1 << 14;

/// Which cells to keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sought<'p> {
    /// Cells that may be kept; `None`: all.
    pub(crate) cells: Option<&'p FixedBitSet>,
    /// Genes that count; `None`: all.
    pub(crate) genes: Option<&'p FixedBitSet>,
    /// The least sum of a cell over these genes.
    pub(crate) least: f64,
}

/// The sums of the kept cells.
pub(crate) struct Profile<'p> {
    sought: Sought<'p>,
    of_all: &'p [GeneMoments],
    kept: Mutex<FixedBitSet>,
    /// Nonzeros, Σ x and Σ x² of every gene.
    sums: [ExactSum; 3],
}

/// One worker's shares of the block in hand.
#[derive(Debug)]
pub(crate) struct Local {
    /// As [`Profile::sums`].
    shares: [Vec<f64>; 3],
    /// The sum of each cell of the tile over the genes that count.
    totals: Vec<f64>,
    /// Its cells that are kept.
    keeps: Vec<bool>,
}

impl Local {
    pub(crate) fn new(genes: usize) -> Self {
        Local { shares: std::array::from_fn(|_| vec![0.0; genes]), totals: Vec::new(), keeps: Vec::new() }
    }
}

impl<'p> Profile<'p> {
    /// Will look at `cells` cells, whose genes have the sums `of_all` over all of them.
    pub(crate) fn new(sought: Sought<'p>, cells: usize, of_all: &'p [GeneMoments]) -> Self {
        let bounds: [fn(&GeneMoments) -> f64; 3] = [|gene| gene.nonzeros as f64, |gene| gene.sum, |gene| gene.sum_sq];
        let sums = bounds.map(|bound| {
            let mut sum = ExactSum::new(of_all.len(), 1);
            sum.reset(|gene| bound(&of_all[gene]));
            sum
        });
        Profile { sought, of_all, kept: Mutex::new(FixedBitSet::with_capacity(cells)), sums }
    }

    /// The cells that are kept, and the sums of every gene over them. The largest value of a gene is that
    /// of all cells.
    pub(crate) fn into_found(self) -> (FixedBitSet, Vec<GeneMoments>) {
        let genes = self.of_all.len();
        let [nonzeros, sums, squares] = self.sums.map(|sum| {
            let mut values = vec![0.0; genes];
            sum.read(0..genes, 0..1, &mut values);
            values
        });
        let moments = self.of_all.iter().enumerate().map(|(gene, all)| GeneMoments {
            nonzeros: nonzeros[gene].round() as u64,
            sum: sums[gene],
            sum_sq: squares[gene],
            max: all.max,
        });
        (self.kept.into_inner().unwrap_or_else(PoisonError::into_inner), moments.collect())
    }
}

impl Fold for Profile<'_> {
    type Local = Local;

    fn wants(&self, _block: usize, cells: std::ops::Range<usize>) -> bool {
        self.sought.cells.is_none_or(|sought| sought.contains_any_in_range(cells))
    }

    fn begin(&self, _local: &mut Local, _block: usize, _info: &BlockInfo) -> Result<(), DriverError> {
        Ok(())
    }

    fn tile(&self, local: &mut Local, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        let Local { shares: [nonzeros, sums, squares], totals, keeps } = local;
        let Sought { cells, genes, least } = self.sought;
        totals.clear();
        totals.resize(place.rows.len(), 0.0);
        if least > 0.0 {
            tile.entries(|row, gene, value| {
                if genes.is_none_or(|genes| genes.contains(gene)) {
                    totals[row] += f64::from(value);
                }
            })?;
        }
        keeps.clear();
        keeps.extend(
            place
                .cells
                .clone()
                .zip(&*totals)
                .map(|(cell, &total)| cells.is_none_or(|cells| cells.contains(cell)) && total >= least),
        );
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            place.cells.clone().zip(&*keeps).filter(|&(_, &keep)| keep).for_each(|(cell, _)| kept.insert(cell));
        }
        tile.entries(|row, gene, value| {
            if keeps[row] && value > 0.0 {
                let value = f64::from(value);
                nonzeros[gene] += 1.0;
                sums[gene] += value;
                squares[gene] += value * value;
            }
        })
    }

    fn end(&self, local: &mut Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        let beyond = |_| DriverError::Range { first_row: info.first_row, last_row: info.first_row + info.rows - 1 };
        self.sums.iter().zip(&mut local.shares).try_for_each(|(sum, share)| sum.add(share, block)).map_err(beyond)
    }

    /// 3·m numbers, and a bit for each cell.
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        let mut locks: Vec<_> = self.sums.iter().flat_map(ExactSum::lock).collect();
        let mut parts: Vec<&mut [i64]> = locks.iter_mut().map(|stripe| stripe.as_mut_slice()).collect();
        comm.all_reduce_sum(&mut parts)?;
        // A cell is in one process alone, so the sum of their words has the bits of all.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for words in kept.as_mut_slice().chunks_mut(WORDS_AT_ONCE) {
            let mut shared: Vec<i64> = words.iter().map(|&word| word as i64).collect();
            comm.all_reduce_sum(&mut [&mut shared])?;
            words.iter_mut().zip(shared).for_each(|(word, of_all)| *word = of_all as usize);
        }
        Ok(())
    }
}
