//! Strips of rows side by side, on which an update rule works.
//!
//! Rows are stored one after the other, with components innermost. A rule needs the same component
//! of many rows in one register, because rows are independent and components are not. The loop here
//! therefore transposes one strip of rows at a time into component-major scratch, updates it there
//! and transposes it back. The width of a strip suits the machine (16 or 32 rows). Each lane is a
//! row, so the width changes no bit. Zero rows fill the last strip and are not written back.

use aligned_vec::{AVec, ConstAlign};

use super::gram::Gram;
#[cfg(target_arch = "x86_64")]
use crate::lanes::Vectors;
use crate::lanes::{Lanes, Plain};
use crate::{FactorMut, FactorRef, Isa};

/// `L::COUNT` rows, component-major. Entry `c` of each slice holds component `c` of every row.
/// Padding is zero.
pub(super) struct Strip<'a, L> {
    /// The rows, which the rule moves.
    pub(super) r: &'a mut [L],
    /// Their cross products.
    pub(super) cross: &'a [L],
    /// As many entries again, for the rule's own use.
    pub(super) scratch: &'a mut [L],
}

/// An update rule for one strip.
pub(super) trait Rule {
    /// Moves `strip.r`. Components without an [inverse diagonal](Gram::inverse_diagonal) stay as
    /// they are.
    ///
    /// # Safety
    ///
    /// The machine has the instructions of `L`.
    unsafe fn apply<L: Lanes>(&self, strip: Strip<'_, L>, gram: &Gram);
}

/// The largest number of rows in a strip, over all machines.
const WIDEST: usize = 32;

/// Memory for component-major rows, cross products and a rule's own values, kept from call to call.
/// Every strip writes it before reading, so values from earlier calls have no effect.
#[derive(Debug)]
pub(super) struct Scratch {
    values: AVec<f32, ConstAlign<64>>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch { values: AVec::new(64) }
    }
}

impl Scratch {
    /// The most bytes that a strip with rows of `ks` values needs.
    pub(super) const fn bytes(ks: usize) -> usize {
        3 * ks * WIDEST * size_of::<f32>()
    }

    /// Three slices of `ks` entries.
    #[inline(always)]
    fn lanes<L: Lanes>(&mut self, ks: usize) -> [&mut [L]; 3] {
        const {
            assert!(size_of::<L>() == 4 * L::COUNT && align_of::<L>() <= 64, "lanes lie without gaps on a cache line");
            assert!(L::COUNT <= WIDEST, "no strip is wider than the widest");
        }
        let len = 3 * ks * L::COUNT;
        if self.values.len() < len {
            // A new vector has exactly this length. Growing the old one would copy its contents and
            // could take more.
            self.values = AVec::with_capacity(64, len);
            self.values.resize(len, 0.0);
        }
        let values = &mut self.values[..len];
        // SAFETY: each entry is COUNT f32 without gaps, as just asserted, any f32 are valid
        // entries, and the values start on a multiple of 64 bytes.
        let lanes = unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<L>(), 3 * ks) };
        let (r, rest) = lanes.split_at_mut(ks);
        let (cross, spare) = rest.split_at_mut(ks);
        [r, cross, spare]
    }
}

/// Applies `rule` to all rows. `rows` and `cross` have the same shape, with `gram.ks` values a row.
///
/// # Safety
///
/// The machine has the instructions of `isa`.
pub(super) unsafe fn for_each<R: Rule>(
    isa: Isa,
    rows: FactorMut<'_>,
    cross: FactorRef<'_>,
    gram: &Gram,
    rule: &R,
    scratch: &mut Scratch,
) {
    // SAFETY: the caller guarantees the instructions.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512(rows, cross, gram, rule, scratch),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2(rows, cross, gram, rule, scratch),
            _ => strips::<Plain<16>, R>(rows, cross, gram, rule, scratch),
        }
    }
}

/// # Safety
///
/// The machine has AVX-512 F and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn avx512<R: Rule>(rows: FactorMut<'_>, cross: FactorRef<'_>, gram: &Gram, rule: &R, scratch: &mut Scratch) {
    // SAFETY: the caller guarantees the instructions.
    unsafe { strips::<Vectors<2, 0, 0>, R>(rows, cross, gram, rule, scratch) }
}

/// # Safety
///
/// The machine has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<R: Rule>(rows: FactorMut<'_>, cross: FactorRef<'_>, gram: &Gram, rule: &R, scratch: &mut Scratch) {
    // SAFETY: the caller guarantees the instructions.
    unsafe { strips::<Vectors<0, 2, 0>, R>(rows, cross, gram, rule, scratch) }
}

/// # Safety
///
/// The machine has the instructions of `L`.
#[inline(always)]
unsafe fn strips<L: Lanes, R: Rule>(
    mut rows: FactorMut<'_>,
    cross: FactorRef<'_>,
    gram: &Gram,
    rule: &R,
    scratch: &mut Scratch,
) {
    let [r, cross_lanes, spare] = scratch.lanes::<L>(gram.ks);
    for first in (0..rows.rows()).step_by(L::COUNT) {
        let some = first..rows.rows().min(first + L::COUNT);
        turn(values(r), rows.as_ref().slice(some.clone()), L::COUNT);
        turn(values(cross_lanes), cross.slice(some.clone()), L::COUNT);
        // SAFETY: the caller guarantees the instructions.
        unsafe {
            for &c in &gram.zeroed {
                r[c] = L::zero();
            }
            rule.apply(Strip { r, cross: cross_lanes, scratch: spare }, gram);
        }
        turn_back(rows.reborrow().slice(some), values(r), L::COUNT);
    }
}

/// The numbers in `lanes`, one after the other.
#[inline(always)]
fn values<L: Lanes>(lanes: &mut [L]) -> &mut [f32] {
    const { assert!(size_of::<L>() == 4 * L::COUNT, "lanes lie without gaps") };
    // SAFETY: each entry is COUNT f32 without gaps, as just asserted, and aligned at least as f32.
    unsafe { std::slice::from_raw_parts_mut(lanes.as_mut_ptr().cast(), lanes.len() * L::COUNT) }
}

/// Transposes rows to component-major order. `to` is ks × width, `rows` has at most width rows, and
/// missing rows become zeros. `width` is a multiple of 4. Squares of four rows and four components
/// are transposed in registers.
#[inline(always)]
fn turn(to: &mut [f32], rows: FactorRef<'_>, width: usize) {
    let (n, ks, ld) = (rows.rows(), rows.lanes(), rows.ld());
    if n < width {
        to.fill(0.0);
    }
    for first in (0..n / 4 * 4).step_by(4) {
        let four = &rows.values()[first * ld..][..3 * ld + ks];
        for c in (0..ks).step_by(4) {
            let row = |i: usize| -> [f32; 4] { std::array::from_fn(|j| four[i * ld + c + j]) };
            let square = [row(0), row(1), row(2), row(3)];
            for j in 0..4 {
                to[(c + j) * width + first..][..4].copy_from_slice(&square.map(|row| row[j]));
            }
        }
    }
    for i in n / 4 * 4..n {
        for (c, &value) in rows.row(i).iter().enumerate() {
            to[c * width + i] = value;
        }
    }
}

/// Transposes back from component-major order, for as many rows as `rows` has.
#[inline(always)]
fn turn_back(mut rows: FactorMut<'_>, from: &[f32], width: usize) {
    let (n, ks, ld) = (rows.rows(), rows.lanes(), rows.ld());
    for first in (0..n / 4 * 4).step_by(4) {
        let four = &mut rows.values_mut()[first * ld..][..3 * ld + ks];
        for c in (0..ks).step_by(4) {
            let component = |j: usize| -> [f32; 4] { std::array::from_fn(|r| from[(c + j) * width + first + r]) };
            let square = [component(0), component(1), component(2), component(3)];
            for r in 0..4 {
                four[r * ld + c..][..4].copy_from_slice(&square.map(|component| component[r]));
            }
        }
    }
    for i in n / 4 * 4..n {
        for (c, value) in rows.row_mut(i).iter_mut().enumerate() {
            *value = from[c * width + i];
        }
    }
}
