//! Twins of [`crate::sparse`], with the same bits.

use crate::lanes::GROUP_TERMS;
use crate::{Csr, FactorMut, FactorRef, Runs};

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
pub fn wtx(mut share: FactorMut<'_>, runs: Runs<'_>, w: FactorRef<'_>) {
    for (gene, rows, values) in runs.iter() {
        for c in 0..w.lanes() {
            let terms: Vec<(f32, f32)> =
                rows.iter().zip(values).map(|(&row, &value)| (value, w.row(row as usize)[c])).collect();
            add_in_groups(&mut share.row_mut(gene)[c], &terms);
        }
    }
}

/// `product = x · factor` for compressed rows: `product` is rows × k, `factor` columns × k.
pub fn csr(mut product: FactorMut<'_>, x: Csr<'_>, factor: FactorRef<'_>) {
    for (row, entries) in x.ranges().enumerate() {
        for c in 0..factor.lanes() {
            let term = |at: usize| (x.values()[at], factor.row(x.indices()[at] as usize)[c]);
            let terms: Vec<(f32, f32)> = entries.clone().map(term).collect();
            let sum = &mut product.row_mut(row)[c];
            *sum = 0.0;
            add_in_groups(sum, &terms);
        }
    }
}

/// Adds products to a sum: groups of [`GROUP_TERMS`] in f32, even and odd positions of a group
/// apart, and their sums in f64.
pub(super) fn add_in_groups(sum: &mut f32, terms: &[(f32, f32)]) {
    let mut wide = f64::from(*sum);
    for group in terms.chunks(GROUP_TERMS) {
        let mut chains = [0.0f32; 2];
        for (i, (a, b)) in group.iter().enumerate() {
            chains[i % 2] = a.mul_add(*b, chains[i % 2]);
        }
        wide += f64::from(chains[0] + chains[1]);
    }
    *sum = wide as f32;
}
