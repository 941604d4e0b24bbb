//! Gram matrices of factors: WᵀW from a block's usages, H·Hᵀ from gene-major spectra.
//!
//! The plain algorithm adds `r rᵀ` for each row `r` in turn, in f64
//! ([`naive::gram`](crate::naive::gram)). The product of two f32 is exact in f64 (48 bits of 53),
//! so fusing it with the addition changes nothing. The vector width changes nothing either: each
//! lane is an element of the matrix and adds its terms in the order of the rows. The fast version
//! differs in three ways:
//!
//! - It widens each row to f64 once, a few rows at a time.
//! - It keeps a block of 4 × 8 elements in registers over those rows.
//! - It computes only blocks that touch the upper triangle and mirrors them, so the result is
//!   symmetric to the last bit.

use crate::{FactorRef, Isa};

/// Rows that are widened at a time. With 64 components they take 32 KiB.
const ROWS: usize = 64;
/// Elements of a register block: `HIGH` rows, each in a vector or two of `WIDE` elements.
const HIGH: usize = 4;
/// See [`HIGH`].
const WIDE: usize = 8;

/// `out += Σ_i r_i r_iᵀ` over the rows, summed in f64 row after row.
///
/// | argument | shape  | holds                                                                   |
/// |----------|--------|-------------------------------------------------------------------------|
/// | `out`    | k × k  | added to; symmetric before (only its upper triangle is read) and after  |
/// | `rows`   | n × k  | the factor's rows                                                       |
///
/// Several calls with parts of the rows give the same bits as one call with all of them, because
/// each call continues the sums in `out`.
///
/// Costs about `n·k²` flops and allocates 64 rows of f64 of scratch.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn add_gram(out: &mut [f64], rows: FactorRef<'_>) {
    add_gram_with(Isa::best(), out, rows);
}

/// [`add_gram`] with the given instructions. The bits are the same; tests and comparisons use it.
///
/// # Panics
///
/// As for [`add_gram`], or when this machine does not have the instructions.
#[track_caller]
pub fn add_gram_with(isa: Isa, out: &mut [f64], rows: FactorRef<'_>) {
    isa.assert_available();
    let k = rows.k();
    assert_eq!(out.len(), k * k, "the Gram matrix is {k} × {k}");
    match isa {
        // SAFETY: the assertion above has found the instructions.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512(out, rows) },
        // SAFETY: the assertion above has found the instructions.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2(out, rows) },
        _ => add(out, rows),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn avx512(out: &mut [f64], rows: FactorRef<'_>) {
    add(out, rows);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(out: &mut [f64], rows: FactorRef<'_>) {
    add(out, rows);
}

#[inline(always)]
fn add(out: &mut [f64], rows: FactorRef<'_>) {
    let k = rows.k();
    let wide = rows.lanes().next_multiple_of(WIDE);
    let mut widened = vec![0.0f64; ROWS * wide];
    for first in (0..rows.rows()).step_by(ROWS) {
        let some = rows.slice(first..rows.rows().min(first + ROWS));
        for (to, row) in widened.chunks_exact_mut(wide).zip(some.iter()) {
            for (to, &value) in to.iter_mut().zip(row) {
                *to = f64::from(value);
            }
        }
        let widened = &widened[..some.rows() * wide];
        for top in (0..k).step_by(HIGH) {
            for left in (top / WIDE * WIDE..k).step_by(WIDE) {
                block(out, widened, wide, k, top, left);
            }
        }
    }
    for a in 0..k {
        for b in 0..a {
            out[a * k + b] = out[b * k + a];
        }
    }
}

/// The elements `top.. × left..` of the matrix.
#[inline(always)]
fn block(out: &mut [f64], widened: &[f64], wide: usize, k: usize, top: usize, left: usize) {
    let (high, width) = (HIGH.min(k - top), WIDE.min(k - left));
    let mut sums = [[0.0f64; WIDE]; HIGH];
    for i in 0..high {
        sums[i][..width].copy_from_slice(&out[(top + i) * k + left..][..width]);
    }
    for row in widened.chunks_exact(wide) {
        let right: [f64; WIDE] = std::array::from_fn(|j| row[left + j]);
        for i in 0..HIGH {
            let factor = row[top + i];
            for j in 0..WIDE {
                sums[i][j] += factor * right[j];
            }
        }
    }
    for i in 0..high {
        out[(top + i) * k + left..][..width].copy_from_slice(&sums[i][..width]);
    }
}
