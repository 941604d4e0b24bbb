//! Twins of [`crate::update`]: the same bits. `rows` and `cross` are n × ks, `gram` k × k.

use crate::update::{Dead, TINY, UpdateRule};

/// What [`UpdateRule::apply`] does, row by row.
pub fn apply(
    rule: UpdateRule,
    rows: &mut [f32],
    cross: &[f32],
    gram: &[f32],
    k: usize,
    ks: usize,
    zero_diagonal: Dead,
) {
    for (r, cross) in rows.chunks_exact_mut(ks).zip(cross.chunks_exact(ks)) {
        for c in 0..k {
            if dead(gram, k, c) && zero_diagonal == Dead::Zero {
                r[c] = 0.0;
            }
        }
        match rule {
            UpdateRule::Hals { sweeps } => {
                for _ in 0..sweeps {
                    hals_sweep(r, cross, gram, k);
                }
            }
            UpdateRule::Mu => mu(r, cross, gram, k),
        }
    }
}

/// One sweep of HALS over one row; the order of the sum is the one that `update/hals.rs` defines.
fn hals_sweep(r: &mut [f32], cross: &[f32], gram: &[f32], k: usize) {
    for c in (0..k).filter(|&c| !dead(gram, k, c)) {
        let block = c / 4 * 4..(c / 4 * 4 + 4).min(k);
        let outside = (0..k).filter(|l| !block.contains(l));
        let mut gradient = -cross[c];
        for l in outside.chain(c..block.end).chain(block.start..c) {
            gradient = gram[c * k + l].mul_add(r[l], gradient);
        }
        r[c] = not_below(0.0, (-1.0 / gram[c * k + c]).mul_add(gradient, r[c]));
    }
}

/// One multiplicative step on one row.
fn mu(r: &mut [f32], cross: &[f32], gram: &[f32], k: usize) {
    let old = r.to_vec();
    for c in (0..k).filter(|&c| !dead(gram, k, c)) {
        let sum = (0..k).fold(0.0f32, |sum, l| gram[c * k + l].mul_add(old[l], sum));
        r[c] = old[c] * cross[c] / not_below(TINY, sum);
    }
}

/// Whether the other factor lacks component c.
fn dead(gram: &[f32], k: usize, c: usize) -> bool {
    gram[c * k + c] < f32::MIN_POSITIVE
}

/// The larger of the two; NaN if `x` is.
fn not_below(floor: f32, x: f32) -> f32 {
    if floor > x { floor } else { x }
}

/// `½ rᵀG r − cᵀr` in f64 for one row: what an update must not raise.
pub fn objective(r: &[f32], cross: &[f32], gram: &[f32], k: usize) -> f64 {
    let mut sum = 0.0;
    for a in 0..k {
        for b in 0..k {
            sum += 0.5 * f64::from(r[a]) * f64::from(gram[a * k + b]) * f64::from(r[b]);
        }
        sum -= f64::from(cross[a]) * f64::from(r[a]);
    }
    sum
}
