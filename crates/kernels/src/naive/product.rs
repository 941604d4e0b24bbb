//! The products as formulas on a dense X in f64, which the sparse and dense kernels approximate.

/// X·Hᵀ (rows × ks) of the rows × m matrix `x` and the m × ks spectra `ht`.
pub fn xht(x: &[f32], ht: &[f32], rows: usize, m: usize, ks: usize) -> Vec<f64> {
    let mut out = vec![0.0; rows * ks];
    for i in 0..rows {
        for c in 0..ks {
            out[i * ks + c] = (0..m).map(|j| f64::from(x[i * m + j]) * f64::from(ht[j * ks + c])).sum();
        }
    }
    out
}

/// WᵀX, gene-major (m × ks), of the rows × m matrix `x` and the rows × ks usages `w`.
pub fn wtx(x: &[f32], w: &[f32], rows: usize, m: usize, ks: usize) -> Vec<f64> {
    let mut out = vec![0.0; m * ks];
    for j in 0..m {
        for c in 0..ks {
            out[j * ks + c] = (0..rows).map(|i| f64::from(x[i * m + j]) * f64::from(w[i * ks + c])).sum();
        }
    }
    out
}
