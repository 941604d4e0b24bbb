//! Scores of genes: how strongly a gene goes with a program, whatever its level.
//!
//! The largest weights of a spectrum are those of genes that are high everywhere. A score is the coefficient
//! of the program in the regression of the gene's z-scores on the usages, without an intercept, as cNMF's
//! `gene_spectra_score` (Kotliar et al., *eLife* 8, 2019). The z-scores are of values per million of counts,
//! and of the values themselves otherwise:
//!
//! ```text
//! z_ij = (t_ij − μ_j) / σ_j,    scores = (WᵀW)⁻¹ WᵀZ,    WᵀZ = (WᵀT − Σ w_i μᵀ) / σ
//! ```
//!
//! with the population's σ, whose square is at least 10⁻¹². All of it follows from the sums of one pass
//! (`compute::gene_scores`), which several fits share.

use partwise_kernels::eigen::symmetric_eigen;
use partwise_storage::store::PerMillion;
use rayon::prelude::*;
use tracing::info_span;

use crate::blocks::{Blocks, FitData};
use crate::comm::all_gather;
use crate::compute::gene_scores::{GeneScores, Local, Scored};
use crate::engine::{Direction, Engine, Worker};
use crate::error::DriverError;
use crate::spectra::{GENE_CHUNK, Spectra};
use crate::usages::Usages;

/// The least variance of a gene, as in cNMF.
const LEAST_VARIANCE: f64 = 1e-12;
/// Directions of WᵀW with less than this part of the largest eigenvalue count as none.
const RANK_TOL: f64 = 1e-12;

/// The scores of one fit, and its programs in numbers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Scores {
    /// Score of every gene (of those fitted) in every program: `get(program, gene)`.
    pub genes: Spectra,
    /// Whether values were scaled to values per million.
    pub per_million: bool,
    /// The share of ‖W·H‖² that each program has.
    pub variance: Vec<f64>,
    /// The share of ΣW·H that each program has.
    pub counts: Vec<f64>,
    /// The share of a cell that each program has, on average over the cells.
    pub usage: Vec<f64>,
}

/// W and H of one fit, H in the units of the input and of the genes that were fitted.
#[derive(Clone, Copy)]
pub(crate) struct Factors<'f> {
    pub(crate) usages: &'f Usages,
    pub(crate) spectra: &'f Spectra,
}

/// The scores of fits of `data`, in one read of all of X. All processes of the engine call it.
///
/// # Errors
///
/// As a pass of a fit.
pub(crate) fn score(
    data: &dyn FitData,
    fits: &[Factors<'_>],
    engine: &Engine<'_>,
    threads: usize,
) -> Result<Vec<Scores>, DriverError> {
    let _span = info_span!("scores").entered();
    let blocks = data.blocks();
    let (cells, _) = blocks.kept();
    let per_million = data.holds_counts();
    let all = data.gene_moments();
    let known = if per_million { data.per_million()? } else { Some(of_values(data)) };
    let most: Vec<f64> = match &known {
        Some(known) => known.iter().map(|gene| gene.sum).collect(),
        None => all.iter().map(|gene| 1e6 * gene.nonzeros as f64).collect(),
    };
    let mut scored = Vec::with_capacity(fits.len());
    for fit in fits {
        let weights =
            (0..fit.spectra.k()).map(|c| fit.spectra.component(c).map(f64::from).sum::<f64>() as f32).collect();
        scored.push(Scored::new(fit.usages, weights, &largest(fit.usages, blocks, engine)?, cells, &most));
    }
    let moments = known.is_none().then(|| {
        let nonzeros: Vec<u64> = all.iter().map(|gene| gene.nonzeros).collect();
        GeneScores::moments(&nonzeros)
    });
    let fold = GeneScores { data, fits: scored, per_million, moments };
    let threads = threads.min(blocks.blocks()).max(1);
    let mut workers: Vec<_> = (0..threads).map(|_| Worker::new(Local::new(&fold))).collect();
    engine.announce("scores", blocks);
    engine.pass(blocks, &fold, &mut workers, Direction::Backward)?;
    engine.monitor().finish();
    drop(workers);

    let known = known.or_else(|| fold.taken()).unwrap_or_default();
    let of_fit = |(sums, fit): (&Scored<'_>, &Factors<'_>)| {
        let k = fit.spectra.k();
        let (mut wtw, mut usage) = (vec![0.0; k * k], vec![0.0; 2 * k]);
        sums.wtw.read(0..k, 0..k, &mut wtw);
        sums.usage.read(0..2, 0..k, &mut usage);
        let wtt = |gene: usize, out: &mut [f64]| sums.wtt.read(gene..gene + 1, 0..k, out);
        let of_all = regress(&Regression { wtw: &wtw, totals: &usage[..k], wtt: &wtt }, &known, cells);
        let hht = fit.spectra.gram();
        let variance = (0..k).map(|c| (0..k).map(|d| wtw[c * k + d] * hht[d * k + c]).sum()).collect();
        let counts = usage[..k].iter().zip(&sums.weights).map(|(w, s)| w * f64::from(*s)).collect();
        Scores {
            genes: match data.kept_genes() {
                None => of_all,
                Some(kept) => of_all.of_genes(kept),
            },
            per_million,
            variance: parts(variance),
            counts: parts(counts),
            usage: usage[k..].iter().map(|sum| sum / cells as f64).collect(),
        }
    };
    Ok(fold.fits.iter().zip(fits).map(of_fit).collect())
}

/// The sums of values as they are.
fn of_values(data: &dyn FitData) -> Vec<PerMillion> {
    data.gene_moments().iter().map(|gene| PerMillion { sum: gene.sum, sum_sq: gene.sum_sq }).collect()
}

/// The largest usage of every component, over all processes.
fn largest(usages: &Usages, blocks: &dyn Blocks, engine: &Engine<'_>) -> Result<Vec<f32>, DriverError> {
    let (k, own) = (usages.k(), engine.shard(blocks));
    let of_block = |rows: &mut Vec<f32>, block: usize| {
        rows.resize(usages.rows_of(block) * k, 0.0);
        usages.load(block, rows)?;
        let rows = rows.chunks_exact(k);
        Ok::<_, DriverError>(rows.fold(vec![0.0_f32; k], larger))
    };
    let span = info_span!("largest usages", tasks = own.len()).entered();
    let of_own = own.into_par_iter().map_init(Vec::new, of_block);
    let mut largest = of_own.try_reduce(|| vec![0.0; k], |largest, row| Ok(larger(largest, &row)))?;
    drop(span);
    for most in &mut largest {
        // The bits of non-negative floats are ordered like the floats.
        let of_all = all_gather(engine.comm(), i64::from(most.to_bits()))?;
        *most = f32::from_bits(of_all.into_iter().max().unwrap_or(0) as u32);
    }
    Ok(largest)
}

/// The larger of each two.
fn larger(mut largest: Vec<f32>, row: &[f32]) -> Vec<f32> {
    largest.iter_mut().zip(row).for_each(|(most, &value)| *most = most.max(value));
    largest
}

/// The sums of a regression on usages W.
pub(crate) struct Regression<'s> {
    /// WᵀW, k × k.
    pub(crate) wtw: &'s [f64],
    /// Σ w_i.
    pub(crate) totals: &'s [f64],
    /// Gives WᵀT of a gene.
    pub(crate) wtt: &'s (dyn Fn(usize, &mut [f64]) + Sync),
}

/// (WᵀW)⁻¹ WᵀZ, gene by gene, with the sums of T that are `known` of every gene over n `cells`; directions in which
/// W has nothing count for nothing.
pub(crate) fn regress(sums: &Regression<'_>, known: &[PerMillion], cells: usize) -> Spectra {
    let (k, totals) = (sums.totals.len(), sums.totals);
    let inverse = inverse(sums.wtw, k);
    let mut scores = Spectra::zeros(known.len(), k);
    let ks = scores.ks();
    let _span = info_span!("regression", tasks = known.len().div_ceil(GENE_CHUNK)).entered();
    scores.ht_mut().par_chunks_mut(GENE_CHUNK * ks).enumerate().for_each(|(chunk, rows)| {
        let mut wtt = vec![0.0; k];
        for (at, row) in rows.chunks_exact_mut(ks).enumerate() {
            let gene = chunk * GENE_CHUNK + at;
            (sums.wtt)(gene, &mut wtt);
            let mean = known[gene].sum / cells as f64;
            let variance = (known[gene].sum_sq / cells as f64 - mean * mean).max(LEAST_VARIANCE);
            let deviation = variance.sqrt();
            wtt.iter_mut().zip(totals).for_each(|(sum, total)| *sum = (*sum - total * mean) / deviation);
            for (value, weights) in row.iter_mut().zip(inverse.chunks_exact(k)) {
                *value = weights.iter().zip(&wtt).map(|(weight, sum)| weight * sum).sum::<f64>() as f32;
            }
        }
    });
    scores
}

/// The pseudo-inverse of WᵀW, its components scaled to norm 1 first.
fn inverse(wtw: &[f64], k: usize) -> Vec<f64> {
    let norms: Vec<f64> =
        (0..k).map(|c| wtw[c * k + c].sqrt()).map(|norm| if norm > 0.0 { norm } else { 1.0 }).collect();
    let scaled: Vec<f64> = (0..k * k).map(|at| wtw[at] / (norms[at / k] * norms[at % k])).collect();
    let eigen = symmetric_eigen(&scaled, k);
    let least = RANK_TOL * eigen.values.first().copied().unwrap_or(0.0).max(0.0);
    (0..k * k)
        .map(|at| {
            let (i, j) = (at / k, at % k);
            let terms = eigen.values.iter().enumerate().filter(|(_, value)| **value > least);
            let sum: f64 = terms.map(|(c, value)| eigen.vectors[i * k + c] * eigen.vectors[j * k + c] / value).sum();
            sum / (norms[i] * norms[j])
        })
        .collect()
}

/// Each as a share of their sum.
fn parts(values: Vec<f64>) -> Vec<f64> {
    let all: f64 = values.iter().sum();
    values.into_iter().map(|value| if all > 0.0 { value / all } else { 0.0 }).collect()
}
