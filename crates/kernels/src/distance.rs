//! The distance of two vectors in f64.

use crate::Isa;

/// Sums that run side by side, so that vectors of any width give the same bits: four of the widest.
pub(crate) const LANES: usize = 32;

/// ‖a − b‖²: differences, squares and sums in f64, the terms in 32 sums by their place, which are added in
/// order, and then those that do not fill all lanes. Exactly 0 for equal vectors. Costs `3·len` flops.
///
/// # Panics
///
/// When the lengths differ.
#[track_caller]
pub fn distance_sq(a: &[f64], b: &[f64]) -> f64 {
    distance_sq_with(Isa::best(), a, b)
}

/// [`distance_sq`] with the given instructions. The bits are the same; tests use it.
///
/// # Panics
///
/// As for [`distance_sq`], or when this machine does not have the instructions.
#[track_caller]
pub fn distance_sq_with(isa: Isa, a: &[f64], b: &[f64]) -> f64 {
    isa.assert_available();
    assert_eq!(a.len(), b.len(), "both vectors have the same length");
    match isa {
        // SAFETY: the assertion above has found the instructions.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { sum_avx512(a, b) },
        // SAFETY: the assertion above has found the instructions.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { sum_avx2(a, b) },
        _ => sum(a, b),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn sum_avx512(a: &[f64], b: &[f64]) -> f64 {
    sum(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn sum_avx2(a: &[f64], b: &[f64]) -> f64 {
    sum(a, b)
}

#[inline(always)]
fn sum(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (whole_a, whole_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (rest_a, rest_b) = (whole_a.remainder(), whole_b.remainder());
    for (a, b) in whole_a.zip(whole_b) {
        for lane in 0..LANES {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    let mut sum = 0.0;
    sums.iter().for_each(|lane| sum += lane);
    rest_a.iter().zip(rest_b).for_each(|(a, b)| sum += (a - b) * (a - b));
    sum
}
