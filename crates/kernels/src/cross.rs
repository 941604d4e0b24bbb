//! Products of tall factors with each other and with small matrices, in f64: AᵀB, and rows times a
//! matrix. Orthonormal directions are made of them.
//!
//! Each element of a result adds its terms in one order, and a multiplication and an addition are two
//! roundings. The vector lanes are elements of the result, so the width of the vectors does not show.
//! As in [`gram`](crate::gram), rows are widened to f64 once, a few at a time, and a block of 4 × 8
//! elements stays in registers.

use crate::{FactorRef, Isa};

/// Rows that are widened at a time.
const ROWS: usize = 64;
/// Elements of a register block: `HIGH` rows of `WIDE` elements.
const HIGH: usize = 4;
/// See [`HIGH`].
const WIDE: usize = 8;

/// `out += Σ_i a_i b_iᵀ` over the rows, summed in f64 row after row.
///
/// | argument | shape   | holds    |
/// |----------|---------|----------|
/// | `out`    | ka × kb | added to |
/// | `a`      | n × ka  | rows     |
/// | `b`      | n × kb  | rows     |
///
/// Costs `2·n·ka·kb` flops and allocates 64 rows of f64 of each.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn add_cross(out: &mut [f64], a: FactorRef<'_>, b: FactorRef<'_>) {
    add_cross_with(Isa::best(), out, a, b);
}

/// [`add_cross`] with the given instructions. The bits are the same; tests use it.
///
/// # Panics
///
/// As for [`add_cross`], or when this machine does not have the instructions.
#[track_caller]
pub fn add_cross_with(isa: Isa, out: &mut [f64], a: FactorRef<'_>, b: FactorRef<'_>) {
    isa.assert_available();
    assert_eq!(out.len(), a.k() * b.k(), "the product is {} × {}", a.k(), b.k());
    assert_eq!(a.rows(), b.rows(), "a and b have the same rows");
    match isa {
        // SAFETY: the assertion above has found the instructions.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { cross_avx512(out, a, b) },
        // SAFETY: the assertion above has found the instructions.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { cross_avx2(out, a, b) },
        _ => cross(out, a, b),
    }
}

/// `out += rows · matrix`, each sum in f64 and then rounded once.
///
/// | argument | shape       | holds                             |
/// |----------|-------------|-----------------------------------|
/// | `out`    | n × k       | added to, rows `out_ks` apart     |
/// | `rows`   | n × ka      | rows                              |
/// | `matrix` | ka × k      | row-major                         |
///
/// Costs `2·n·ka·k` flops and allocates 64 rows of f64.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn add_product(out: &mut [f32], (k, out_ks): (usize, usize), rows: FactorRef<'_>, matrix: &[f64]) {
    add_product_with(Isa::best(), out, (k, out_ks), rows, matrix);
}

/// [`add_product`] with the given instructions. The bits are the same; tests use it.
///
/// # Panics
///
/// As for [`add_product`], or when this machine does not have the instructions.
#[track_caller]
pub fn add_product_with(isa: Isa, out: &mut [f32], (k, out_ks): (usize, usize), rows: FactorRef<'_>, matrix: &[f64]) {
    isa.assert_available();
    assert_eq!(matrix.len(), rows.k() * k, "the matrix is {} × {k}", rows.k());
    assert!(k <= out_ks && out.len() == rows.rows() * out_ks, "out has a row for each of the {} rows", rows.rows());
    match isa {
        // SAFETY: the assertion above has found the instructions.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { product_avx512(out, (k, out_ks), rows, matrix) },
        // SAFETY: the assertion above has found the instructions.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { product_avx2(out, (k, out_ks), rows, matrix) },
        _ => product(out, (k, out_ks), rows, matrix),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn cross_avx512(out: &mut [f64], a: FactorRef<'_>, b: FactorRef<'_>) {
    cross(out, a, b);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn cross_avx2(out: &mut [f64], a: FactorRef<'_>, b: FactorRef<'_>) {
    cross(out, a, b);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn product_avx512(out: &mut [f32], shape: (usize, usize), rows: FactorRef<'_>, matrix: &[f64]) {
    product(out, shape, rows, matrix);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn product_avx2(out: &mut [f32], shape: (usize, usize), rows: FactorRef<'_>, matrix: &[f64]) {
    product(out, shape, rows, matrix);
}

/// The rows in f64, `wide` apart, those beyond the k of a row zero.
#[inline(always)]
fn widen(into: &mut Vec<f64>, rows: FactorRef<'_>, wide: usize) {
    into.clear();
    into.resize(rows.rows() * wide, 0.0);
    for (to, row) in into.chunks_exact_mut(wide).zip(rows.iter()) {
        to.iter_mut().zip(&row[..rows.k()]).for_each(|(to, &value)| *to = f64::from(value));
    }
}

#[inline(always)]
fn cross(out: &mut [f64], a: FactorRef<'_>, b: FactorRef<'_>) {
    let (ka, kb) = (a.k(), b.k());
    let (wide_a, wide_b) = (ka.next_multiple_of(HIGH), kb.next_multiple_of(WIDE));
    let (mut rows_a, mut rows_b) = (Vec::new(), Vec::new());
    for first in (0..a.rows()).step_by(ROWS) {
        let some = first..a.rows().min(first + ROWS);
        widen(&mut rows_a, a.slice(some.clone()), wide_a);
        widen(&mut rows_b, b.slice(some), wide_b);
        for top in (0..ka).step_by(HIGH) {
            for left in (0..kb).step_by(WIDE) {
                let (high, width) = (HIGH.min(ka - top), WIDE.min(kb - left));
                let mut sums = [[0.0f64; WIDE]; HIGH];
                for i in 0..high {
                    sums[i][..width].copy_from_slice(&out[(top + i) * kb + left..][..width]);
                }
                for (a, b) in rows_a.chunks_exact(wide_a).zip(rows_b.chunks_exact(wide_b)) {
                    let right: [f64; WIDE] = std::array::from_fn(|j| b[left + j]);
                    for i in 0..HIGH {
                        let factor = a[top + i];
                        for j in 0..WIDE {
                            sums[i][j] += factor * right[j];
                        }
                    }
                }
                for i in 0..high {
                    out[(top + i) * kb + left..][..width].copy_from_slice(&sums[i][..width]);
                }
            }
        }
    }
}

#[inline(always)]
fn product(out: &mut [f32], (k, out_ks): (usize, usize), rows: FactorRef<'_>, matrix: &[f64]) {
    let (ka, wide) = (rows.k(), k.next_multiple_of(WIDE));
    let mut widened = Vec::new();
    let mut padded = vec![0.0f64; ka * wide];
    for (to, row) in padded.chunks_exact_mut(wide).zip(matrix.chunks_exact(k)) {
        to[..k].copy_from_slice(row);
    }
    for first in (0..rows.rows()).step_by(ROWS) {
        let some = rows.slice(first..rows.rows().min(first + ROWS));
        widen(&mut widened, some, ka);
        // Zero rows complete the last block of four.
        widened.resize(some.rows().next_multiple_of(HIGH) * ka, 0.0);
        let out = &mut out[first * out_ks..][..some.rows() * out_ks];
        for left in (0..k).step_by(WIDE) {
            let width = WIDE.min(k - left);
            for (out, four) in out.chunks_mut(HIGH * out_ks).zip(widened.chunks_exact(HIGH * ka)) {
                let mut sums = [[0.0f64; WIDE]; HIGH];
                for (d, row) in padded.chunks_exact(wide).enumerate() {
                    let right: [f64; WIDE] = std::array::from_fn(|j| row[left + j]);
                    for i in 0..HIGH {
                        let factor = four[i * ka + d];
                        for j in 0..WIDE {
                            sums[i][j] += factor * right[j];
                        }
                    }
                }
                for (row, sums) in out.chunks_mut(out_ks).zip(&sums) {
                    for (value, sum) in row[left..left + width].iter_mut().zip(sums) {
                        *value = (f64::from(*value) + sum) as f32;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FactorBuf, stride};

    fn factor(rows: usize, k: usize, seed: usize) -> FactorBuf {
        let mut buf = FactorBuf::zeros(rows, k);
        let ks = stride(k);
        for i in 0..rows {
            for c in 0..k {
                buf[i * ks + c] = ((i * 37 + c * 11 + seed * 7) % 101) as f32 / 17.0 - 3.0;
            }
        }
        buf
    }

    #[test]
    fn products_are_those_of_the_definition_with_all_instructions() {
        for (rows, ka, kb) in [(0, 3, 2), (1, 1, 1), (5, 4, 8), (64, 9, 17), (131, 33, 7), (67, 8, 40)] {
            let (a, b) = (factor(rows, ka, 1), factor(rows, kb, 2));
            let matrix: Vec<f64> = (0..ka * kb).map(|i| (i % 13) as f64 / 3.0 - 1.0).collect();
            let (sa, sb) = (stride(ka), stride(kb));
            for isa in Isa::available() {
                let mut out = vec![1.0; ka * kb];
                add_cross_with(isa, &mut out, a.view(rows, ka), b.view(rows, kb));
                for (at, found) in out.iter().enumerate() {
                    let (c, d) = (at / kb, at % kb);
                    let naive = (0..rows).fold(1.0, |sum, i| sum + f64::from(a[i * sa + c]) * f64::from(b[i * sb + d]));
                    assert_eq!(*found, naive, "{isa:?} {rows} {ka} {kb}");
                }
                let mut out = factor(rows, kb, 3);
                let before = out.clone();
                add_product_with(isa, &mut out, (kb, sb), a.view(rows, ka), &matrix);
                for (at, &found) in out.iter().enumerate() {
                    let (i, d) = (at / sb, at % sb);
                    if d >= kb {
                        assert_eq!(found, 0.0, "padding stays zero");
                        continue;
                    }
                    let sum = (0..ka).fold(0.0, |sum, c| sum + f64::from(a[i * sa + c]) * matrix[c * kb + d]);
                    assert_eq!(found, (f64::from(before[at]) + sum) as f32, "{isa:?} {rows} {ka} {kb}");
                }
            }
        }
    }
}
