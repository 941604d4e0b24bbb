//! The update of H between passes. Genes are independent of one another: chunks of genes in
//! parallel, sums over genes merged in chunk order.

use partwise_kernels::kkt::{Kkt, kkt};
use partwise_kernels::{Dead, FactorMut, FactorRef, RuleScratch, UpdateRule, loss};
use rayon::prelude::*;
use tracing::info_span;

use crate::exact::{ExactSum, exponent, power_of_two};
use crate::scale::GeneScale;
use crate::spectra::{GENE_CHUNK, Spectra};

/// The results of the update of H besides H.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// ⟨WᵀX, H⟩.
    pub(super) cross: f64,
    /// ⟨WᵀW, H·Hᵀ⟩.
    pub(super) model: f64,
    /// max |min(H, ∂H)| / max |WᵀX| for the H that the pass started from and the W that it made.
    pub(super) kkt_residual: f64,
    /// Largest |change| of an entry of H.
    pub(super) change: f64,
    /// Entries of H that are not zero.
    pub(super) nonzeros: u64,
}

/// trial ← max(0, H + β (H − previous)).
pub(crate) fn extrapolate(trial: &mut Spectra, spectra: &Spectra, previous: &Spectra, beta: f32) {
    if beta == 0.0 {
        trial.ht_mut().copy_from_slice(spectra.ht());
        return;
    }
    let _span = info_span!("extrapolation", tasks = trial.genes()).entered();
    trial.ht_mut().par_iter_mut().zip(spectra.ht()).zip(previous.ht()).for_each(|((trial, h), before)| {
        // Not fused: without the instructions for it, a fused step is a call of a function.
        *trial = (h + beta * (h - before)).max(0.0);
    });
}

/// The sums of a pass that one solver needs.
pub(super) struct Sums<'s> {
    /// (WᵀX)ᵀ of the solver's panel.
    pub(super) wtx: &'s ExactSum,
    /// The solver's first column in it.
    pub(super) first: usize,
    /// WᵀW, k × k.
    pub(super) wtw: &'s ExactSum,
}

/// Updates `trial` from the sums of a pass; `spectra` is H of the last accepted pass. The KKT
/// residual, NaN unless `residual` asks for it, costs as much as an inner sweep in f64.
pub(super) fn update(
    trial: &mut Spectra,
    spectra: &Spectra,
    sums: &Sums<'_>,
    scale: &GeneScale,
    rule: UpdateRule,
    residual: bool,
) -> Step {
    let (k, ks) = (trial.k(), trial.ks());
    let mut wtw = vec![0.0; k * k];
    sums.wtw.read(0..k, 0..k, &mut wtw);
    // No rule sees a factor common to both of its inputs. This one keeps WᵀW inside the range of
    // f32.
    let largest = (0..k).map(|c| wtw[c * k + c]).fold(0.0, f64::max);
    let factor = if largest > 0.0 { power_of_two(-exponent(largest)) } else { 1.0 };
    let wtw_f32: Vec<f32> = wtw.iter().map(|&value| (value * factor) as f32).collect();

    let rule = rule.prepare(&wtw_f32, k, Dead::Keep);

    let span = info_span!("update of H", tasks = trial.genes().div_ceil(GENE_CHUNK)).entered();
    let chunks: Vec<ChunkStep> = trial
        .ht_mut()
        .par_chunks_mut(GENE_CHUNK * ks)
        .zip(spectra.ht().par_chunks(GENE_CHUNK * ks))
        .enumerate()
        .map_init(RuleScratch::new, |scratch, (chunk, (ht, old))| {
            let genes = chunk * GENE_CHUNK..chunk * GENE_CHUNK + ht.len() / ks;
            let mut cross = vec![0.0; ht.len()];
            sums.wtx.read(genes.clone(), sums.first..sums.first + ks, &mut cross);
            if let Some(factors) = scale.factors() {
                for (row, &factor) in cross.chunks_exact_mut(ks).zip(&factors[genes]) {
                    row.iter_mut().for_each(|value| *value *= f64::from(factor));
                }
            }
            let cross_f32: Vec<f32> = cross.iter().map(|&value| (value * factor) as f32).collect();
            // Before the update, when W is as good as it gets for this H. Afterwards H would be,
            // and its residual would tell nothing.
            let kkt = residual.then(|| kkt(ht, &cross, &wtw, k, ks));
            let rows = ht.len() / ks;
            rule.apply(FactorMut::new(ht, rows, k, ks), FactorRef::new(&cross_f32, rows, k, ks), scratch);
            ChunkStep::of(ht, old, &cross, kkt)
        })
        .collect();
    drop(span);

    let mut step = Step::default();
    let mut maxima = Kkt::default();
    for chunk in chunks {
        step.cross += chunk.cross;
        step.change = step.change.max(chunk.change);
        step.nonzeros += chunk.nonzeros;
        maxima = maxima.merge(chunk.kkt.unwrap_or_default());
    }
    step.model = loss::model_term(&wtw, &trial.gram());
    step.kkt_residual = if residual { maxima.residual() } else { f64::NAN };
    step
}

/// The share of one chunk of genes.
struct ChunkStep {
    cross: f64,
    kkt: Option<Kkt>,
    change: f64,
    nonzeros: u64,
}

impl ChunkStep {
    fn of(ht: &[f32], old: &[f32], cross: &[f64], kkt: Option<Kkt>) -> Self {
        ChunkStep {
            cross: loss::cross_term(cross, ht),
            kkt,
            change: ht.iter().zip(old).map(|(h, old)| f64::from((h - old).abs())).fold(0.0, f64::max),
            nonzeros: ht.iter().filter(|&&h| h != 0.0).count() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trial_lies_beyond_h_as_seen_from_h_before_it() {
        let of = |row: [f32; 4]| {
            let mut spectra = Spectra::zeros(1, 4);
            spectra.ht_mut().copy_from_slice(&row);
            spectra
        };
        let (spectra, previous) = (of([4.0, 1.0, 0.5, 0.0]), of([2.0, 2.0, 8.0, 0.0]));
        let mut trial = of([9.0; 4]);
        extrapolate(&mut trial, &spectra, &previous, 0.5);
        assert_eq!(trial.ht(), [5.0, 0.5, 0.0, 0.0]);
        extrapolate(&mut trial, &spectra, &previous, 0.0);
        assert_eq!(trial.ht(), spectra.ht());
    }
}
