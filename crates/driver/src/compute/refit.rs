//! One pass that finds usages under known spectra and takes the sums of what follows from them.
//!
//! With X̂ = X·D, spectra M (k × m), values per million T = R·X, and Ŵ = W with rows that sum to 1:
//!
//! ```text
//! W = argmin_{W ≥ 0} ‖X̂ − W·M‖
//! share += (WᵀT, ŴᵀT, WᵀW, ŴᵀŴ, Σ w, Σ ŵ, Σ W∘X̂Mᵀ, rows of zeros)
//! ```
//!
//! Rows of M have norms of 1 or more, so ‖w_c‖ ≤ ‖X̂‖, and W and T are non-negative: `(WᵀT)_cj ≤ ‖X̂‖·‖T_j‖`,
//! `(WᵀW)_cd ≤ ‖X̂‖²`, `Σ w_c ≤ √n·‖X̂‖`. With Ŵ ≤ 1, `(ŴᵀT)_cj ≤ Σ T_j` and the other two are at most n. These
//! bound the exact sums. No usage is kept.

use partwise_kernels::{FactorBuf, FactorMut, FactorRef, PreparedRule, RuleScratch, gram, stride};
use partwise_storage::store::{BlockInfo, PerMillion};
use partwise_storage::tile::TileError;

use super::gene_scores::{MILLION, SHARE_TILES};
use crate::blocks::FitData;
use crate::comm::{Comm, CommError};
use crate::engine::{Fold, TilePlace};
use crate::error::DriverError;
use crate::exact::{BeyondBound, ExactSum};
use crate::products::TileProducts;
use crate::spectra::Spectra;

/// The pass for one set of spectra.
pub(crate) struct Refit<'p> {
    pub(crate) data: &'p dyn FitData,
    /// Whether T are values per million; otherwise T = X.
    pub(crate) per_million: bool,
    /// D·Mᵀ (m × k).
    pub(crate) factor: &'p Spectra,
    /// Prepared for M·Mᵀ.
    pub(crate) rule: &'p PreparedRule,
    /// What a usage is multiplied by before rows are made to sum to 1: spectra were scaled by it.
    pub(crate) powers: &'p [f32],
    pub(crate) sums: RefitSums,
}

/// The sums of a pass.
#[derive(Debug)]
pub(crate) struct RefitSums {
    /// (WᵀT)ᵀ and (ŴᵀT)ᵀ side by side, m × stride(2k).
    pub(crate) tpm: ExactSum,
    /// WᵀW, k × k.
    pub(crate) wtw: ExactSum,
    /// ŴᵀŴ, k × k.
    pub(crate) normalized: ExactSum,
    /// Σ w.
    pub(crate) total: ExactSum,
    /// Σ ŵ.
    pub(crate) usage: ExactSum,
    /// Σ W∘X̂Mᵀ.
    pub(crate) cross: ExactSum,
    /// Rows without any usage.
    pub(crate) unused: ExactSum,
}

impl RefitSums {
    /// Zero sums of k components over n `cells`, with ‖X̂‖² = `sq_norm` and these sums of T.
    pub(crate) fn new(k: usize, cells: usize, sq_norm: f64, known: &[PerMillion]) -> Self {
        let (n, norm) = (cells as f64, sq_norm.sqrt());
        let sum = |rows, width, bound: &dyn Fn(usize) -> f64| {
            let mut sum = ExactSum::new(rows, width);
            sum.reset(bound);
            sum
        };
        RefitSums {
            tpm: sum(known.len(), stride(2 * k), &|gene| known[gene].sum.max(norm * known[gene].sum_sq.sqrt())),
            wtw: sum(k, k, &|_| sq_norm),
            normalized: sum(k, k, &|_| n),
            total: sum(1, k, &|_| n.sqrt() * norm),
            usage: sum(1, k, &|_| n),
            cross: sum(1, 1, &|_| sq_norm),
            unused: sum(1, 1, &|_| n),
        }
    }

    /// Bytes of the sums.
    pub(crate) fn bytes(genes: usize, k: usize) -> u64 {
        ExactSum::bytes(genes, stride(2 * k)) + 2 * ExactSum::bytes(k, k)
    }

    fn all(&self) -> [&ExactSum; 7] {
        [&self.tpm, &self.wtw, &self.normalized, &self.total, &self.usage, &self.cross, &self.unused]
    }
}

/// One worker's shares and scratch.
#[derive(Debug)]
pub(crate) struct Local {
    /// r_i of the rows of the block.
    factors: Vec<f32>,
    /// X̂·Mᵀ, W and Ŵ of the tile.
    cross: FactorBuf,
    w: FactorBuf,
    normalized: FactorBuf,
    /// R·W and R·Ŵ side by side.
    both: FactorBuf,
    scratch: RuleScratch,
    tpm: FactorBuf,
    grams: [Vec<f64>; 2],
    totals: [Vec<f64>; 2],
    /// Σ W∘X̂Mᵀ, and rows without any usage.
    counts: [f64; 2],
    within: Result<(), BeyondBound>,
}

impl Local {
    pub(crate) fn new(data: &dyn FitData, k: usize) -> Self {
        let (tile, genes) = (data.blocks().tile_rows(), data.blocks().genes());
        Local {
            factors: Vec::new(),
            cross: FactorBuf::zeros(tile, k),
            w: FactorBuf::zeros(tile, k),
            normalized: FactorBuf::zeros(tile, k),
            both: FactorBuf::zeros(tile, 2 * k),
            scratch: RuleScratch::new(),
            tpm: FactorBuf::zeros(genes, 2 * k),
            grams: [vec![0.0; k * k], vec![0.0; k * k]],
            totals: [vec![0.0; k], vec![0.0; k]],
            counts: [0.0; 2],
            within: Ok(()),
        }
    }

    /// Bytes that a worker holds.
    pub(crate) fn bytes(block_rows: usize, tile_rows: usize, genes: usize, k: usize) -> u64 {
        let tile = 3 * FactorBuf::bytes(tile_rows, k) + FactorBuf::bytes(tile_rows, 2 * k);
        tile + FactorBuf::bytes(genes, 2 * k) + (4 * block_rows + 16 * k * k) as u64 + RuleScratch::bytes(k)
    }
}

impl Fold for Refit<'_> {
    type Local = Local;

    fn begin(&self, local: &mut Local, _block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        let moments = self.data.cell_moments(info.first_row..info.first_row + info.rows)?;
        local.factors.clear();
        local.factors.extend(moments.iter().map(|cell| match self.per_million {
            true if cell.sum > 0.0 => (MILLION / cell.sum) as f32,
            true => 0.0,
            false => 1.0,
        }));
        local.within = Ok(());
        Ok(())
    }

    fn tile(&self, local: &mut Local, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        let Local { factors, cross, w, normalized, both, scratch, tpm, grams, totals, counts, within } = local;
        let (height, genes, k) = (place.rows.len(), self.data.blocks().genes(), self.factor.k());
        let (ld, wide) = (stride(k), stride(2 * k));
        let (cross, w) = (&mut cross[..height * ld], &mut w[..height * ld]);
        let (normalized, both) = (&mut normalized[..height * ld], &mut both[..height * wide]);
        cross.fill(0.0);
        w.fill(0.0);
        tile.xht(FactorMut::new(cross, height, k, ld), self.factor.view())?;
        self.rule.apply(FactorMut::new(w, height, k, ld), FactorRef::new(cross, height, k, ld), scratch);
        let outputs = normalized.chunks_exact_mut(ld).zip(both.chunks_exact_mut(wide));
        for ((row, (shares, both)), factor) in w.chunks_exact(ld).zip(outputs).zip(&factors[place.rows.clone()]) {
            let usages = || row.iter().zip(self.powers).map(|(w, power)| f64::from(*w) * f64::from(*power));
            let all: f64 = usages().sum();
            let inverse = if all > 0.0 { 1.0 / all } else { 0.0 };
            counts[1] += f64::from(u8::from(all <= 0.0));
            for (c, (&w, usage)) in row.iter().zip(usages()).enumerate() {
                let share = usage * inverse;
                shares[c] = share as f32;
                (both[c], both[k + c]) = (factor * w, factor * share as f32);
                totals[0][c] += f64::from(w);
                totals[1][c] += share;
            }
        }
        counts[0] += w.iter().zip(&*cross).map(|(&w, &p)| f64::from(w) * f64::from(p)).sum::<f64>();
        gram::add_gram(&mut grams[0], FactorRef::new(w, height, k, ld));
        gram::add_gram(&mut grams[1], FactorRef::new(normalized, height, k, ld));
        let both = FactorRef::new(both, height, 2 * k, wide);
        tile.parts(|part| part.wtx(FactorMut::new(tpm, genes, 2 * k, wide), both))?;
        if (place.rows.start / self.data.blocks().tile_rows() + 1).is_multiple_of(SHARE_TILES) {
            *within = within.and(self.sums.tpm.add(tpm, place.block));
        }
        Ok(())
    }

    fn end(&self, local: &mut Local, block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        let sums = &self.sums;
        let Local { tpm, grams, totals, counts, within, .. } = local;
        let [wtw, normalized] = grams;
        let [total, usage] = totals;
        let [cross, unused] = counts;
        let within = within
            .and(sums.tpm.add(tpm, block))
            .and(sums.wtw.add(wtw, block))
            .and(sums.normalized.add(normalized, block))
            .and(sums.total.add(total, block))
            .and(sums.usage.add(usage, block))
            .and(sums.cross.add(std::slice::from_mut(cross), block))
            .and(sums.unused.add(std::slice::from_mut(unused), block));
        within.map_err(|_| DriverError::Range { first_row: info.first_row, last_row: info.first_row + info.rows - 1 })
    }

    /// m·stride(2k) + 2k² + 2k + 2 numbers.
    fn merge(&self, comm: &dyn Comm) -> Result<(), CommError> {
        let mut locks: Vec<_> = self.sums.all().into_iter().flat_map(ExactSum::lock).collect();
        let mut parts: Vec<&mut [i64]> = locks.iter_mut().map(|stripe| stripe.as_mut_slice()).collect();
        comm.all_reduce_sum(&mut parts)
    }
}
