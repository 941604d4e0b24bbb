//! Sums in fixed point. A share is converted to integers and added to integers, so the order of
//! shares does not matter.
//!
//! `sum[p] += round(share[p] · unit)`, where the unit of each row is a power of two. An addition
//! does the rounding: 1.5·2⁵² + x has round-to-nearest-even(x) in the low bits of its mantissa
//! while |x| ≤ 2⁵¹. A conversion is thus a multiplication, an addition and a subtraction of bit
//! patterns, and every CPU does several at a time. Each step is exact or rounded separately, so the
//! vector width does not matter. The sum does not show whether a value was too large, infinite or
//! NaN. The function therefore returns the largest magnitude, which tells whether the sum is valid.
//!
//! Before this loop was compiled for the instructions of the machine, it took a tenth of the time
//! of a pass at k = 20.

use crate::Isa;

/// 1.5·2⁵²: adding it to |x| ≤ 2⁵¹ leaves round-to-nearest-even(x) in the low bits of the mantissa.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// 2⁵¹, the largest |x| that is rounded correctly.
pub const LIMIT: f64 = 2_251_799_813_685_248.0;

/// Adds rows of a share to integer sums and sets the share to zero.
///
/// | argument | shape        | holds                                |
/// |----------|--------------|--------------------------------------|
/// | `sum`    | rows × width | added to, wrapping                   |
/// | `share`  | rows × width | f32 or f64; zero afterwards          |
/// | `units`  | rows         | powers of two that scale the rows     |
///
/// Returns the largest magnitude of a scaled value. The sum is valid only if that is at most
/// [`LIMIT`], which excludes NaN.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn add<T: Copy + Default + Into<f64>>(sum: &mut [i64], share: &mut [T], units: &[f64]) -> f64 {
    add_with(Isa::best(), sum, share, units)
}

/// [`add`] with the given instructions. The bits are the same; tests and comparisons use it.
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
        // SAFETY: the assertion above has found the instructions.
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
    // Bits without the sign are ordered like magnitudes, with infinity and NaN on top.
    let mut largest = [0i64; 4];
    for ((sum, share), &unit) in sum.chunks_exact_mut(width).zip(share.chunks_exact_mut(width)).zip(units) {
        // Strides are multiples of four. A remainder is converted value by value.
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

/// Rounds to the nearest integer, ties to even. Exact for |x| ≤ [`LIMIT`].
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
