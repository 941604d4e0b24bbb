//! Twins of [`crate::update`] with the same bits, except for block pivoting, whose twin tries all
//! sets. `rows` and `cross` are n × k, `gram` is k × k.

use crate::update::{Dead, TINY, UpdateRule};
use crate::{FactorMut, FactorRef};

/// Prepares the rule as [`UpdateRule::prepare`] and applies it row by row.
pub fn apply(rule: UpdateRule, mut rows: FactorMut<'_>, cross: FactorRef<'_>, gram: &[f32], zero_diagonal: Dead) {
    let k = rows.k();
    for (r, cross) in rows.iter_mut().zip(cross.iter()) {
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
            UpdateRule::Bpp => best_of_all_sets(r, cross, gram, k),
        }
    }
}

/// One inner sweep of HALS over one row. `update/hals.rs` defines the order of the sum.
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

/// The minimum over `r ≥ 0`, found among all 2^k sets of components that may be positive. For small
/// k and live components only.
fn best_of_all_sets(r: &mut [f32], cross: &[f32], gram: &[f32], k: usize) {
    let live: Vec<usize> = (0..k).filter(|&c| !dead(gram, k, c)).collect();
    let held = |c: usize| -> f64 {
        (0..k).filter(|l| !live.contains(l)).map(|l| f64::from(gram[c * k + l]) * f64::from(r[l])).sum()
    };
    let wanted: Vec<f64> = (0..k).map(|c| f64::from(cross[c]) - held(c)).collect();
    let (mut best, mut least) = (vec![0.0; k], 0.0);
    for set in 1u32..1 << live.len() {
        let set: Vec<usize> = live.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1).map(|(_, &c)| c).collect();
        let Some(solution) = solve(&set, &wanted, gram, k) else { continue };
        if solution.iter().any(|&value| value < 0.0) {
            continue;
        }
        // At the minimum over the set f = −½ cᵀr.
        let value: f64 = set.iter().zip(&solution).map(|(&c, value)| -0.5 * wanted[c] * value).sum();
        if value < least {
            least = value;
            best.fill(0.0);
            set.iter().zip(&solution).for_each(|(&c, &value)| best[c] = value);
        }
    }
    live.iter().for_each(|&c| r[c] = best[c] as f32);
}

/// `G_SS⁻¹ c_S` by elimination with pivots, or `None` if G_SS is singular.
fn solve(set: &[usize], cross: &[f64], gram: &[f32], k: usize) -> Option<Vec<f64>> {
    let n = set.len();
    let mut a: Vec<Vec<f64>> =
        set.iter().map(|&c| set.iter().map(|&d| f64::from(gram[c * k + d])).chain([cross[c]]).collect()).collect();
    for i in 0..n {
        let pivot = (i..n).max_by(|&p, &q| a[p][i].abs().total_cmp(&a[q][i].abs()))?;
        a.swap(i, pivot);
        if a[i][i].abs() < 1e-12 * f64::from(gram[set[i] * k + set[i]]) {
            return None;
        }
        for below in i + 1..n {
            let factor = a[below][i] / a[i][i];
            for j in i..=n {
                a[below][j] -= factor * a[i][j];
            }
        }
    }
    let mut solution = vec![0.0; n];
    for i in (0..n).rev() {
        let rest: f64 = (i + 1..n).map(|j| a[i][j] * solution[j]).sum();
        solution[i] = (a[i][n] - rest) / a[i][i];
    }
    Some(solution)
}

/// Whether the other factor lacks component c.
fn dead(gram: &[f32], k: usize, c: usize) -> bool {
    gram[c * k + c] < f32::MIN_POSITIVE
}

/// The larger of the two, or NaN if `x` is NaN.
fn not_below(floor: f32, x: f32) -> f32 {
    if floor > x { floor } else { x }
}

/// `½ rᵀG r − cᵀr` in f64 for one row, which an update must not raise.
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
