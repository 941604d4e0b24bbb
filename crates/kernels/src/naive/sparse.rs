//! Twins of [`crate::sparse`], with the same bits.

use crate::{FactorMut, FactorRef, Runs};

/// `xht += x · hᵀ` for the nonzeros in `runs`: `xht` is tile rows × k, `ht` m × k.
pub fn xht(mut xht: FactorMut<'_>, runs: Runs<'_>, ht: FactorRef<'_>) {
    for (gene, rows, values) in runs.iter() {
        for (&row, &value) in rows.iter().zip(values) {
            for c in 0..ht.lanes() {
                let sum = &mut xht.row_mut(row as usize)[c];
                *sum = value.mul_add(ht.row(gene)[c], *sum);
            }
        }
    }
}

/// `share += xᵀ · w` for the nonzeros in `runs`, gene-major: `share` is m × k, `w` tile rows × k.
/// Even and odd positions of a run are summed separately.
pub fn wtx(mut share: FactorMut<'_>, runs: Runs<'_>, w: FactorRef<'_>) {
    for (gene, rows, values) in runs.iter() {
        for c in 0..w.lanes() {
            let mut chains = [0.0f32; 2];
            for (i, (&row, &value)) in rows.iter().zip(values).enumerate() {
                let chain = &mut chains[i % 2];
                *chain = value.mul_add(w.row(row as usize)[c], *chain);
            }
            share.row_mut(gene)[c] += chains[0] + chains[1];
        }
    }
}
