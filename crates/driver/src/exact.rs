//! Sums over row blocks that do not depend on the order of their shares.
//!
//! Floating-point addition is not associative, so a sum over blocks would depend on the number of
//! threads. Here every share first becomes integers, with a power-of-two **unit** known before the
//! pass, and integers are added. Any order and any number of threads or processes give the same
//! bits.
//!
//! The unit follows from a bound on the final sum and on every partial sum (all terms are
//! non-negative). With `|sum| ≤ bound`, `unit = 2^(48 − ⌊log2 bound⌋)` keeps every scaled value
//! within ±2⁴⁹, twice that with rounding. An `i64` offers sixty-one bits. The sums use fifty,
//! because then the conversion is an exact multiplication, an addition of 1.5·2⁵² and a subtraction
//! of bit patterns, which every CPU does for several values at a time. The rounding of one share is
//! at most 2⁻⁴⁹ of the bound. `docs/numerics.md` derives the bounds, and the size of this rounding
//! beside the 2⁻²⁴ of the 32-bit products that the share carries.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use partwise_kernels::fixed;

/// Bits that a bound is scaled to.
const BITS: i32 = 50;
/// Rows that share one lock, so that threads adding at the same time rarely meet.
const STRIPE_ROWS: usize = 256;

/// The power of two that scales values up to `bound` to at most 2⁵⁰; 0 if nothing can be added
/// (`bound` = 0).
fn unit(bound: f64) -> f64 {
    if bound <= 0.0 {
        return 0.0;
    }
    // From the bits of the number, not from a logarithm, which differs from one C library to the
    // next: bound < 2^(exponent + 1), and one bit more for the rounding of 32-bit factors.
    power_of_two(BITS - (exponent(bound) + 2))
}

/// The e of 2^e ≤ x < 2^(e + 1), for normal x > 0.
pub(crate) fn exponent(x: f64) -> i32 {
    ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023
}

/// 2^exponent, exact, for every exponent of a normal number (others are clamped).
pub(crate) fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent.clamp(-1022, 1023) + 1023) as u64) << 52)
}

/// A share holds a value that is not finite, or larger than its row's bound allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a share exceeds the bound of its sum")]
pub struct BeyondBound;

/// An exact sum of matrices (rows × width) that threads add shares to.
///
/// After every call the sum is the exact integer sum of all shares added so far.
#[derive(Debug)]
pub struct ExactSum {
    width: usize,
    rows: usize,
    units: Vec<f64>,
    stripes: Vec<Mutex<Vec<i64>>>,
}

impl ExactSum {
    /// A zero sum of `rows × width` values. Memory: 8 bytes a value and 8 bytes a row.
    pub fn new(rows: usize, width: usize) -> Self {
        let stripes = (0..rows.div_ceil(STRIPE_ROWS))
            .map(|s| Mutex::new(vec![0; width * STRIPE_ROWS.min(rows - s * STRIPE_ROWS)]))
            .collect();
        ExactSum { width, rows, units: vec![0.0; rows], stripes }
    }

    /// Bytes that `new(rows, width)` holds.
    pub fn bytes(rows: usize, width: usize) -> u64 {
        8 * rows as u64 * (width as u64 + 1)
    }

    /// Sets the sum to zero, with new bounds: `bound(row)` is at least the largest |value| that any
    /// partial sum of the row can reach.
    pub fn reset(&mut self, bound: impl Fn(usize) -> f64) {
        for (row, unit_of_row) in self.units.iter_mut().enumerate() {
            *unit_of_row = unit(bound(row));
        }
        for stripe in &mut self.stripes {
            stripe.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()).fill(0);
        }
    }

    /// Adds a share (rows × width, row-major) and clears it. Threads start at different stripes
    /// (`turn`) so that they do not queue behind one another.
    ///
    /// # Errors
    ///
    /// When a value is not finite or exceeds the bound of its row; the sum is then invalid.
    ///
    /// # Panics
    ///
    /// When the share has another shape.
    pub fn add<T: Copy + Default + Into<f64>>(&self, share: &mut [T], turn: usize) -> Result<(), BeyondBound> {
        assert_eq!(share.len(), self.rows * self.width, "share and sum have the same shape");
        let stripes = self.stripes.len();
        let mut within = true;
        for s in (0..stripes).map(|s| (s + turn) % stripes) {
            let first = s * STRIPE_ROWS;
            let mut sum = self.stripes[s].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let share = &mut share[first * self.width..][..sum.len()];
            let units = &self.units[first..(first + STRIPE_ROWS).min(self.rows)];
            within &= fixed::add(&mut sum, share, units) <= fixed::LIMIT;
        }
        if within { Ok(()) } else { Err(BeyondBound) }
    }

    /// The integers, stripe by stripe, for processes to add up. Their sum over processes is the sum
    /// of all shares, if all processes have reset with the same bounds and the bounds hold for it.
    pub fn lock(&self) -> Vec<MutexGuard<'_, Vec<i64>>> {
        self.stripes.iter().map(|stripe| stripe.lock().unwrap_or_else(|poisoned| poisoned.into_inner())).collect()
    }

    /// Some rows and columns of the sum as f64 (`out`: rows × columns), each value the nearest to
    /// the exact one.
    ///
    /// # Panics
    ///
    /// When `out` has another shape or the rows or columns do not exist.
    pub fn read(&self, rows: Range<usize>, columns: Range<usize>, out: &mut [f64]) {
        assert_eq!(out.len(), rows.len() * columns.len(), "out has the shape that was asked for");
        if columns.is_empty() {
            return;
        }
        for (row, out) in rows.zip(out.chunks_exact_mut(columns.len())) {
            let stripe = self.stripes[row / STRIPE_ROWS].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let sum = &stripe[(row % STRIPE_ROWS) * self.width..][..self.width][columns.clone()];
            let unit = self.units[row];
            for (out, &sum) in out.iter_mut().zip(sum) {
                *out = if unit == 0.0 { 0.0 } else { sum as f64 / unit };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_of_shares_does_not_matter(
            shares in prop::collection::vec(prop::collection::vec((0u32..10_000_000).prop_map(|v| v as f32 / 1e4), 6), 1..20), turn in 0usize..3,
        ) {
            let bound: f64 = shares.iter().flatten().map(|&v| f64::from(v)).sum();
            let mut forward = ExactSum::new(3, 2);
            let mut backward = ExactSum::new(3, 2);
            forward.reset(|_| bound);
            backward.reset(|_| bound);
            for share in &shares {
                forward.add(&mut share.clone(), 0).unwrap();
            }
            for share in shares.iter().rev() {
                backward.add(&mut share.clone(), turn).unwrap();
            }
            let (mut a, mut b) = ([0.0; 6], [0.0; 6]);
            forward.read(0..3, 0..2, &mut a);
            backward.read(0..3, 0..2, &mut b);
            prop_assert_eq!(a, b);
            for (i, sum) in a.iter().enumerate() {
                let naive: f64 = shares.iter().map(|s| f64::from(s[i])).sum();
                prop_assert!((sum - naive).abs() <= 1e-12 * bound.max(1e-30), "{sum} against {naive}");
            }
        }
    }

    #[test]
    fn a_share_is_cleared_when_it_is_added() {
        let mut sum = ExactSum::new(300, 4);
        sum.reset(|_| 1e3);
        let mut share = vec![2.5f32; 1200];
        sum.add(&mut share, 1).unwrap();
        assert!(share.iter().all(|&v| v == 0.0));
        let mut out = vec![0.0; 8];
        sum.read(298..300, 0..4, &mut out);
        assert_eq!(out, vec![2.5; 8]);
    }

    #[test]
    fn columns_are_those_of_the_whole() {
        let mut sum = ExactSum::new(2, 4);
        sum.reset(|_| 1e3);
        sum.add(&mut [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 0).unwrap();
        let mut out = [0.0; 4];
        sum.read(0..2, 1..3, &mut out);
        assert_eq!(out, [2.0, 3.0, 6.0, 7.0]);
        sum.read(0..2, 4..4, &mut []);
    }

    #[test]
    fn rows_without_a_bound_stay_zero() {
        let mut sum = ExactSum::new(2, 1);
        sum.reset(|row| if row == 0 { 0.0 } else { 10.0 });
        sum.add(&mut [0.0f32, 3.0], 0).unwrap();
        let mut out = [1.0; 2];
        sum.read(0..2, 0..1, &mut out);
        assert_eq!(out, [0.0, 3.0]);
    }

    #[test]
    fn values_beyond_the_bound_are_refused() {
        let mut sum = ExactSum::new(1, 1);
        for value in [f32::INFINITY, f32::NAN, -f32::INFINITY, 1e6] {
            sum.reset(|_| 1.0);
            assert_eq!(sum.add(&mut [value], 0), Err(BeyondBound));
        }
        sum.reset(|_| 1.0);
        assert_eq!(sum.add(&mut [1.0f32], 0), Ok(()));
    }
}
