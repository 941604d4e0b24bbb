//! Where a factorization stands between two passes.

use super::momentum::Momentum;
use crate::engine::Direction;
use crate::spectra::Spectra;

/// With W, all that the next pass depends on: a solver that gets both continues, bit for bit, as if
/// nothing had been in between.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    /// H of the last accepted pass.
    pub(crate) spectra: Spectra,
    /// H of the accepted pass before it.
    pub(crate) previous: Spectra,
    /// How far H is extrapolated next.
    pub(crate) momentum: Momentum,
    /// WᵀW (k × k) of the last accepted pass, in the scale of `spectra`.
    pub(crate) wtw: Vec<f64>,
    /// Loss of the last accepted pass; none before the first.
    pub(crate) loss: Option<f64>,
    /// The direction of the next pass.
    pub(crate) direction: Direction,
}

impl Standing {
    /// Before the first pass, with H as `spectra`; `extrapolate`: whether later passes extrapolate
    /// it.
    pub(crate) fn start(spectra: Spectra, extrapolate: bool) -> Self {
        let k = spectra.k();
        Standing {
            previous: spectra.clone(),
            spectra,
            momentum: Momentum::new(extrapolate),
            wtw: vec![0.0; k * k],
            loss: None,
            direction: Direction::Forward,
        }
    }

    /// Multiplies the rows of H by `powers` (of two, so that nothing is rounded), and what belongs
    /// to H accordingly.
    pub(super) fn scale_components(&mut self, powers: &[f32]) {
        if powers.iter().all(|&power| power == 1.0) {
            return;
        }
        for spectra in [&mut self.spectra, &mut self.previous] {
            spectra.scale_components(powers);
        }
        for (row, p) in self.wtw.chunks_exact_mut(powers.len()).zip(powers) {
            row.iter_mut().zip(powers).for_each(|(value, q)| *value /= f64::from(*p) * f64::from(*q));
        }
    }
}
