//! Sums in fixed point: a share becomes integers and is added to integers, so that the order of shares does not matter.
//!
//! `sum[p] += round(share[p] · unit)` for the power-of-two unit of the row. Rounding is an addition: 1.5·2⁵² + x has
//! round-to-nearest-even(x) in the low bits of its mantissa while |x| ≤ 2⁵¹. So a conversion is a multiplication, an
//! addition and a subtraction of bit patterns, several values at a time on every CPU; each is exact or rounded by itself,
//! and nothing depends on the width of a vector. Values that are too large, infinite or not a number cannot be told from
//! the sum afterwards: the largest magnitude is handed back, and its size decides whether the sum is worth anything.
//!
//! Before this was compiled for the instructions of the machine, a pass at k = 20 spent a tenth of its time here.

use crate::Isa;

/// 1.5·2⁵²: adding it to |x| ≤ 2⁵¹ leaves round-to-nearest-even(x) in the low bits of the mantissa.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// 2⁵¹, the largest |x| that is rounded as it should be.
pub const LIMIT: f64 = 2_251_799_813_685_248.0;

/// Adds rows of a share to integer sums, and clears them.
///
/// | argument | shape        | holds                                |
/// |----------|--------------|--------------------------------------|
/// | `sum`    | rows × width | added to, wrapping                   |
/// | `share`  | rows × width | f32 or f64; zero afterwards          |
/// | `units`  | rows         | powers of two that rows are scaled by |
///
/// Returns the largest magnitude of a scaled value. Unless it is at most [`LIMIT`] (NaN is not) the sum is worth nothing.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn add<T: Copy + Default + Into<f64>>(sum: &mut [i64], share: &mut [T], units: &[f64]) -> f64 {
    add_with(Isa::best(), sum, share, units)
}

/// [`add`] with the instructions named: the same bits, for tests and comparisons.
///
/// # Panics
///
/// When the shapes disagree, or this machine does not have the instructions.
#[track_caller]
pub fn add_with<T: Copy + Default + Into<f64>>(isa: Isa, sum: &mut [i64], share: &mut [T], units: &[f64]) -> f64 {
    isa.assert_available();
    assert_eq!(sum.len(), share.len(), "sum and share have the same shape");
    let width = sum.len() / units.len().max(1);
    assert_eq!(sum.len(), units.len() * width, "sum and share are whole rows, one a unit");
    if width == 0 {
        return 0.0;
    }
    match isa {
        // SAFETY: the instructions were asked for above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512(sum, share, units, width) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2(sum, share, units, width) },
        _ => rows(sum, share, units, width),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn avx512<T: Copy + Default + Into<f64>>(sum: &mut [i64], share: &mut [T], units: &[f64], width: usize) -> f64 {
    rows(sum, share, units, width)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<T: Copy + Default + Into<f64>>(sum: &mut [i64], share: &mut [T], units: &[f64], width: usize) -> f64 {
    rows(sum, share, units, width)
}

/// The loop, compiled once for each set of instructions.
#[inline(always)]
fn rows<T: Copy + Default + Into<f64>>(sum: &mut [i64], share: &mut [T], units: &[f64], width: usize) -> f64 {
    // As bits without the sign, which are ordered like magnitudes, with infinity and NaN on top.
    let mut largest = [0i64; 4];
    for ((sum, share), &unit) in sum.chunks_exact_mut(width).zip(share.chunks_exact_mut(width)).zip(units) {
        // By fours, as strides are: a remainder would be done one by one.
        let (sums, sums_left) = sum.as_chunks_mut::<4>();
        let (shares, shares_left) = share.as_chunks_mut::<4>();
        for (sum, share) in sums.iter_mut().zip(shares) {
            for ((sum, share), largest) in sum.iter_mut().zip(share).zip(&mut largest) {
                one(sum, share, unit, largest);
            }
        }
        for (sum, share) in sums_left.iter_mut().zip(shares_left) {
            one(sum, share, unit, &mut largest[0]);
        }
    }
    f64::from_bits(largest.into_iter().fold(0, i64::max) as u64)
}

#[inline(always)]
fn one<T: Copy + Default + Into<f64>>(sum: &mut i64, share: &mut T, unit: f64, largest: &mut i64) {
    let scaled = (*share).into() * unit;
    *largest = (*largest).max((scaled.to_bits() & !(1 << 63)) as i64);
    *sum = sum.wrapping_add(integer(scaled));
    *share = T::default();
}

/// Round to nearest, ties to even, as an integer; exact for |x| ≤ [`LIMIT`].
#[inline(always)]
fn integer(x: f64) -> i64 {
    ((x + MAGIC).to_bits() as i64).wrapping_sub(MAGIC.to_bits() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_round_to_nearest_even() {
        let mut eighths = -8_000_000_000_000_000i64;
        while eighths < 8_000_000_000_000_000 {
            let x = eighths as f64 / 8.0;
            assert_eq!(integer(x), x.round_ties_even() as i64);
            eighths += 1_234_567_890_123;
        }
        for x in [0.5, 1.5, 2.5, -0.5, -1.5, 0.49999999999999994, LIMIT, -LIMIT] {
            assert_eq!(integer(x), x.round_ties_even() as i64);
        }
    }
}
