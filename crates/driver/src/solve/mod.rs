//! Factorizations under way: one pass after another until each is good enough.
//!
//! A pass fixes H, folds `Factorize` over all row blocks, and updates H from the sums:
//!
//! ```text
//! Ĥ   ← max(0, H + β (H − H₋))        extrapolated point (β = 0: H itself)
//! W₊  ← update(W; X·Ĥᵀ, Ĥ·Ĥᵀ)         in the pass, block by block
//! H₊  ← update(Ĥ; W₊ᵀX, W₊ᵀW₊)        after it, inner sweeps without reading anything
//! L₊  = ½(‖X‖² − 2⟨W₊ᵀX, H₊⟩ + ⟨W₊ᵀW₊, H₊·H₊ᵀ⟩)
//! ```
//!
//! If L₊ rises above the loss of the last accepted pass, (W₊, H₊) is dropped and the next pass
//! starts from (W, H) without extrapolation; from there no rule raises the loss. That is why W has
//! two generations.
//!
//! A [`Solver`] does this in steps, so that several of them can share a pass:
//!
//! | step      | from                   | to                                            |
//! |-----------|------------------------|-----------------------------------------------|
//! | `prepare` | where the fit stands   | the trial Ĥ and the update rule for it        |
//! | fold      | trial, W, rule         | the sums of the pass (`compute::factorize`)   |
//! | `absorb`  | the sums               | the new state, and a row of the trace         |
//!
//! [`run`] repeats them for any number of solvers; each leaves when it is done. The next step of a
//! solver follows from its [`Standing`] and W alone, and neither changes before all blocks have
//! gone through: a pass that is dropped half-way leaves no trace.

mod assembly;
mod momentum;
mod spectra_step;
mod standing;
#[cfg(test)]
mod tests;

use partwise_kernels::loss::LossTerms;
use partwise_kernels::{Dead, PreparedRule};
use tracing::info_span;

use crate::blocks::Blocks;
use crate::compute::factorize::{MemberSums, PanelSums};
use crate::engine::{Engine, Spent};
use crate::error::DriverError;
use crate::model::Rules;
use crate::scale::{GeneScale, scaled_sq_norm};
use crate::spectra::{Spectra, unit_norm_powers};
use crate::trace::{StopReason, TraceRow};
use crate::usages::Usages;
pub(crate) use assembly::Assembly;
pub(crate) use momentum::Momentum;
pub(crate) use spectra_step::extrapolate;
pub(crate) use standing::Standing;

/// Differences of the loss below this fraction of ‖X‖² are rounding of the 32-bit products
/// (`docs/numerics.md`).
const LOSS_PRECISION: f64 = 1e-6;
/// KKT residual at which H is stationary to the precision of its 32-bit update.
const STATIONARY: f64 = 1e-7;

/// When a solver stops.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until {
    /// Full passes at most, those of an earlier run included.
    pub(crate) passes: usize,
    /// Relative decrease that counts as none; 0: never stop for it.
    pub(crate) tol: f64,
    /// Whether to compute the KKT residual, and to stop if there is none.
    pub(crate) residual: bool,
}

impl Until {
    /// Why to stop after these passes, if there is a reason. A rejected pass counts for nothing.
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

/// Called with a solver after each of its passes, and with its place in the list.
pub(crate) type Ended<'a> = dyn FnMut(usize, &Solver<'_>) -> Result<(), DriverError> + 'a;

/// Passes over `data` on `threads` workers until every solver is done; solvers that are done before
/// the others leave the pass. Calls `ended` after each pass for each solver that took part.
///
/// # Errors
///
/// Those of a pass, which is then dropped for all, and those of `ended`.
pub(crate) fn run(
    engine: &Engine<'_>,
    data: &dyn Blocks,
    solvers: &mut [Solver<'_>],
    threads: usize,
    ended: &mut Ended<'_>,
) -> Result<(), DriverError> {
    let mut assembly: Option<Assembly> = None;
    loop {
        let active: Vec<usize> = (0..solvers.len()).filter(|&i| solvers[i].stop().is_none()).collect();
        if active.is_empty() {
            return Ok(());
        }
        if assembly.as_ref().is_none_or(|assembly| assembly.solvers() != active) {
            // The old buffers are freed before new ones are made.
            drop(assembly.take());
        }
        let assembly = assembly.get_or_insert_with(|| Assembly::new(data, solvers, &active, threads));
        let passes = active.iter().map(|&i| solvers[i].passes()).max().unwrap_or(0);
        let stage = match active.len() {
            1 => format!("pass {}", passes + 1),
            fits => format!("pass {}, {fits} fits", passes + 1),
        };
        assembly.pass(&stage, engine, data, solvers)?;
        for &i in &active {
            ended(i, &solvers[i])?;
        }
    }
}

/// A fit between two passes, to continue with.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) standing: Standing,
    /// With the rows of this process.
    pub(crate) usages: Usages,
    /// Reads of all of X before the first full pass.
    pub(crate) before: usize,
    /// The full passes made so far.
    pub(crate) trace: Vec<TraceRow>,
}

/// W and H of one fit, improved pass by pass.
pub(crate) struct Solver<'d> {
    scale: &'d GeneScale,
    rules: Rules,
    until: Until,
    /// Reads of all of X before the first full pass.
    before: usize,
    /// ‖X̂‖² after scaling and weighting.
    sq_norm: f64,
    /// Rows and columns that are not left out.
    kept: (usize, usize),
    standing: Standing,
    /// H of the pass under way.
    trial: Spectra,
    usages: Usages,
    trace: Vec<TraceRow>,
}

/// The start of a pass besides W and the trial.
pub(crate) struct Prepared {
    /// Weight of the extrapolation.
    extrapolation: f64,
    /// Powers of two that bring H of the last accepted pass to the scale of the trial.
    powers: Vec<f32>,
    /// Powers of two that bring W to it.
    rescale: Vec<f32>,
    /// The update of W for this trial.
    rule: PreparedRule,
    /// ‖h_c‖² of the trial, as the rule has them.
    sq_norms: Vec<f32>,
}

/// A pass as all of its solvers see it.
struct PassFacts {
    bytes: u64,
    seconds: f64,
    spent: Spent,
}

impl<'d> Solver<'d> {
    /// Continues from `state` with a matrix whose genes are scaled by `scale`.
    pub(crate) fn new(data: &dyn Blocks, scale: &'d GeneScale, rules: Rules, until: Until, state: State) -> Self {
        let State { mut standing, usages, before, trace } = state;
        if let Some(factors) = scale.factors() {
            // Starts have values for all genes. Those left out would count in H·Hᵀ.
            standing.spectra.leave_out(factors);
            standing.previous.leave_out(factors);
        }
        let (sq_norm, trial) = (scaled_sq_norm(data, scale), standing.spectra.clone());
        Solver { scale, rules, until, before, sq_norm, kept: data.kept(), standing, trial, usages, trace }
    }

    /// Where it stands, between passes.
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// W of the last accepted pass.
    pub(crate) fn usages(&self) -> &Usages {
        &self.usages
    }

    /// Its full passes.
    pub(crate) fn trace(&self) -> &[TraceRow] {
        &self.trace
    }

    /// Reads of all of X so far.
    pub(crate) fn passes(&self) -> usize {
        self.before + self.trace.len()
    }

    /// Why it stops, if it does.
    pub(crate) fn stop(&self) -> Option<StopReason> {
        self.until.reached(&self.trace)
    }

    /// Components k.
    pub(crate) fn k(&self) -> usize {
        self.trial.k()
    }

    /// W and H of the last accepted pass, and the trace.
    pub(crate) fn into_parts(self) -> (Usages, Spectra, Vec<TraceRow>) {
        (self.usages, self.standing.spectra, self.trace)
    }

    /// H of the last accepted pass, WᵀW (k × k) of the W that it was made with, and their loss
    /// (infinite before the first pass).
    pub(crate) fn into_spectra(self) -> (Spectra, Vec<f64>, f64) {
        (self.standing.spectra, self.standing.wtw, self.standing.loss.unwrap_or(f64::INFINITY))
    }

    /// The first step: makes the trial, H of the last accepted pass, extrapolated, its components
    /// scaled by powers of two so that ‖h_c‖ is in [1, 2). Changes nothing else.
    pub(crate) fn prepare(&mut self) -> Prepared {
        let _span = info_span!("preparation of a pass").entered();
        let Standing { spectra, previous, momentum, .. } = &self.standing;
        let extrapolation = momentum.weight();
        spectra_step::extrapolate(&mut self.trial, spectra, previous, extrapolation as f32);
        let k = self.trial.k();
        let mut hht = self.trial.gram();
        // A component that extrapolation has driven to zero would stay there, and its usages with
        // it.
        let lost: Vec<usize> = (0..k).filter(|&c| hht[c * k + c] == 0.0).collect();
        if !lost.is_empty() {
            lost.into_iter().for_each(|c| self.trial.copy_component(spectra, c));
            hht = self.trial.gram();
        }
        let powers = unit_norm_powers(&mut hht, k);
        if powers.iter().any(|&power| power != 1.0) {
            self.trial.scale_components(&powers);
        }
        let rescale = powers.iter().map(|power| power.recip()).collect();
        let hht: Vec<f32> = hht.into_iter().map(|value| value as f32).collect();
        let rule = self.rules.usages.prepare(&hht, k, Dead::Zero);
        let sq_norms = (0..k).map(|c| hht[c * k + c]).collect();
        Prepared { extrapolation, powers, rescale, rule, sq_norms }
    }

    /// The last step: updates H from the sums of the pass, judges the pass, and adds its row to the
    /// trace. `first` is the solver's first lane in the panel that `sums` are of.
    fn absorb(
        &mut self,
        prepared: &Prepared,
        (sums, first, own): (&PanelSums, usize, &MemberSums),
        facts: &PassFacts,
    ) -> Result<(), DriverError> {
        let _span = info_span!("end of a pass").entered();
        let k = self.k();
        self.standing.direction = self.standing.direction.reversed();
        self.standing.scale_components(&prepared.powers);
        self.usages.rescale(&prepared.rescale);

        let source = spectra_step::Sums { wtx: &sums.wtx, first, wtw: &own.wtw };
        let (rule, residual) = (self.rules.spectra, self.until.residual);
        let step = spectra_step::update(&mut self.trial, &self.standing.spectra, &source, self.scale, rule, residual);
        let terms = LossTerms { x_sq_norm: self.sq_norm, cross: step.cross, model: step.model };
        let loss = terms.loss();
        let (cells, genes) = self.kept;
        if !loss.is_finite() {
            return Err(DriverError::Range { first_row: 0, last_row: self.usages.cells() - 1 });
        }
        let accepted = self.judge(loss, prepared.extrapolation);
        let standing = &mut self.standing;
        let decrease = |old: f64| (old - loss) / old.max(LOSS_PRECISION * self.sq_norm);
        self.trace.push(TraceRow {
            pass: self.before + self.trace.len() + 1,
            loss,
            relative_error: terms.relative_error(),
            relative_decrease: standing.loss.map_or(f64::NAN, decrease),
            kkt_residual: step.kkt_residual,
            accepted,
            extrapolation: prepared.extrapolation,
            usages_change: f64::from(own.usages_change()),
            spectra_change: step.change,
            usages_nonzero: own.usages_nonzeros() as f64 / (cells * k) as f64,
            spectra_nonzero: step.nonzeros as f64 / (genes * k) as f64,
            bytes: facts.bytes,
            seconds: facts.seconds,
            waiting_seconds: facts.spent.waiting.as_secs_f64(),
            joining_seconds: facts.spent.joining.as_secs_f64(),
            summing_seconds: facts.spent.summing.as_secs_f64(),
        });
        if accepted {
            std::mem::swap(&mut standing.previous, &mut standing.spectra);
            std::mem::swap(&mut standing.spectra, &mut self.trial);
            self.usages.accept();
            own.wtw.read(0..k, 0..k, &mut standing.wtw);
            standing.loss = Some(loss);
        }
        standing.momentum.after(accepted);
        Ok(())
    }

    /// Without extrapolation a rise is rounding. It is kept, so that the same pass is not repeated
    /// for ever.
    fn judge(&self, loss: f64, extrapolation: f64) -> bool {
        match self.standing.loss {
            None => true,
            Some(old) => loss <= old || extrapolation == 0.0,
        }
    }
}
