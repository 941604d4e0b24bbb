//! Scaling of genes: X̂ = X·D with D diagonal, folded into H and WᵀX, never into X. A gene with the
//! factor zero is left out.

use fixedbitset::FixedBitSet;
use partwise_storage::store::GeneMoments;

use crate::blocks::Blocks;
use crate::config::ScaleSpec;

/// A gene whose standard deviation is smaller counts as constant: 1/σ, or products of 1/σ with factors,
/// would leave the range of 32-bit floats.
const LEAST_STD: f64 = 1e-30;

/// The diagonal of D; `None` in place of all ones.
#[derive(Debug, Clone)]
pub(crate) struct GeneScale {
    factors: Option<Vec<f32>>,
}

impl GeneScale {
    /// Factors for `cells` rows with these moments of their columns.
    pub(crate) fn new(spec: ScaleSpec, moments: &[GeneMoments], cells: usize) -> Self {
        let factors = match spec {
            ScaleSpec::None => None,
            ScaleSpec::Std => Some(moments.iter().map(|gene| inverse_std(gene, cells as f64)).collect()),
        };
        GeneScale { factors }
    }

    /// The same with the factor zero for all genes but those `kept`; `None`: all are.
    pub(crate) fn keeping(mut self, kept: Option<&FixedBitSet>) -> Self {
        if let Some(kept) = kept {
            let factors = self.factors.get_or_insert_with(|| vec![1.0; kept.len()]);
            kept.zeroes().for_each(|gene| factors[gene] = 0.0);
        }
        self
    }

    /// d_j for every gene, or `None` where all are one.
    pub(crate) fn factors(&self) -> Option<&[f32]> {
        self.factors.as_deref()
    }

    /// d_j.
    pub(crate) fn factor(&self, gene: usize) -> f32 {
        self.factors.as_ref().map_or(1.0, |factors| factors[gene])
    }
}

/// ‖X̂‖² of a matrix with its genes scaled.
pub(crate) fn scaled_sq_norm(data: &dyn Blocks, scale: &GeneScale) -> f64 {
    data.gene_sq_norms().iter().enumerate().map(|(j, x)| x * f64::from(scale.factor(j)).powi(2)).sum()
}

/// 1/σ with the population's σ (as numpy's `std`); 1 where a gene is constant, as scanpy does, or nearly
/// so.
fn inverse_std(gene: &GeneMoments, cells: f64) -> f32 {
    let mean = gene.sum / cells;
    let variance = gene.sum_sq / cells - mean * mean;
    // Below this the difference of the two terms is rounding: the gene is constant.
    let varies = variance > 1e-10 * mean * mean && variance > LEAST_STD * LEAST_STD;
    if varies { (1.0 / variance.sqrt()) as f32 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_and_their_inverses_are_normal_numbers() {
        // Half of the cells have the value.
        let of = |value: f64| {
            inverse_std(
                &GeneMoments { nonzeros: 50, sum: 50.0 * value, sum_sq: 50.0 * value * value, max: value as f32 },
                100.0,
            )
        };
        assert_eq!(of(0.0), 1.0);
        for value in [1e-45, 1e-39, 1e-31] {
            assert_eq!(of(value), 1.0, "{value}");
        }
        for value in [1e-29, 1e-20, 1.0, 1e20, 1e30] {
            let factor = of(value);
            assert!(factor.is_normal() && (1.0 / factor).is_normal(), "{value}: {factor}");
            assert!((f64::from(factor) * value / 2.0 - 1.0).abs() < 1e-6, "{value}: {factor}");
        }
    }
}
