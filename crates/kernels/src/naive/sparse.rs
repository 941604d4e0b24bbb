//! Twins of [`crate::sparse`]: the same bits.

use crate::Runs;

/// `xht += x · hᵀ` for the nonzeros in `runs`: `xht` is tile rows × ks, `ht` m × ks.
pub fn xht(xht: &mut [f32], runs: Runs<'_>, ht: &[f32], ks: usize) {
    for (gene, rows, values) in runs.iter() {
        for (&row, &value) in rows.iter().zip(values) {
            for c in 0..ks {
                let sum = &mut xht[row as usize * ks + c];
                *sum = value.mul_add(ht[gene * ks + c], *sum);
            }
        }
    }
}

/// `share += xᵀ · w` for the nonzeros in `runs`, gene-major: `share` is m × ks, `w` tile rows × ks. Even and odd
/// positions of a run are summed apart.
pub fn wtx(share: &mut [f32], runs: Runs<'_>, w: &[f32], ks: usize) {
    for (gene, rows, values) in runs.iter() {
        for c in 0..ks {
            let mut chains = [0.0f32; 2];
            for (i, (&row, &value)) in rows.iter().zip(values).enumerate() {
                let chain = &mut chains[i % 2];
                *chain = value.mul_add(w[row as usize * ks + c], *chain);
            }
            share[gene * ks + c] += chains[0] + chains[1];
        }
    }
}
