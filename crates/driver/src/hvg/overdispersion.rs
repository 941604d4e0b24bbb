//! Overdispersion of genes: how much more a gene varies between cells than others of its level, as cNMF
//! scores it (Kotliar et al., *eLife* 8, 2019) to select the genes that tell cells apart.
//!
//! With mean μ and variance σ² (the population's) of a gene's values per million, and its Fano factor
//! F = σ²/μ:
//!
//! ```text
//! score = F / (A²μ + B²)
//! ```
//!
//! A² μ is what a gene gets that only varies with the cell: A is the least σ/μ of the twenty genes of highest
//! mean. B² is what counting alone gives: the median F of the box, the genes whose mean and F both lie between
//! the first and the last tenth. Quantiles are linear between neighbours, and the box has neither of its ends.
//! All of it follows from two sums of each gene, which a store keeps.

use fixedbitset::FixedBitSet;
use partwise_storage::store::PerMillion;

use crate::blocks::FitData;
use crate::compute::gene_scores::{GeneScores, Local};
use crate::engine::{Direction, Engine, Worker};
use crate::error::DriverError;
use crate::hvg::highest;

/// Genes of highest mean among which A is found.
const HIGHEST: usize = 20;
/// The quantiles between which the box lies.
const BOX: [f64; 2] = [0.1, 0.9];

/// The overdispersion of every gene of a matrix. All numbers of a gene that was left out are NaN, and the
/// score of a gene that is zero everywhere.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Overdispersion {
    /// Mean μ of each gene.
    pub means: Vec<f64>,
    /// Fano factor F = σ²/μ.
    pub fanos: Vec<f64>,
    /// The F that is expected at this mean.
    pub expected: Vec<f64>,
    /// F over what is expected.
    pub scores: Vec<f64>,
    /// Whether values were scaled to values per million: they are if they are counts.
    pub per_million: bool,
}

impl Overdispersion {
    /// The overdispersion of genes whose `sums` are taken over n `cells`. Genes that are not `among` those to
    /// choose from count nowhere. `O(m log m)`.
    pub fn of(sums: &[PerMillion], cells: usize, among: Option<&FixedBitSet>, per_million: bool) -> Self {
        let n = cells as f64;
        let known = |(gene, sums): (usize, &PerMillion)| {
            let is_among = among.is_none_or(|among| among.contains(gene));
            let mean = if is_among { sums.sum / n } else { f64::NAN };
            (mean, sums.sum_sq / n - mean * mean)
        };
        let (means, variances): (Vec<f64>, Vec<f64>) = sums.iter().enumerate().map(known).unzip();
        let fanos: Vec<f64> = means.iter().zip(&variances).map(|(mean, variance)| variance / mean).collect();

        let variations = highest(&means, HIGHEST).into_iter().map(|gene| variances[gene].max(0.0).sqrt() / means[gene]);
        let a = variations.fold(f64::INFINITY, f64::min);
        let (mut by_mean, mut by_fano) = (sorted(means.iter()), sorted(fanos.iter()));
        let [low, high] = BOX.map(|at| (quantile(&by_mean, at), quantile(&by_fano, at)));
        let mut in_box = sorted(means.iter().zip(&fanos).filter_map(|(mean, fano)| {
            (low.0 < *mean && *mean < high.0 && low.1 < *fano && *fano < high.1).then_some(fano)
        }));
        if in_box.is_empty() {
            // So few genes have no box: all of them are in it.
            std::mem::swap(&mut in_box, &mut by_fano);
        }
        by_mean.clear();
        let b_sq = quantile(&in_box, 0.5);

        let expected: Vec<f64> = means.iter().map(|mean| a * a * mean + b_sq).collect();
        let scores = fanos.iter().zip(&expected).map(|(fano, expected)| fano / expected).collect();
        Overdispersion { means, fanos, expected, scores, per_million }
    }
}

/// The sums per million of all genes of `data` (the sums of the values if they are no counts), and how many
/// reads of all of X they took: one where the store does not keep them. All processes of the engine call it.
///
/// # Errors
///
/// As a pass of a fit.
pub fn sums_per_million(
    data: &dyn FitData,
    engine: &Engine<'_>,
    threads: usize,
) -> Result<(Vec<PerMillion>, usize), DriverError> {
    if !data.holds_counts() {
        let sums = data.gene_moments().iter().map(|gene| PerMillion { sum: gene.sum, sum_sq: gene.sum_sq });
        return Ok((sums.collect(), 0));
    }
    if let Some(known) = data.per_million()? {
        return Ok((known, 0));
    }
    let blocks = data.blocks();
    let nonzeros: Vec<u64> = data.gene_moments().iter().map(|gene| gene.nonzeros).collect();
    let moments = Some(GeneScores::moments(&nonzeros));
    let fold = GeneScores { data, fits: Vec::new(), per_million: true, moments };
    let threads = threads.min(blocks.blocks()).max(1);
    let mut workers: Vec<_> = (0..threads).map(|_| Worker::new(Local::new(&fold))).collect();
    engine.announce("genes", blocks);
    engine.pass(blocks, &fold, &mut workers, Direction::Forward)?;
    engine.monitor().finish();
    Ok((fold.taken().unwrap_or_default(), 1))
}

/// The values that are no NaN, in order.
fn sorted<'v>(values: impl Iterator<Item = &'v f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.copied().filter(|value| !value.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The quantile of sorted values, linear between neighbours, with the roundings of numpy; NaN of none.
fn quantile(sorted: &[f64], at: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = last as f64 * at;
    let below = place.floor() as usize;
    let (part, low, high) = (place - place.floor(), sorted[below], sorted[(below + 1).min(last)]);
    if part < 0.5 { low + (high - low) * part } else { high - (high - low) * (1.0 - part) }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use partwise_storage::store::GeneMoments;
    use partwise_storage::tile::CellMoments;
    use partwise_storage::{Quiet, StorageError};

    use super::*;
    use crate::Matrix;
    use crate::blocks::Blocks;

    fn sums(of: &[(f64, f64)], cells: usize) -> Vec<PerMillion> {
        let n = cells as f64;
        let sums = of.iter().map(|(mean, variance)| PerMillion { sum: mean * n, sum_sq: (variance + mean * mean) * n });
        sums.collect()
    }

    #[test]
    fn a_gene_that_varies_more_than_others_of_its_level_has_the_highest_score() {
        // F = 2 + 0.01 μ, and one gene with four times that.
        let genes: Vec<(f64, f64)> = (1..=100)
            .map(|gene| {
                let mean = f64::from(gene * gene);
                (mean, mean * (2.0 + 0.01 * mean) * if gene == 40 { 4.0 } else { 1.0 })
            })
            .collect();
        let found = Overdispersion::of(&sums(&genes, 1000), 1000, None, true);
        assert_eq!(highest(&found.scores, 1), [39]);
        assert!(found.scores[39] > 3.0 * found.scores[38] && found.scores[39] > 3.0 * found.scores[40]);
        // A² is that of the highest mean, where σ²/μ² = 2/μ + 0.01 is least.
        let a_sq = 2.0 / 1e4 + 0.01;
        let b_sq = found.expected[0] - a_sq;
        assert!((found.expected[99] - (a_sq * 1e4 + b_sq)).abs() < 1e-9, "{:?}", found.expected);
        assert_eq!(highest(&found.scores, 200).len(), 100);
    }

    #[test]
    fn genes_that_are_not_to_choose_from_count_nowhere() {
        let mut genes: Vec<(f64, f64)> =
            (1..=60).map(|gene| (f64::from(gene), f64::from(gene * gene % 17 + 1))).collect();
        let want = Overdispersion::of(&sums(&genes, 50), 50, None, true);
        genes.splice(7..7, [(1e9, 1.0), (1e-9, 1.0)]);
        let mut among = FixedBitSet::with_capacity(genes.len());
        (0..genes.len()).filter(|&gene| gene != 7 && gene != 8).for_each(|gene| among.insert(gene));
        let found = Overdispersion::of(&sums(&genes, 50), 50, Some(&among), true);
        assert!(found.scores[7].is_nan() && found.scores[8].is_nan());
        let rest: Vec<f64> = found.scores[..7].iter().chain(&found.scores[9..]).copied().collect();
        assert_eq!(rest, want.scores);
    }

    #[test]
    fn a_gene_that_is_zero_everywhere_has_no_score_and_a_mean_that_counts() {
        let mut genes: Vec<(f64, f64)> =
            (1..=40).map(|gene| (f64::from(gene), f64::from(gene * gene % 13 + 1))).collect();
        let without = Overdispersion::of(&sums(&genes, 50), 50, None, true);
        genes.extend([(0.0, 0.0); 30]);
        let found = Overdispersion::of(&sums(&genes, 50), 50, None, true);
        assert!(found.scores[40..].iter().all(|score| score.is_nan()) && found.means[40] == 0.0);
        assert_eq!(highest(&found.scores, 70).len(), 40);
        // The lowest means are in the box now.
        assert_ne!(found.scores[..40], without.scores);
    }

    #[test]
    fn few_genes_have_scores_too_and_ties_keep_the_order() {
        let found = Overdispersion::of(&sums(&[(2.0, 3.0); 4], 8), 8, None, true);
        assert!(found.scores.iter().all(|score| score.is_finite()), "{:?}", found.scores);
        assert_eq!(highest(&found.scores, 2), [0, 1]);
        assert!(Overdispersion::of(&[], 8, None, true).scores.is_empty());
    }

    /// Data that do not keep the sums.
    struct Forgetful(Matrix);

    impl FitData for Forgetful {
        fn blocks(&self) -> &dyn Blocks {
            self.0.blocks()
        }
        fn nonzeros(&self) -> u64 {
            self.0.nonzeros()
        }
        fn sq_norm(&self) -> f64 {
            self.0.sq_norm()
        }
        fn gene_moments(&self) -> &[GeneMoments] {
            self.0.gene_moments()
        }
        fn holds_counts(&self) -> bool {
            self.0.holds_counts()
        }
        fn per_million(&self) -> Result<Option<Vec<PerMillion>>, StorageError> {
            Ok(None)
        }
        fn cell_moments(&self, cells: Range<usize>) -> Result<Vec<CellMoments>, StorageError> {
            self.0.cell_moments(cells)
        }
        fn fingerprint(&self) -> String {
            self.0.fingerprint()
        }
    }

    #[test]
    fn sums_that_are_not_kept_take_one_read() {
        let values: Vec<f32> = (0..700 * 30_u32).map(|at| ((at * at + 3 * at) % 11).saturating_sub(6) as f32).collect();
        let data = Matrix::from_dense(30, &values).unwrap();
        let engine = Engine::new(1 << 20, &Quiet);
        let (kept, none) = sums_per_million(&data, &engine, 2).unwrap();
        let (taken, one) = sums_per_million(&Forgetful(data), &engine, 2).unwrap();
        assert_eq!((none, one), (0, 1));
        for (taken, kept) in taken.iter().zip(&kept) {
            // Factors of cells have 32 bits in the pass.
            assert!((taken.sum / kept.sum - 1.0).abs() < 1e-6 && (taken.sum_sq / kept.sum_sq - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn quantiles_are_linear_between_neighbours() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.5), 2.0);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[5.0], 0.9), 5.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
