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
//!
//! What a pass starts from follows from where the factorization [stands](Standing) and from W alone, and neither changes
//! before all blocks have gone through: a pass that is dropped half-way leaves no trace.

mod momentum;
mod spectra_step;
mod standing;

use std::time::Instant;

use partwise_kernels::loss::LossTerms;
use partwise_kernels::{FactorBuf, UpdateRule};

use crate::compute::factorize::{Factorize, Local, PassSums};
use crate::data::Blocks;
use crate::engine::Engine;
use crate::error::DriverError;
use crate::scale::{GeneScale, scaled_sq_norm};
use crate::spectra::{Spectra, unit_norm_powers};
use crate::trace::{StopReason, TraceRow};
use crate::usages::Usages;
pub(crate) use momentum::Momentum;
pub(crate) use standing::Standing;

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
    /// Passes at most, those seen before included.
    pub(crate) passes: usize,
    /// Relative decrease that counts as none; 0: go on.
    pub(crate) tol: f64,
    /// Whether to compute the KKT residual, and to stop where there is none.
    pub(crate) residual: bool,
}

impl Limits {
    /// Why to stop after these passes, if there is a reason. A pass that was not accepted counts for nothing.
    fn reached(&self, trace: &[TraceRow]) -> Option<StopReason> {
        let mut accepted = trace.iter().rev().filter(|row| row.accepted);
        if self.tol > 0.0 && trace.last().is_some_and(|row| row.accepted) {
            let still = accepted.clone().take(2).filter(|row| row.relative_decrease < self.tol).count();
            if still == 2 {
                return Some(StopReason::Converged);
            }
            if accepted.next().is_some_and(|row| row.kkt_residual < STATIONARY && row.relative_decrease.is_finite()) {
                return Some(StopReason::Stationary);
            }
        }
        (trace.len() >= self.passes).then_some(StopReason::MaxPasses)
    }
}

/// Who is shown where a factorization stands after each pass, and all passes so far.
pub(crate) type Ended<'a> = dyn FnMut(&Factorization<'_>, &[TraceRow]) -> Result<(), DriverError> + 'a;

/// W and H of one matrix, improved pass by pass.
pub(crate) struct Factorization<'d> {
    data: &'d dyn Blocks,
    scale: &'d GeneScale,
    rules: Rules,
    /// ‖X̂‖² after scaling and weighting.
    sq_norm: f64,
    standing: Standing,
    /// H of the pass under way.
    trial: Spectra,
    /// D·Hᵀ where genes are scaled.
    scaled_ht: Option<FactorBuf>,
    usages: Usages,
    sums: PassSums,
    locals: Vec<Local>,
}

/// What a pass starts from besides W and its trial H.
struct Start {
    /// Weight of the extrapolation.
    extrapolation: f64,
    /// Powers of two that bring H of the last accepted pass to the scale of the trial.
    powers: Vec<f32>,
    /// H·Hᵀ of the trial.
    hht: Vec<f32>,
}

impl<'d> Factorization<'d> {
    /// Goes on from `standing` and `usages`, to be computed on `threads` lanes.
    pub(crate) fn new(
        data: &'d dyn Blocks,
        scale: &'d GeneScale,
        rules: Rules,
        standing: Standing,
        usages: Usages,
        threads: usize,
    ) -> Self {
        let spectra = &standing.spectra;
        let (genes, k, ks) = (spectra.genes(), spectra.k(), spectra.ks());
        let sq_norm = scaled_sq_norm(data, scale);
        Factorization {
            data,
            scale,
            rules,
            sq_norm,
            trial: spectra.clone(),
            scaled_ht: scale.factors().map(|_| FactorBuf::zeros(genes, k)),
            standing,
            usages,
            sums: PassSums::new(genes, k, ks),
            locals: (0..threads.min(data.blocks()).max(1)).map(|_| Local::new(data, k)).collect(),
        }
    }

    /// Where the factorization stands, between passes.
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// W of the last accepted pass.
    pub(crate) fn usages(&self) -> &Usages {
        &self.usages
    }

    /// W and H of the last accepted pass.
    pub(crate) fn into_factors(self) -> (Usages, Spectra) {
        (self.usages, self.standing.spectra)
    }

    /// H of the last accepted pass, WᵀW (k × k) of the W that it was made with, and their loss (infinite before the first
    /// pass).
    pub(crate) fn into_spectra(self) -> (Spectra, Vec<f64>, f64) {
        (self.standing.spectra, self.standing.wtw, self.standing.loss.unwrap_or(f64::INFINITY))
    }

    /// Passes until `limits` say stop; `first` is the number of the first of them all. Each adds a row to `trace`, which
    /// holds those made before, and is shown to `ended` with where the factorization then stands.
    ///
    /// # Errors
    ///
    /// Those of a pass, which is then dropped, and those of `ended`.
    pub(crate) fn run(
        &mut self,
        engine: &Engine<'_>,
        limits: Limits,
        first: usize,
        trace: &mut Vec<TraceRow>,
        ended: &mut Ended<'_>,
    ) -> Result<StopReason, DriverError> {
        loop {
            if let Some(reason) = limits.reached(trace) {
                return Ok(reason);
            }
            trace.push(self.pass(engine, first + trace.len(), limits.residual)?);
            ended(self, trace)?;
        }
    }

    /// One pass over the data; the state is that of the last accepted pass, whatever this one brings.
    fn pass(&mut self, engine: &Engine<'_>, number: usize, residual: bool) -> Result<TraceRow, DriverError> {
        let began = Instant::now();
        let (k, ks) = (self.trial.k(), self.trial.ks());
        let Start { extrapolation, powers, hht } = self.prepare();
        if let (Some(scaled), Some(factors)) = (&mut self.scaled_ht, self.scale.factors()) {
            spectra_step::scale_genes(scaled, self.trial.ht(), factors, ks);
        }

        self.sums.reset(self.data.gene_sq_norms(), self.sq_norm);
        let inverse: Vec<f32> = powers.iter().map(|power| power.recip()).collect();
        let fold = Factorize {
            data: self.data,
            usages: &self.usages,
            rescale: &self.usages.rescaled(&inverse),
            sums: &self.sums,
            rule: self.rules.usages,
            ht: self.scaled_ht.as_deref().unwrap_or(self.trial.ht()),
            hht: &hht,
            k,
            ks,
        };
        engine.announce(&format!("pass {number}"), self.data);
        let spent = engine.pass(self.data, &fold, &mut self.locals, self.standing.direction)?;
        engine.monitor().finish();
        self.standing.direction = self.standing.direction.reversed();
        self.standing.scale_components(&powers);
        self.usages.rescale(&inverse);

        let (rule, standing) = (self.rules.spectra, &self.standing);
        let step = spectra_step::update(&mut self.trial, &standing.spectra, &self.sums, self.scale, rule, residual);
        let terms = LossTerms { x_sq_norm: self.sq_norm, cross: step.cross, model: step.model };
        let loss = terms.loss();
        if !loss.is_finite() {
            return Err(DriverError::Range { first_row: 0, last_row: self.data.cells() - 1 });
        }
        let accepted = self.judge(loss, extrapolation);
        let relative_decrease =
            standing.loss.map_or(f64::NAN, |old| (old - loss) / old.max(LOSS_PRECISION * self.sq_norm));
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
            seconds: began.elapsed().as_secs_f64(),
            waiting_seconds: spent.waiting.as_secs_f64(),
            joining_seconds: spent.joining.as_secs_f64(),
            summing_seconds: spent.summing.as_secs_f64(),
        };
        if accepted {
            let standing = &mut self.standing;
            std::mem::swap(&mut standing.previous, &mut standing.spectra);
            std::mem::swap(&mut standing.spectra, &mut self.trial);
            self.usages.accept();
            self.sums.wtw.read(0..k, &mut standing.wtw);
            standing.loss = Some(loss);
        }
        self.standing.momentum.after(accepted);
        Ok(row)
    }

    /// Without extrapolation a rise is rounding, and kept, so that the same pass is not repeated for ever.
    fn judge(&self, loss: f64, extrapolation: f64) -> bool {
        match self.standing.loss {
            None => true,
            Some(old) => loss <= old || extrapolation == 0.0,
        }
    }

    /// Makes the trial: H of the last accepted pass, extrapolated, its components scaled so that ‖h_c‖ is in [1, 2), by powers
    /// of two. Changes nothing else.
    fn prepare(&mut self) -> Start {
        let Standing { spectra, previous, momentum, .. } = &self.standing;
        let extrapolation = momentum.weight();
        spectra_step::extrapolate(&mut self.trial, spectra, previous, extrapolation as f32);
        let k = self.trial.k();
        let mut hht = self.trial.gram();
        // A component that extrapolation has driven to zero would stay there, and its usages with it.
        let lost: Vec<usize> = (0..k).filter(|&c| hht[c * k + c] == 0.0).collect();
        if !lost.is_empty() {
            lost.into_iter().for_each(|c| self.trial.copy_component(spectra, c));
            hht = self.trial.gram();
        }
        let powers = unit_norm_powers(&mut hht, k);
        if powers.iter().any(|&power| power != 1.0) {
            self.trial.scale_components(&powers);
        }
        Start { extrapolation, powers, hht: hht.into_iter().map(|value| value as f32).collect() }
    }
}
