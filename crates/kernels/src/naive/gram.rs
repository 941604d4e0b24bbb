//! Twin of [`crate::gram`], with the same bits.

use crate::FactorRef;

/// `out += Σ_i r_i r_iᵀ`, row by row, in f64: `out` is k × k, `rows` any number × k.
pub fn add_gram(out: &mut [f64], rows: FactorRef<'_>) {
    let k = rows.k();
    for row in rows.iter() {
        for a in 0..k {
            for b in 0..k {
                out[a * k + b] += f64::from(row[a]) * f64::from(row[b]);
            }
        }
    }
}
