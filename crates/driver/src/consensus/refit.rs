//! What follows from median spectra, for all genes, in one pass over the data.

use fixedbitset::FixedBitSet;
use partwise_kernels::{Dead, FactorBuf, FactorMut, FactorRef, RuleScratch, UpdateRule};
use partwise_storage::store::{Layout, PerMillion};

use super::Distances;
use crate::blocks::FitData;
use crate::compute::refit::{Local, Refit, RefitSums};
use crate::engine::{Direction, Engine, SEGMENTS, Worker};
use crate::error::{ConfigError, DriverError};
use crate::hvg::sums_per_million;
use crate::plan::RowsPlan;
use crate::plan::peak::{
    BYTES_PER_GENE, DENSE_WORKER_BYTES, LATER_BYTES, LEAST_MARGIN, MARGIN, TABLE_BYTES_PER_TILE, WORKER_BYTES,
};
use crate::products::Decoder;
use crate::scores::{Regression, regress};
use crate::shape::{DataShape, HDF5_BYTES, Machine, RESIDENT};
use crate::spectra::{Spectra, unit_norm_powers};

/// The median spectra of one k, by the genes of the data.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The genes that were selected.
    pub genes: FixedBitSet,
    /// Median spectra of all genes of the data: zero for those that were not selected.
    pub medians: Spectra,
}

/// The programs of one k, most used first.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Programs {
    /// The genes that were selected.
    pub genes: FixedBitSet,
    /// Median spectra, zero for genes that were not selected.
    pub medians: Spectra,
    /// Spectra in values per million, of all genes.
    pub tpm: Spectra,
    /// Scores of genes, as [`Scores::genes`](crate::Scores::genes).
    pub scores: Spectra,
    /// The share that each program has of an average cell.
    pub usage: Vec<f64>,
    /// The row of [`Medians::spectra`](super::Medians::spectra) that each program is.
    pub clusters: Vec<usize>,
    /// ‖X̂ − W·M‖² of the selected genes, divided by their standard deviations.
    pub error: f64,
    /// The same over ‖X̂‖², its root.
    pub relative_error: f64,
    /// Cells without a nonzero value of a selected gene, or of none that a program has.
    pub unused_cells: usize,
    /// Whether values were scaled to values per million.
    pub per_million: bool,
    /// Σ T and Σ T² of every gene.
    pub sums: Vec<PerMillion>,
}

/// The plan of consensus of each of `ks`, the largest of which has spectra of `values` values.
///
/// # Errors
///
/// [`ConfigError::Memory`]: the replicates of one k, or one thread with the smallest segments, do not fit.
pub fn plan(shape: &DataShape, machine: &Machine, ks: &[usize], values: usize) -> Result<RowsPlan, ConfigError> {
    let process = machine.resident.max(RESIDENT + HDF5_BYTES) + LATER_BYTES;
    let tables = TABLE_BYTES_PER_TILE * shape.tiles() + (BYTES_PER_GENE + 48) * shape.genes as u64;
    // Medians, in two scales; spectra of all genes and scores; sums; distances of replicates.
    let of_k = |k: usize| 4 * FactorBuf::bytes(shape.genes, k) + RefitSums::bytes(shape.genes, k);
    let standing: u64 = ks.iter().map(|&k| of_k(k) + Distances::MOST_BYTES).sum();
    // As read, scaled to norm 1, and distances.
    let replicates = 12 * values as u64 + machine.threads as u64 * (1 << 20);
    let rows = shape.block_rows.min(shape.cells);
    let locals: u64 = ks.iter().map(|&k| Local::bytes(rows, shape.tile_rows, shape.genes, k)).sum();
    let dense = if shape.layout == Layout::Dense { DENSE_WORKER_BYTES } else { 0 };
    RowsPlan::within(shape, machine, |threads, segment| {
        let worker = WORKER_BYTES
            + dense
            + locals
            + Decoder::bytes(shape.genes, shape.max_tile_nonzeros)
            + SEGMENTS as u64 * segment.min(shape.max_block_bytes);
        let sum = process + tables + standing + replicates.max(threads as u64 * worker);
        sum + (sum / MARGIN).max(LEAST_MARGIN)
    })
}

/// The programs of each of `selected`, and how many reads of all of X it took: one, and another where a store does
/// not keep the sums of values per million. All processes of the engine call it.
///
/// # Errors
///
/// As a pass of a fit.
pub fn refit(
    data: &dyn FitData,
    selected: &[Selected],
    engine: &Engine<'_>,
    threads: usize,
) -> Result<(Vec<Programs>, usize), DriverError> {
    let (blocks, cells) = (data.blocks(), data.blocks().cells());
    let per_million = data.holds_counts();
    let (known, taken) = sums_per_million(data, engine, threads)?;

    let mut prepared = Vec::with_capacity(selected.len());
    for of_k in selected {
        let factors = deviations(data, &of_k.genes);
        prepared.push(Prepared::new(&of_k.medians, factors));
    }
    let folds = prepared.iter().map(|prepared| {
        let squares = blocks.gene_sq_norms().iter().zip(&prepared.factors);
        let sq_norm: f64 = squares.map(|(norm, &factor)| norm * f64::from(factor).powi(2)).sum();
        Refit {
            data,
            per_million,
            factor: &prepared.scaled,
            rule: &prepared.rule,
            powers: &prepared.powers,
            sums: RefitSums::new(prepared.powers.len(), cells, sq_norm, &known),
        }
    });
    let folds: Vec<Refit<'_>> = folds.collect();
    let threads = threads.min(blocks.blocks()).max(1);
    let local = || folds.iter().map(|fold| Local::new(data, fold.factor.k())).collect::<Vec<_>>();
    let mut workers: Vec<_> = (0..threads).map(|_| Worker::new(local())).collect();
    engine.announce("programs", blocks);
    engine.pass(blocks, &folds, &mut workers, Direction::Forward)?;
    engine.monitor().finish();
    drop(workers);
    let of_k = |((fold, prepared), selected): ((&Refit<'_>, &Prepared), &Selected)| {
        programs(&fold.sums, prepared, selected, &known, data)
    };
    Ok((folds.iter().zip(&prepared).zip(selected).map(of_k).collect(), 1 + taken))
}

/// 1/σ of every selected gene, with n − 1 in σ; 1 of one that is constant, 0 of all others.
fn deviations(data: &dyn FitData, genes: &FixedBitSet) -> Vec<f32> {
    let of_gene = |(gene, moments): (usize, &partwise_storage::store::GeneMoments)| match genes.contains(gene) {
        true => inverse_deviation(moments.sum, moments.sum_sq, data.blocks().cells()),
        false => 0.0,
    };
    data.gene_moments().iter().enumerate().map(of_gene).collect()
}

/// 1/σ with n − 1 in σ; 1 if the values do not vary.
pub(super) fn inverse_deviation(sum: f64, sum_sq: f64, cells: usize) -> f32 {
    let n = cells as f64;
    let squares = sum_sq - sum * sum / n;
    // Below this the difference is rounding.
    if squares <= 1e-12 * sum_sq || cells < 2 { 1.0 } else { (1.0 / (squares / (n - 1.0)).sqrt()) as f32 }
}

/// Spectra of one k, ready for the pass.
struct Prepared {
    /// D.
    factors: Vec<f32>,
    /// D·Mᵀ, rows of M scaled by powers of two to norms between 1 and 2.
    scaled: Spectra,
    powers: Vec<f32>,
    /// M·Mᵀ, so scaled.
    gram: Vec<f64>,
    rule: partwise_kernels::PreparedRule,
}

impl Prepared {
    fn new(medians: &Spectra, factors: Vec<f32>) -> Self {
        let (mut scaled, k) = (medians.clone(), medians.k());
        let mut gram = scaled.gram();
        let powers = unit_norm_powers(&mut gram, k);
        scaled.scale_components(&powers);
        scaled.multiply_genes(&factors);
        let rounded: Vec<f32> = gram.iter().map(|&value| value as f32).collect();
        let rule = UpdateRule::Bpp.prepare(&rounded, k, Dead::Zero);
        Prepared { factors, scaled, powers, gram, rule }
    }
}

fn programs(
    sums: &RefitSums,
    prepared: &Prepared,
    selected: &Selected,
    known: &[PerMillion],
    data: &dyn FitData,
) -> Programs {
    let (k, cells) = (prepared.powers.len(), data.blocks().cells());
    let read = |sum: &crate::exact::ExactSum, rows: usize, width: usize| {
        let mut values = vec![0.0; rows * width];
        sum.read(0..rows, 0..width, &mut values);
        values
    };
    let usage = read(&sums.usage, 1, k);
    // Most used first, equal ones in their order.
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&a, &b| usage[b].total_cmp(&usage[a]));

    let powers: Vec<f64> = order.iter().map(|&c| f64::from(prepared.powers[c])).collect();
    let ordered = |gram: &[f64], powers: &[f64]| -> Vec<f64> {
        (0..k * k).map(|at| gram[order[at / k] * k + order[at % k]] * powers[at / k] * powers[at % k]).collect()
    };
    let ones = vec![1.0; k];
    let scaled = read(&sums.wtw, k, k);
    let model: f64 = scaled.iter().zip(&prepared.gram).map(|(w, m)| w * m).sum();
    let squares = data.blocks().gene_sq_norms().iter().zip(&prepared.factors);
    let sq_norm: f64 = squares.map(|(norm, &factor)| norm * f64::from(factor).powi(2)).sum();
    let error = (sq_norm - 2.0 * read(&sums.cross, 1, 1)[0] + model).max(0.0);

    let totals = read(&sums.total, 1, k);
    let totals: Vec<f64> = order.iter().zip(&powers).map(|(&c, power)| totals[c] * power).collect();
    let wtt = |gene: usize, out: &mut [f64]| {
        let mut row = vec![0.0; k];
        sums.tpm.read(gene..gene + 1, 0..k, &mut row);
        out.iter_mut().zip(order.iter().zip(&powers)).for_each(|(out, (&c, power))| *out = row[c] * power);
    };
    let scores = regress(&Regression { wtw: &ordered(&scaled, &powers), totals: &totals, wtt: &wtt }, known, cells);

    let normalized: Vec<f32> =
        ordered(&read(&sums.normalized, k, k), &ones).iter().map(|&value| value as f32).collect();
    let rule = UpdateRule::Bpp.prepare(&normalized, k, Dead::Zero);
    let (mut tpm, mut medians) = (Spectra::zeros(known.len(), k), Spectra::zeros(known.len(), k));
    let (ks, mut scratch) = (tpm.ks(), RuleScratch::new());
    let (mut row, mut cross) = (vec![0.0; k], vec![0.0_f32; ks]);
    for (gene, spectrum) in tpm.ht_mut().chunks_exact_mut(ks).enumerate() {
        sums.tpm.read(gene..gene + 1, k..2 * k, &mut row);
        cross.iter_mut().zip(&order).for_each(|(cross, &c)| *cross = row[c] as f32);
        rule.apply(FactorMut::new(spectrum, 1, k, ks), FactorRef::new(&cross, 1, k, ks), &mut scratch);
    }
    for (to, from) in medians.ht_mut().chunks_exact_mut(ks).zip(selected.medians.ht().chunks_exact(ks)) {
        to.iter_mut().zip(&order).for_each(|(to, &c)| *to = from[c]);
    }
    Programs {
        genes: selected.genes.clone(),
        medians,
        tpm,
        scores,
        usage: order.iter().map(|&c| usage[c] / cells as f64).collect(),
        clusters: order,
        error,
        relative_error: if sq_norm > 0.0 { (error / sq_norm).sqrt() } else { 0.0 },
        unused_cells: read(&sums.unused, 1, 1)[0] as usize,
        per_million: data.holds_counts(),
        sums: known.to_vec(),
    }
}
