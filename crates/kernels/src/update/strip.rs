//! Rows side by side: how an update rule sees a few rows at once.
//!
//! Rows are stored one after the other, components within; a rule wants the same component of many rows in one
//! register, because rows are independent and components are not. So rows are turned, a strip at a time, into
//! component-major scratch, updated there and turned back. A strip is as wide as suits the machine (16 or 32 rows); a
//! lane is a row, so the width changes no bit. The last strip is filled up with zero rows, which are not written back.

use crate::Isa;
#[cfg(target_arch = "x86_64")]
use crate::lanes::Vectors;
use crate::lanes::{Lanes, Plain};

use super::gram::Gram;

/// `L::COUNT` rows, component-major: entry `c` of each slice holds component `c` of every row. Padding components are
/// zero.
pub(super) struct Strip<'a, L> {
    /// The rows, which a rule moves.
    pub(super) r: &'a mut [L],
    /// Their cross products.
    pub(super) cross: &'a [L],
    /// As many lanes again, for the rule's own use.
    pub(super) scratch: &'a mut [L],
}

/// A rule on one strip.
pub(super) trait Rule {
    /// Moves `strip.r`, leaving components without an [inverse diagonal](Gram::inverse_diagonal) as they are.
    ///
    /// # Safety
    ///
    /// The machine has the instructions of `L`.
    unsafe fn apply<L: Lanes>(&self, strip: Strip<'_, L>, gram: &Gram);
}

/// Applies `rule` to all rows: `rows` and `cross` are n × `gram.ks`.
///
/// # Safety
///
/// The machine has the instructions of `isa`.
pub(super) unsafe fn for_each<R: Rule>(isa: Isa, rows: &mut [f32], cross: &[f32], gram: &Gram, rule: &R) {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512(rows, cross, gram, rule),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2(rows, cross, gram, rule),
            _ => strips::<Plain<16>, R>(rows, cross, gram, rule),
        }
    }
}

/// # Safety
///
/// The machine has AVX-512 F and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn avx512<R: Rule>(rows: &mut [f32], cross: &[f32], gram: &Gram, rule: &R) {
    // SAFETY: the caller vouches for the instructions.
    unsafe { strips::<Vectors<2, 0, 0>, R>(rows, cross, gram, rule) }
}

/// # Safety
///
/// The machine has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<R: Rule>(rows: &mut [f32], cross: &[f32], gram: &Gram, rule: &R) {
    // SAFETY: the caller vouches for the instructions.
    unsafe { strips::<Vectors<0, 2, 0>, R>(rows, cross, gram, rule) }
}

/// # Safety
///
/// The machine has the instructions of `L`.
#[inline(always)]
unsafe fn strips<L: Lanes, R: Rule>(rows: &mut [f32], cross: &[f32], gram: &Gram, rule: &R) {
    let ks = gram.ks;
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let mut scratch = vec![L::zero(); 3 * ks];
        let (r, rest) = scratch.split_at_mut(ks);
        let (cross_lanes, spare) = rest.split_at_mut(ks);
        for (rows, cross) in rows.chunks_mut(L::COUNT * ks).zip(cross.chunks(L::COUNT * ks)) {
            turn(values(r), rows, L::COUNT, ks);
            turn(values(cross_lanes), cross, L::COUNT, ks);
            for &c in &gram.zeroed {
                r[c] = L::zero();
            }
            rule.apply(Strip { r, cross: cross_lanes, scratch: spare }, gram);
            turn_back(rows, values(r), L::COUNT, ks);
        }
    }
}

/// The numbers in `lanes`, lane by lane.
#[inline(always)]
fn values<L: Lanes>(lanes: &mut [L]) -> &mut [f32] {
    const { assert!(size_of::<L>() == 4 * L::COUNT, "lanes lie without gaps") };
    // SAFETY: lanes are nothing but COUNT f32 each, as just asserted, and as aligned as f32 at least.
    unsafe { std::slice::from_raw_parts_mut(lanes.as_mut_ptr().cast(), lanes.len() * L::COUNT) }
}

/// Component-major from row-major: `to` is ks × width, `rows` at most width × ks; missing rows become zeros. `width` is a
/// multiple of 4; squares of four rows and four components are turned in registers.
#[inline(always)]
fn turn(to: &mut [f32], rows: &[f32], width: usize, ks: usize) {
    if rows.len() < width * ks {
        to.fill(0.0);
    }
    let squares = rows.chunks_exact(4 * ks);
    let last = squares.remainder();
    for (i, four) in squares.enumerate() {
        for c in (0..ks).step_by(4) {
            let row = |i: usize| -> [f32; 4] { std::array::from_fn(|j| four[i * ks + c + j]) };
            let square = [row(0), row(1), row(2), row(3)];
            for j in 0..4 {
                to[(c + j) * width + 4 * i..][..4].copy_from_slice(&square.map(|row| row[j]));
            }
        }
    }
    let first = rows.len() / (4 * ks) * 4;
    for (i, row) in last.chunks_exact(ks).enumerate() {
        for (c, &value) in row.iter().enumerate() {
            to[c * width + first + i] = value;
        }
    }
}

/// The way back: row-major from component-major, as many rows as `rows` holds.
#[inline(always)]
fn turn_back(rows: &mut [f32], from: &[f32], width: usize, ks: usize) {
    let first = rows.len() / (4 * ks) * 4;
    let mut squares = rows.chunks_exact_mut(4 * ks);
    for (i, four) in squares.by_ref().enumerate() {
        for c in (0..ks).step_by(4) {
            let component = |j: usize| -> [f32; 4] { std::array::from_fn(|r| from[(c + j) * width + 4 * i + r]) };
            let square = [component(0), component(1), component(2), component(3)];
            for r in 0..4 {
                four[r * ks + c..][..4].copy_from_slice(&square.map(|component| component[r]));
            }
        }
    }
    for (i, row) in squares.into_remainder().chunks_exact_mut(ks).enumerate() {
        for (c, value) in row.iter_mut().enumerate() {
            *value = from[c * width + first + i];
        }
    }
}
