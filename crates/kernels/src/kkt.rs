//! The distance of the spectra from a stationary point.
//!
//! H minimizes ½‖X − WH‖² over H ≥ 0 for a fixed W exactly if every entry satisfies `h ≥ 0`,
//! `∂h ≥ 0` and `h·∂h = 0`, or in short `min(h, ∂h) = 0` (Karush, Kuhn and Tucker). The gradient is
//! ∂H = WᵀW·H − WᵀX.

use crate::stride;

/// The two maxima of the residual for some genes. Those of several parts of H merge into those of
/// all of H.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kkt {
    /// max|min(H, ∂H)|.
    pub violation: f64,
    /// max|WᵀX|.
    pub scale: f64,
}

impl Kkt {
    /// The maxima over the genes of both.
    pub fn merge(self, other: Kkt) -> Kkt {
        Kkt { violation: larger(self.violation, other.violation), scale: larger(self.scale, other.scale) }
    }

    /// `max|min(H, ∂H)| / max|WᵀX|`. If WᵀX is zero, the result is 0 or infinite.
    pub fn residual(self) -> f64 {
        if self.violation == 0.0 { 0.0 } else { self.violation / self.scale }
    }
}

/// The residual `max|min(H, ∂H)| / max|WᵀX|`. The part from the gradient has no unit, and the
/// residual is 0 at a stationary point. Arguments and panics are those of [`kkt`].
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn kkt_residual(ht: &[f32], wtx: &[f64], wtw: &[f64], k: usize, ks: usize) -> f64 {
    kkt(ht, wtx, wtw, k, ks).residual()
}

/// The maxima of the residual for some genes.
///
/// | argument | shape  | holds               |
/// |----------|--------|---------------------|
/// | `ht`     | m × ks | spectra, gene-major |
/// | `wtx`    | m × ks | WᵀX, gene-major     |
/// | `wtw`    | k × k  | WᵀW, symmetric      |
///
/// The violation is NaN if a gradient is NaN. Costs `2·m·k²` flops and allocates k f64.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn kkt(ht: &[f32], wtx: &[f64], wtw: &[f64], k: usize, ks: usize) -> Kkt {
    assert!(k > 0 && ks == stride(k), "{k} components with a stride of {ks}");
    assert_eq!(wtx.len(), ht.len(), "WᵀX and H have the same shape");
    assert_eq!(ht.len() % ks, 0, "H is whole rows of {ks}");
    assert_eq!(wtw.len(), k * k, "WᵀW is {k} × {k}");
    let mut gradient = vec![0.0; k];
    let mut maxima = Kkt::default();
    for (h, wtx) in ht.chunks_exact(ks).zip(wtx.chunks_exact(ks)) {
        // The loop goes by rows of WᵀW, which is symmetric, and sums each entry of the gradient
        // over l in ascending order.
        for (gradient, &wtx) in gradient.iter_mut().zip(wtx) {
            *gradient = -wtx;
        }
        for (row, &h_l) in wtw.chunks_exact(k).zip(h) {
            for (gradient, &g) in gradient.iter_mut().zip(row) {
                *gradient += g * f64::from(h_l);
            }
        }
        for ((&h, &gradient), &wtx) in h.iter().zip(&gradient).zip(wtx) {
            let h = f64::from(h);
            let violation = if h < gradient { h } else { gradient }.abs();
            maxima = maxima.merge(Kkt { violation, scale: wtx.abs() });
        }
    }
    maxima
}

/// The larger of the two, or NaN if either is.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}
