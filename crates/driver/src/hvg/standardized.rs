//! Standardized variance of genes: how much a gene varies beside others of its level once it is divided by the
//! standard deviation that is usual there, as Seurat 3 scores it (Stuart et al., *Cell* 177, 2019) and scanpy with
//! `flavor="seurat_v3"`.
//!
//! With the mean μ and the variance σ² (of a sample: divided by n − 1) of a gene's counts over n cells:
//!
//! ```text
//! log₁₀ σ̂² = loess of log₁₀ σ² on log₁₀ μ, over the genes that vary
//! c = μ + σ̂·√n
//! score = Σ (min(x, c) − μ)² / ((n − 1)·σ̂²)
//! ```
//!
//! A count above c is taken for c, so that one cell alone does not make a gene variable. Such counts are few, and only
//! they take a read of the matrix, unless none of the largest values is one: μ and σ² follow from sums that a store
//! keeps.
//!
//! All sums are of integers. n·Σx² − (Σx)² is computed in 128 bits, so that genes that do not vary are exactly those
//! with σ² = 0, and that no digit is lost where μ is large. Logarithms are those of `libm`, which are the same on
//! every machine.

use fixedbitset::FixedBitSet;
use partwise_storage::store::GeneMoments;

use super::loess::{COEFFICIENTS, Undetermined, loess, nearest};
use crate::blocks::FitData;
use crate::compute::clipped::{Above, Clipped, Local};
use crate::engine::{Direction, Engine, Worker};
use crate::error::{DriverError, HvgError};

/// The part of the genes that shape the curve at one place.
const SPAN: f64 = 0.3;

/// The standardized variance of every gene of a matrix of counts. All numbers of a gene that was left out are NaN, as
/// is the score of a gene that is zero everywhere; a gene that has one value above zero in all cells has the score 0.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StandardizedVariance {
    /// Mean μ of each gene.
    pub means: Vec<f64>,
    /// Variance σ².
    pub variances: Vec<f64>,
    /// The variance σ̂² that is expected at this mean; NaN of genes that do not vary.
    pub expected: Vec<f64>,
    /// The variance of the clipped counts over what is expected.
    pub scores: Vec<f64>,
}

impl StandardizedVariance {
    /// Means, variances and expected variances of the genes of `data`; no scores yet. Genes that are not `among`
    /// those to choose from count nowhere.
    pub(super) fn expected(data: &dyn FitData, among: Option<&FixedBitSet>) -> Result<Self, HvgError> {
        if !data.holds_counts() {
            return Err(HvgError::NotCounts);
        }
        let (moments, (cells, _)) = (data.gene_moments(), data.blocks().kept());
        let known = |(gene, of): (usize, &GeneMoments)| match among.is_none_or(|among| among.contains(gene)) {
            true => (of.sum / cells as f64, variance(of, cells)),
            false => (f64::NAN, f64::NAN),
        };
        let (means, variances): (Vec<f64>, Vec<f64>) = moments.iter().enumerate().map(known).unzip();
        let varying: Vec<usize> = (0..means.len()).filter(|&gene| variances[gene] > 0.0).collect();
        if nearest(varying.len(), SPAN) < COEFFICIENTS {
            let least = (COEFFICIENTS as f64 / SPAN).ceil() as usize;
            return Err(HvgError::FewGenes { varying: varying.len(), least });
        }
        let logs = |of: &[f64]| varying.iter().map(|&gene| libm::log10(of[gene])).collect::<Vec<f64>>();
        let curve = loess(&logs(&means), &logs(&variances), SPAN)
            .map_err(|Undetermined { at }| HvgError::EqualMeans { mean: libm::pow(10.0, at) })?;
        let mut expected = vec![f64::NAN; means.len()];
        varying.iter().zip(curve).for_each(|(&gene, log)| expected[gene] = libm::pow(10.0, log));
        let scores = vec![f64::NAN; means.len()];
        Ok(StandardizedVariance { means, variances, expected, scores })
    }

    /// The value c that counts of each gene are clipped at; infinite where it has none.
    fn limits(&self, cells: usize) -> Vec<f64> {
        let limit = |(mean, expected): (&f64, &f64)| match expected.is_nan() {
            true => f64::INFINITY,
            false => mean + (expected * cells as f64).sqrt(),
        };
        self.means.iter().zip(&self.expected).map(limit).collect()
    }

    /// Finds the scores of genes, given their values above the limits.
    fn score(&mut self, above: &[Above], cells: usize) {
        let n = cells as f64;
        for (gene, above) in above.iter().enumerate() {
            let (mean, expected) = (self.means[gene], self.expected[gene]);
            self.scores[gene] = if !expected.is_nan() {
                // Σ (x − μ)² of all counts, less those above c, of which each is c instead: (c − μ)² = n·σ̂².
                let cut = above.sum_sq - 2.0 * mean * above.sum + above.count * mean * mean;
                let squares = self.variances[gene] * (n - 1.0) - cut + above.count * n * expected;
                squares / ((n - 1.0) * expected)
            } else if mean > 0.0 {
                0.0
            } else {
                f64::NAN
            };
        }
    }
}

/// σ² of a gene's counts over n `cells`.
fn variance(of: &GeneMoments, cells: usize) -> f64 {
    let n = cells as i128;
    let squares = n * of.sum_sq as i128 - (of.sum as i128) * (of.sum as i128);
    squares.max(0) as f64 / (cells as f64 * (cells as f64 - 1.0))
}

/// The standardized variance of the genes of `data`, which are counts, and how many reads of all of X it took: none or
/// one. All processes of the engine call it.
///
/// # Errors
///
/// As a pass of a fit, and [`HvgError`] as [`DriverError::Hvg`].
pub(super) fn standardized_variance(
    data: &dyn FitData,
    among: Option<&FixedBitSet>,
    engine: &Engine<'_>,
    threads: usize,
) -> Result<(StandardizedVariance, usize), DriverError> {
    let (blocks, moments) = (data.blocks(), data.gene_moments());
    let (cells, _) = blocks.kept();
    let mut found = StandardizedVariance::expected(data, among)?;
    let limits = found.limits(cells);
    if moments.iter().zip(&limits).all(|(of, limit)| f64::from(of.max) <= *limit) {
        found.score(&vec![Above::default(); moments.len()], cells);
        return Ok((found, 0));
    }
    let fold = Clipped::new(data, &limits);
    let threads = threads.min(blocks.blocks()).max(1);
    let mut workers: Vec<_> = (0..threads).map(|_| Worker::new(Local::default())).collect();
    engine.announce("genes", blocks);
    engine.pass(blocks, &fold, &mut workers, Direction::Forward)?;
    engine.monitor().finish();
    found.score(&fold.found(), cells);
    Ok((found, 1))
}
