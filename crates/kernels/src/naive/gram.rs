//! Twin of [`crate::gram`]: the same bits.

/// `out += Σ_i r_i r_iᵀ`, row by row, in f64: `out` is k × k, `rows` any number × ks.
pub fn add_gram(out: &mut [f64], rows: &[f32], k: usize, ks: usize) {
    for row in rows.chunks_exact(ks) {
        for a in 0..k {
            for b in 0..k {
                out[a * k + b] += f64::from(row[a]) * f64::from(row[b]);
            }
        }
    }
}
