//! What happened, pass by pass.

use serde::Serialize;

/// One full pass over X. Columns of `--trace`, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TraceRow {
    /// Number of the pass, from 1, in reads of all of X; the reading of a sample counts, so a fit that starts from
    /// one has its first row at 2.
    pub pass: usize,
    /// ½‖X−WH‖² of the matrix factorized (after scaling of genes), from the sums of the pass.
    pub loss: f64,
    /// ‖X−WH‖ / ‖X‖ (Frobenius norms).
    pub relative_error: f64,
    /// Decrease of the loss since the last accepted pass, relative to the loss then, or to 1e-6 ‖X‖² where that is
    /// more; NaN in the first row.
    pub relative_decrease: f64,
    /// max |min(H, ∂H)| / max |WᵀX| for the H that the pass started from (extrapolated, where it is) and the W that it
    /// made: zero where both are stationary.
    pub kkt_residual: f64,
    /// Whether the pass was kept. A pass that the loss rose in is undone; the next one goes on from the last kept.
    pub accepted: bool,
    /// Weight of the extrapolation that the pass started from; 0: none.
    pub extrapolation: f64,
    /// Largest |change| of an entry of W (against W after the last accepted pass).
    pub usages_change: f64,
    /// Largest |change| of an entry of H (against H after the last accepted pass, both in the scale of this pass).
    pub spectra_change: f64,
    /// Fraction of W's entries that are not zero.
    pub usages_nonzero: f64,
    /// Fraction of H's entries that are not zero.
    pub spectra_nonzero: f64,
    /// Bytes of packed blocks that the pass went through.
    pub bytes: u64,
    /// Wall time of the pass, seconds.
    pub seconds: f64,
    /// Time that compute threads have waited for data from the disk, seconds, added up over the threads of all processes: as much as
    /// `seconds` times threads where the disk decides, 0 where the store is mapped into memory.
    pub waiting_seconds: f64,
    /// Time that this process has waited for slower ones at the end of the pass, seconds.
    pub joining_seconds: f64,
    /// Time that it took, then, to add up what the processes had, seconds; 0 where one works alone.
    pub summing_seconds: f64,
}

/// Why a fit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// Two accepted passes in a row decreased the loss by less than the tolerance.
    Converged,
    /// H is stationary, to the precision of the arithmetic, for the W that was solved for it: the KKT residual is
    /// below 1e-7.
    Stationary,
    /// As many passes as were allowed.
    MaxPasses,
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            StopReason::Converged => "converged",
            StopReason::Stationary => "stationary",
            StopReason::MaxPasses => "max-passes",
        })
    }
}
