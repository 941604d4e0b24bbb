//! One pass that takes the sums of a regression of genes on usages.
//!
//! With T = R·X and r_i = 10⁶ / (sum of the cell) where values are counts (values per million), or R = 1:
//!
//! ```text
//! share += (WᵀT, WᵀW, Σ w_i, Σ w_i s_i / Σ_c w_ic s_c)      and, where they are not known, Σ t, Σ t²
//! ```
//!
//! s_c weighs a component in the shares that a cell has of each. All terms are non-negative, and w_ic ≤ ω_c
//! bounds every sum: `(WᵀT)_cj ≤ ω_c Σ_i t_ij`, `(WᵀW)_cd ≤ n ω_c ω_d`, `Σ_i w_ic ≤ n ω_c`.

use partwise_kernels::{FactorBuf, FactorMut, FactorRef, gram, stride};
use partwise_storage::store::{BlockInfo, PerMillion};
use partwise_storage::tile::TileError;

use crate::blocks::FitData;
use crate::comm::{Comm, CommError};
use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;
use crate::exact::{BeyondBound, ExactSum};
use crate::products::TileProducts;
use crate::usages::Usages;

/// Most tiles that add to a share of WᵀT before it becomes integers.
pub(super) const SHARE_TILES: usize = 6;
/// Values per million are at most this.
pub(super) const MILLION: f64 = 1e6;

/// One fit, and its sums.
pub(crate) struct Scored<'p> {
    pub(crate) usages: &'p Usages,
    /// s_c.
    pub(crate) weights: Vec<f32>,
    /// (WᵀT)ᵀ, m × ks.
    pub(crate) wtt: ExactSum,
    /// WᵀW, k × k.
    pub(crate) wtw: ExactSum,
    /// Σ w_i, and the sums of shares: 2 × k.
    pub(crate) usage: ExactSum,
}

impl<'p> Scored<'p> {
    /// Zero sums of a fit with W ≤ `largest`, over n `cells`, in which genes have at most the sums `sums_of_genes`.
    pub(crate) fn new(
        usages: &'p Usages,
        weights: Vec<f32>,
        largest: &[f32],
        cells: usize,
        sums_of_genes: &[f64],
    ) -> Self {
        let (k, genes) = (usages.k(), sums_of_genes.len());
        let most = f64::from(largest.iter().copied().fold(0.0, f32::max));
        let n = cells as f64;
        let mut scored = Scored {
            usages,
            weights,
            wtt: ExactSum::new(genes, stride(k)),
            wtw: ExactSum::new(k, k),
            usage: ExactSum::new(2, k),
        };
        scored.wtt.reset(|gene| most * sums_of_genes[gene]);
        scored.wtw.reset(|c| n * f64::from(largest[c]) * most);
        scored.usage.reset(|row| if row == 0 { n * most } else { n });
        scored
    }
}

/// The pass.
pub(crate) struct GeneScores<'p> {
    pub(crate) data: &'p dyn FitData,
    pub(crate) fits: Vec<Scored<'p>>,
    /// Whether values are scaled to values per million.
    pub(crate) per_million: bool,
    /// Σ t and Σ t² of every gene, one an array, if they are to be taken.
    pub(crate) moments: Option<[ExactSum; 2]>,
}

impl GeneScores<'_> {
    /// Zero sums of values per million, for genes with at most so many nonzeros.
    pub(crate) fn moments(nonzeros: &[u64]) -> [ExactSum; 2] {
        [MILLION, MILLION * MILLION].map(|most| {
            let mut sum = ExactSum::new(nonzeros.len(), 1);
            sum.reset(|gene| most * nonzeros[gene] as f64);
            sum
        })
    }

    /// Those that were taken.
    pub(crate) fn taken(&self) -> Option<Vec<PerMillion>> {
        let [sums, squares] = self.moments.as_ref()?;
        let read = |sum: &ExactSum| {
            let genes = self.data.blocks().genes();
            let mut values = vec![0.0; genes];
            sum.read(0..genes, 0..1, &mut values);
            values
        };
        let pairs = read(sums).into_iter().zip(read(squares));
        Some(pairs.map(|(sum, sum_sq)| PerMillion { sum, sum_sq }).collect())
    }
}

/// One worker's shares and scratch.
#[derive(Debug)]
pub(crate) struct Local {
    /// r_i of the rows of the block.
    factors: Vec<f32>,
    fits: Vec<FitLocal>,
    /// As [`GeneScores::moments`]; empty if they are not taken.
    moments: [Vec<f64>; 2],
    within: Result<(), BeyondBound>,
}

#[derive(Debug)]
struct FitLocal {
    k: usize,
    /// W of the block, b × ks.
    w: FactorBuf,
    /// R·W of the tile.
    scaled: FactorBuf,
    wtt: FactorBuf,
    wtw: Vec<f64>,
    usage: Vec<f64>,
}

impl Local {
    pub(crate) fn new(fold: &GeneScores<'_>) -> Self {
        let (blocks, ks) = (fold.data.blocks(), fold.fits.iter().map(|fit| fit.usages.k()));
        let fit = |k: usize| FitLocal {
            k,
            w: FactorBuf::zeros(blocks.block_rows(), k),
            scaled: FactorBuf::zeros(blocks.tile_rows(), k),
            wtt: FactorBuf::zeros(blocks.genes(), k),
            wtw: vec![0.0; k * k],
            usage: vec![0.0; 2 * k],
        };
        let genes = if fold.moments.is_some() { blocks.genes() } else { 0 };
        Local {
            factors: Vec::new(),
            fits: ks.map(fit).collect(),
            moments: std::array::from_fn(|_| vec![0.0; genes]),
            within: Ok(()),
        }
    }
}

impl Fold for GeneScores<'_> {
    type Local = Local;

    fn begin(&self, local: &mut Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        let weights = self.data.blocks().row_weights(block);
        let moments = self.data.cell_moments(info.first_row..info.first_row + info.rows)?;
        local.factors.clear();
        local.factors.extend(moments.iter().enumerate().map(|(row, cell)| match self.per_million {
            false => weights.of(row),
            true if cell.sum > 0.0 => (MILLION / cell.sum) as f32 * weights.of(row),
            true => 0.0,
        }));
        local.within = Ok(());
        for (fit, own) in self.fits.iter().zip(&mut local.fits) {
            let mut packed = vec![0.0; info.rows * own.k];
            fit.usages.load(block, &mut packed)?;
            let mut w = FactorMut::new(&mut own.w, info.rows, own.k, stride(own.k));
            w.fill(0.0);
            w.iter_mut().zip(packed.chunks_exact(own.k)).for_each(|(row, kept)| row[..own.k].copy_from_slice(kept));
            for row in packed.chunks_exact(own.k) {
                let all: f64 = row.iter().zip(&fit.weights).map(|(w, s)| f64::from(*w) * f64::from(*s)).sum();
                for (c, (w, s)) in row.iter().zip(&fit.weights).enumerate() {
                    own.usage[c] += f64::from(*w);
                    if all > 0.0 {
                        own.usage[own.k + c] += f64::from(*w) * f64::from(*s) / all;
                    }
                }
            }
        }
        Ok(())
    }

    fn tile(&self, local: &mut Local, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        let Local { factors, fits, moments, within } = local;
        let (rows, genes) = (place.rows.clone(), self.data.blocks().genes());
        let factors = &factors[rows.clone()];
        for own in &mut *fits {
            let ks = stride(own.k);
            let w = &own.w[rows.start * ks..rows.end * ks];
            gram::add_gram(&mut own.wtw, FactorRef::new(w, rows.len(), own.k, ks));
            let scaled = own.scaled.chunks_exact_mut(ks).zip(w.chunks_exact(ks)).zip(factors);
            scaled.for_each(|((to, from), factor)| to.iter_mut().zip(from).for_each(|(to, from)| *to = from * factor));
        }
        tile.parts(|part| {
            for own in &mut *fits {
                let ks = stride(own.k);
                let scaled = FactorRef::new(&own.scaled[..rows.len() * ks], rows.len(), own.k, ks);
                part.wtx(FactorMut::new(&mut own.wtt, genes, own.k, ks), scaled);
            }
        })?;
        if self.moments.is_some() {
            let [sums, squares] = moments;
            tile.entries(|row, gene, value| {
                let scaled = f64::from(value) * f64::from(factors[row]);
                sums[gene] += scaled;
                squares[gene] += scaled * scaled;
            })?;
        }
        if (rows.start / self.data.blocks().tile_rows() + 1).is_multiple_of(SHARE_TILES) {
            for (fit, own) in self.fits.iter().zip(fits) {
                *within = within.and(fit.wtt.add(&mut own.wtt, place.block));
            }
        }
        Ok(())
    }

    fn end(&self, local: &mut Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        let beyond = |_| DriverError::Range { first_row: info.first_row, last_row: info.first_row + info.rows - 1 };
        local.within.map_err(beyond)?;
        for (fit, own) in self.fits.iter().zip(&mut local.fits) {
            let added = fit.wtt.add(&mut own.wtt, block).and(fit.wtw.add(&mut own.wtw, block));
            added.and(fit.usage.add(&mut own.usage, block)).map_err(beyond)?;
        }
        for (sum, share) in self.moments.iter().flatten().zip(&mut local.moments) {
            sum.add(share, block).map_err(beyond)?;
        }
        Ok(())
    }

    /// m·ks + k² + 2k numbers a fit, and 2m if the moments are taken.
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        let of_fits = self.fits.iter().flat_map(|fit| [&fit.wtt, &fit.wtw, &fit.usage]);
        let mut locks: Vec<_> = of_fits.chain(self.moments.iter().flatten()).flat_map(ExactSum::lock).collect();
        let mut parts: Vec<&mut [i64]> = locks.iter_mut().map(|stripe| stripe.as_mut_slice()).collect();
        comm.all_reduce_sum(&mut parts)
    }
}
