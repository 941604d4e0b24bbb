//! Scaling of genes: X̂ = X·D with D diagonal, folded into H and WᵀX, never into X.

use partwise_storage::store::GeneMoments;

use crate::blocks::Blocks;
use crate::config::ScaleSpec;

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

/// 1/σ with the population's σ (as numpy's `std`); 1 where a gene is constant, as scanpy does.
fn inverse_std(gene: &GeneMoments, cells: f64) -> f32 {
    let mean = gene.sum / cells;
    let variance = gene.sum_sq / cells - mean * mean;
    // Below this the difference of the two terms is rounding: the gene is constant.
    if variance > 1e-10 * mean * mean && variance > 0.0 { (1.0 / variance.sqrt()) as f32 } else { 1.0 }
}
