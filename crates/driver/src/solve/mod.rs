//! A factorization under way: one pass after another until it is good enough.
//!
//! A pass fixes H, folds `Factorize` over all row blocks, and updates H from what the pass leaves behind:
//!
//! ```text
//! Ĥ   ← max(0, H + β (H − H₋))        extrapolated point (β = 0: H itself)
//! W₊  ← update(W; X·Ĥᵀ, Ĥ·Ĥᵀ)         in the pass, block by block
//! H₊  ← update(Ĥ; W₊ᵀX, W₊ᵀW₊)        after it, inner sweeps without reading anything
//! L₊  = ½(‖X‖² − 2⟨W₊ᵀX, H₊⟩ + ⟨W₊ᵀW₊, H₊·H₊ᵀ⟩)
//! ```
//!
//! Where L₊ rises above the loss of the last accepted pass, (W₊, H₊) is dropped and the next pass starts from (W, H)
//! without extrapolation; from there every rule is known not to raise the loss. That is why W has two generations.

mod momentum;
mod spectra_step;

use std::time::Instant;

use partwise_kernels::loss::LossTerms;
use partwise_kernels::{FactorBuf, UpdateRule};

use crate::compute::factorize::{Factorize, Local, PassSums};
use crate::data::Blocks;
use crate::engine::{Direction, Engine};
use crate::error::DriverError;
use crate::scale::{GeneScale, scaled_sq_norm};
use crate::spectra::{Spectra, unit_norm_powers};
use crate::trace::{StopReason, TraceRow};
use crate::usages::Usages;
use momentum::Momentum;

/// Differences of the loss below this fraction of ‖X‖² are rounding of the 32-bit products (`docs/numerics.md`).
const LOSS_PRECISION: f64 = 1e-6;
/// KKT residual at which H is stationary to the precision of its 32-bit update.
const STATIONARY: f64 = 1e-7;

/// The rules of a fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Update of W's rows in the pass.
    pub usages: UpdateRule,
    /// Update of H after the pass.
    pub spectra: UpdateRule,
    /// Whether H is extrapolated between passes.
    pub extrapolate: bool,
}

impl Rules {
    /// HALS with inner sweeps, extrapolated: ten sweeps over W and twenty over H cost a tenth of the products of a pass
    /// and save half of the passes. With five over H, 150,000 × 20,000 counts of 20 programs take one pass more at k = 30.
    pub const EXTRAPOLATED: Rules =
        Rules { usages: UpdateRule::Hals { sweeps: 10 }, spectra: UpdateRule::Hals { sweeps: 20 }, extrapolate: true };
    /// The same for a sample, where the sweeps over H are most of the work.
    pub(crate) const SAMPLED: Rules =
        Rules { usages: UpdateRule::Hals { sweeps: 10 }, spectra: UpdateRule::Hals { sweeps: 5 }, extrapolate: true };
    /// One sweep over W and one over H a pass.
    pub const PLAIN: Rules =
        Rules { usages: UpdateRule::Hals { sweeps: 1 }, spectra: UpdateRule::Hals { sweeps: 1 }, extrapolate: false };
    /// W the best for H, then H the best for W.
    pub const EXACT: Rules = Rules { usages: UpdateRule::Bpp, spectra: UpdateRule::Bpp, extrapolate: false };
    /// Lee and Seung's.
    pub const MULTIPLICATIVE: Rules = Rules { usages: UpdateRule::Mu, spectra: UpdateRule::Mu, extrapolate: false };
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Passes at most.
    pub(crate) passes: usize,
    /// Relative decrease that counts as none; 0: go on.
    pub(crate) tol: f64,
    /// Whether to compute the KKT residual, and to stop where there is none.
    pub(crate) residual: bool,
}

/// W and H of one matrix, improved pass by pass.
pub(crate) struct Factorization<'d> {
    data: &'d dyn Blocks,
    scale: &'d GeneScale,
    rules: Rules,
    /// ‖X̂‖² after scaling and weighting.
    sq_norm: f64,
    /// H of the last accepted pass, of the one before, and of the pass under way.
    spectra: Spectra,
    previous: Spectra,
    trial: Spectra,
    /// D·Hᵀ where genes are scaled.
    scaled_ht: Option<FactorBuf>,
    usages: Usages,
    sums: PassSums,
    locals: Vec<Local>,
    momentum: Momentum,
    /// WᵀW of the last accepted pass, in the scale of `spectra`.
    wtw: Vec<f64>,
    loss: Option<f64>,
    direction: Direction,
}

impl<'d> Factorization<'d> {
    /// Starts from `spectra` and `usages`, to be computed on `threads` lanes.
    pub(crate) fn new(
        data: &'d dyn Blocks,
        scale: &'d GeneScale,
        rules: Rules,
        spectra: Spectra,
        usages: Usages,
        threads: usize,
    ) -> Self {
        let (genes, k, ks) = (spectra.genes(), spectra.k(), spectra.ks());
        let sq_norm = scaled_sq_norm(data, scale);
        Factorization {
            data,
            scale,
            rules,
            sq_norm,
            previous: spectra.clone(),
            trial: spectra.clone(),
            scaled_ht: scale.factors().map(|_| FactorBuf::zeros(genes, k)),
            spectra,
            usages,
            sums: PassSums::new(genes, k, ks),
            locals: (0..threads.min(data.blocks()).max(1)).map(|_| Local::new(data, k)).collect(),
            momentum: Momentum::new(rules.extrapolate),
            wtw: vec![0.0; k * k],
            loss: None,
            direction: Direction::Forward,
        }
    }

    /// W and H of the last accepted pass.
    pub(crate) fn into_factors(self) -> (Usages, Spectra) {
        (self.usages, self.spectra)
    }

    /// H of the last accepted pass, WᵀW (k × k) of the W that it was made with, and their loss (infinite before the first
    /// pass).
    pub(crate) fn into_spectra(self) -> (Spectra, Vec<f64>, f64) {
        (self.spectra, self.wtw, self.loss.unwrap_or(f64::INFINITY))
    }

    /// Passes until `limits` say stop; `first` is the number of the first one, `seen` is shown each.
    pub(crate) fn run(
        &mut self,
        engine: &Engine<'_>,
        limits: Limits,
        first: usize,
        seen: &mut dyn FnMut(&TraceRow),
    ) -> Result<StopReason, DriverError> {
        let mut still = 0;
        for pass in (first..).take(limits.passes) {
            let row = self.pass(engine, pass, limits.residual)?;
            seen(&row);
            if limits.tol > 0.0 && row.accepted {
                still = if row.relative_decrease < limits.tol { still + 1 } else { 0 };
                if still == 2 {
                    return Ok(StopReason::Converged);
                }
                if row.kkt_residual < STATIONARY && row.relative_decrease.is_finite() {
                    return Ok(StopReason::Stationary);
                }
            }
        }
        Ok(StopReason::MaxPasses)
    }

    /// One pass over the data; the state is that of the last accepted pass, whatever this one brings.
    fn pass(&mut self, engine: &Engine<'_>, number: usize, residual: bool) -> Result<TraceRow, DriverError> {
        let start = Instant::now();
        let (k, ks) = (self.spectra.k(), self.spectra.ks());
        let extrapolation = self.momentum.weight();
        spectra_step::extrapolate(&mut self.trial, &self.spectra, &self.previous, extrapolation as f32);
        let hht = self.bring_to_unit_norm();
        if let (Some(scaled), Some(factors)) = (&mut self.scaled_ht, self.scale.factors()) {
            spectra_step::scale_genes(scaled, self.trial.ht(), factors, ks);
        }

        self.sums.reset(self.data.gene_sq_norms(), self.sq_norm);
        let fold = Factorize {
            data: self.data,
            usages: &self.usages,
            sums: &self.sums,
            rule: self.rules.usages,
            ht: self.scaled_ht.as_deref().unwrap_or(self.trial.ht()),
            hht: &hht,
            k,
            ks,
        };
        engine.announce(&format!("pass {number}"), self.data);
        let spent = engine.pass(self.data, &fold, &mut self.locals, self.direction)?;
        engine.monitor().finish();
        self.direction = self.direction.reversed();

        let rule = self.rules.spectra;
        let step = spectra_step::update(&mut self.trial, &self.spectra, &self.sums, self.scale, rule, residual);
        let terms = LossTerms { x_sq_norm: self.sq_norm, cross: step.cross, model: step.model };
        let loss = terms.loss();
        if !loss.is_finite() {
            return Err(DriverError::Range { first_row: 0, last_row: self.data.cells() - 1 });
        }
        let accepted = self.judge(loss, extrapolation);
        let relative_decrease = self.loss.map_or(f64::NAN, |old| (old - loss) / old.max(LOSS_PRECISION * self.sq_norm));
        let row = TraceRow {
            pass: number,
            loss,
            relative_error: terms.relative_error(),
            relative_decrease,
            kkt_residual: step.kkt_residual,
            accepted,
            extrapolation,
            usages_change: f64::from(self.sums.usages_change()),
            spectra_change: step.change,
            usages_nonzero: self.sums.usages_nonzeros() as f64 / (self.data.cells() * k) as f64,
            spectra_nonzero: step.nonzeros as f64 / (self.data.genes() * k) as f64,
            bytes: (0..self.data.blocks()).map(|block| self.data.block(block).bytes as u64).sum(),
            seconds: start.elapsed().as_secs_f64(),
            waiting_seconds: spent.waiting.as_secs_f64(),
            joining_seconds: spent.joining.as_secs_f64(),
            summing_seconds: spent.summing.as_secs_f64(),
        };
        if accepted {
            std::mem::swap(&mut self.previous, &mut self.spectra);
            std::mem::swap(&mut self.spectra, &mut self.trial);
            self.usages.accept();
            self.sums.wtw.read(0..k, &mut self.wtw);
            self.loss = Some(loss);
        }
        self.momentum.after(accepted);
        Ok(row)
    }

    /// Without extrapolation a rise is rounding, and kept, so that the same pass is not repeated for ever.
    fn judge(&self, loss: f64, extrapolation: f64) -> bool {
        match self.loss {
            None => true,
            Some(old) => loss <= old || extrapolation == 0.0,
        }
    }

    /// Scales the components so that ‖h_c‖ of the trial is in [1, 2), by powers of two, everywhere; returns H·Hᵀ.
    fn bring_to_unit_norm(&mut self) -> Vec<f32> {
        let mut hht = self.trial.gram();
        // A component that extrapolation has driven to zero would stay there, and its usages with it.
        let lost: Vec<usize> = (0..self.trial.k()).filter(|&c| hht[c * self.trial.k() + c] == 0.0).collect();
        if !lost.is_empty() {
            lost.into_iter().for_each(|c| self.trial.copy_component(&self.spectra, c));
            hht = self.trial.gram();
        }
        let powers = unit_norm_powers(&mut hht, self.trial.k());
        if powers.iter().any(|&power| power != 1.0) {
            for spectra in [&mut self.trial, &mut self.spectra, &mut self.previous] {
                spectra.scale_components(&powers);
            }
            self.usages.rescale(&powers.iter().map(|power| power.recip()).collect::<Vec<_>>());
            for (row, p) in self.wtw.chunks_exact_mut(powers.len()).zip(&powers) {
                row.iter_mut().zip(&powers).for_each(|(value, q)| *value /= f64::from(*p) * f64::from(*q));
            }
        }
        hht.into_iter().map(|value| value as f32).collect()
    }
}
