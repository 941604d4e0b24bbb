//! The loss ½‖X − WH‖² from the sums of a pass, without another look at X.
//!
//! ```text
//! ‖X − WH‖² = ‖X‖² − 2⟨WᵀX, H⟩ + ⟨WᵀW, H·Hᵀ⟩
//! ```
//!
//! The three terms are of the size of ‖X‖², and what is left when a fit is good is smaller: the identity cancels. Each
//! sum carries its own rounding error ε, so the result is off by about ε‖X‖², and a relative error
//! ‖X − WH‖/‖X‖ below √ε cannot be told from zero: `docs/numerics.md` has the figures. Sums are in f64, in one order.

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
    /// ‖X − WH‖², not below zero. NaN if a term is.
    pub fn sq_residual(&self) -> f64 {
        let sq = self.x_sq_norm - 2.0 * self.cross + self.model;
        if sq < 0.0 { 0.0 } else { sq }
    }

    /// ½‖X − WH‖².
    pub fn loss(&self) -> f64 {
        0.5 * self.sq_residual()
    }

    /// ‖X − WH‖ / ‖X‖; zero where X is zero and so is the model.
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
/// W and H must be those that the sums were made with. Costs `2·m·ks` flops.
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

/// The inner product in f64: sixteen chains, position p in chain p mod 16, then the chains in order. Products and sums
/// are rounded apart: nothing here depends on the machine.
fn dot(a: &[f64], b: impl ExactSizeIterator<Item = f64>) -> f64 {
    let mut chains = [0.0; 16];
    for (p, (&a, b)) in a.iter().zip(b).enumerate() {
        chains[p % 16] += a * b;
    }
    chains.iter().sum()
}
