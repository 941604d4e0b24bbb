//! The loss ½‖X − WH‖² from the sums of a pass, without reading X again.
//!
//! ```text
//! ‖X − WH‖² = ‖X‖² − 2⟨WᵀX, H⟩ + ⟨WᵀW, H·Hᵀ⟩
//! ```
//!
//! Each of the three terms is about as large as ‖X‖², while the result of a good fit is smaller:
//! the identity cancels. Each sum has a rounding error ε of its own, so the result is off by about
//! ε‖X‖², and a relative error ‖X − WH‖/‖X‖ below √ε is indistinguishable from zero.
//! `docs/numerics.md` has the figures. All sums are in f64 and in one order.

use crate::stride;

/// The three terms of the identity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossTerms {
    /// ‖X‖².
    pub x_sq_norm: f64,
    /// ⟨WᵀX, H⟩.
    pub cross: f64,
    /// ⟨WᵀW, H·Hᵀ⟩ = ‖WH‖².
    pub model: f64,
}

impl LossTerms {
    /// ‖X − WH‖², at least zero. NaN if a term is NaN.
    pub fn sq_residual(&self) -> f64 {
        let sq = self.x_sq_norm - 2.0 * self.cross + self.model;
        if sq < 0.0 { 0.0 } else { sq }
    }

    /// ½‖X − WH‖².
    pub fn loss(&self) -> f64 {
        0.5 * self.sq_residual()
    }

    /// ‖X − WH‖ / ‖X‖. Zero if X and the model are both zero.
    pub fn relative_error(&self) -> f64 {
        let sq = self.sq_residual();
        if sq == 0.0 { 0.0 } else { (sq / self.x_sq_norm).sqrt() }
    }
}

/// The terms of the loss after a pass.
///
/// | argument    | shape  | holds                       |
/// |-------------|--------|-----------------------------|
/// | `x_sq_norm` |        | ‖X‖²                        |
/// | `wtx`       | m × ks | WᵀX, gene-major             |
/// | `ht`        | m × ks | spectra, gene-major         |
/// | `wtw`       | k × k  | WᵀW                         |
/// | `hht`       | k × k  | H·Hᵀ of these spectra       |
///
/// W and H must be the factors of those sums. Costs `2·m·ks` flops.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn loss_from_sums(
    x_sq_norm: f64,
    wtx: &[f64],
    ht: &[f32],
    wtw: &[f64],
    hht: &[f64],
    k: usize,
    ks: usize,
) -> LossTerms {
    assert!(k > 0 && ks == stride(k), "{k} components with a stride of {ks}");
    assert_eq!(wtx.len(), ht.len(), "WᵀX and H have the same shape");
    assert_eq!(ht.len() % ks, 0, "H is whole rows of {ks}");
    assert_eq!(wtw.len(), k * k, "WᵀW is {k} × {k}");
    assert_eq!(hht.len(), k * k, "H·Hᵀ is {k} × {k}");
    LossTerms { x_sq_norm, cross: cross_term(wtx, ht), model: model_term(wtw, hht) }
}

/// ⟨WᵀX, H⟩ over some genes (both m × ks, gene-major).
pub fn cross_term(wtx: &[f64], ht: &[f32]) -> f64 {
    dot(wtx, ht.iter().map(|&h| f64::from(h)))
}

/// ⟨WᵀW, H·Hᵀ⟩ (both k × k).
pub fn model_term(wtw: &[f64], hht: &[f64]) -> f64 {
    dot(wtw, hht.iter().copied())
}

/// The inner product in f64. Sixteen chains are summed, position p in chain p mod 16, and then
/// added in order. Products and sums are rounded separately, so the result does not depend on the
/// machine.
fn dot(a: &[f64], b: impl ExactSizeIterator<Item = f64>) -> f64 {
    let mut chains = [0.0; 16];
    for (p, (&a, b)) in a.iter().zip(b).enumerate() {
        chains[p % 16] += a * b;
    }
    chains.iter().sum()
}
