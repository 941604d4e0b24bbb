//! Twins of [`crate::loss`] and [`crate::kkt`]: the formulas in f64.

/// ½‖X − WH‖², element by element: `x` is rows × m, `w` rows × ks, `ht` m × ks.
pub fn loss(x: &[f32], w: &[f32], ht: &[f32], rows: usize, m: usize, ks: usize) -> f64 {
    let mut sum = 0.0;
    for i in 0..rows {
        for j in 0..m {
            let model: f64 = (0..ks).map(|c| f64::from(w[i * ks + c]) * f64::from(ht[j * ks + c])).sum();
            sum += (f64::from(x[i * m + j]) - model).powi(2);
        }
    }
    0.5 * sum
}

/// max|min(H, ∂H)| / max|WᵀX| with ∂H = WᵀW·H − WᵀX; 0/0 is 0. Shapes as in
/// [`crate::kkt::kkt_residual`].
pub fn kkt_residual(ht: &[f32], wtx: &[f64], wtw: &[f64], k: usize, ks: usize) -> f64 {
    let (mut residual, mut scale) = (0.0f64, 0.0f64);
    for j in 0..ht.len() / ks {
        for c in 0..k {
            let gradient: f64 =
                (0..k).map(|l| wtw[c * k + l] * f64::from(ht[j * ks + l])).sum::<f64>() - wtx[j * ks + c];
            residual = residual.max(f64::from(ht[j * ks + c]).min(gradient).abs());
            scale = scale.max(wtx[j * ks + c].abs());
        }
    }
    if residual == 0.0 { 0.0 } else { residual / scale }
}
