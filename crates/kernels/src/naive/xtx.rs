//! Twin of [`crate::xtx`], with the same bits.

/// `out += XᵀX`, row by row, in f64: `out` is m × m, `x` any number of rows × m.
pub fn add(out: &mut [f64], x: &[f32], m: usize) {
    for row in x.chunks_exact(m) {
        for j in 0..m {
            for k in 0..m {
                out[j * m + k] += f64::from(row[j]) * f64::from(row[k]);
            }
        }
    }
}
