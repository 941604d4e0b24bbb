//! The product of compressed rows with a factor.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use crate::lanes::Vectors;
use crate::lanes::{GROUP_TERMS, Lanes, PANEL, Plain, panels};
use crate::{Csr, FactorMut, FactorRef, Isa};

/// `product = x · factor`, for rows in memory.
///
/// | argument  | shape       | holds                                      |
/// |-----------|-------------|--------------------------------------------|
/// | `product` | rows × k    | overwritten                                |
/// | `x`       |             | the matrix, or its transpose               |
/// | `factor`  | columns × k | H gene by gene for X·Hᵀ, W row by row for the transpose and XᵀW |
///
/// A row of the product stays in registers until it is complete, and is written once. Its terms have one order,
/// so rows can be shared out among threads in any way: groups of sixteen are summed in two chains of f32, the sums
/// of groups in f64, as in [`wtx`](fn@super::wtx). With x in both orders a pass over it needs no memory of its own
/// beside the products; x takes twice the memory for that, so it is for small matrices that are gone through often.
///
/// Costs `2·nonzeros·stride(k)` flops and allocates nothing.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn csr(product: FactorMut<'_>, x: Csr<'_>, factor: FactorRef<'_>) {
    csr_with(Isa::best(), product, x, factor);
}

/// [`csr`](fn@csr) with the given instructions. The bits are the same; tests and comparisons use it.
///
/// # Panics
///
/// When the shapes disagree or this machine does not have the instructions.
#[track_caller]
pub fn csr_with(isa: Isa, mut product: FactorMut<'_>, x: Csr<'_>, factor: FactorRef<'_>) {
    isa.assert_available();
    assert_eq!(product.lanes(), factor.lanes(), "the product and the factor have rows of the same width");
    assert!(product.rows() >= x.len(), "the product has {} rows, not {}", product.rows(), x.len());
    assert!(factor.rows() >= x.columns(), "the factor has {} rows, not {}", factor.rows(), x.columns());
    let (to, from) = ((product.values_mut().as_mut_ptr(), product.ld()), (factor.values().as_ptr(), factor.ld()));
    for (first, width) in panels(factor.lanes()) {
        // SAFETY: `CsrBuf` guarantees entries inside and columns below its number of columns. The assertions above have
        // found that many rows in the views, and the instructions. The panel lies inside a row.
        unsafe { panel(isa, width, to.0.wrapping_add(first), to.1, x, from.0.wrapping_add(first), from.1) }
    }
}

/// Selects the function for a panel of `width` values.
///
/// # Safety
///
/// As for [`over_rows`], and the machine has the instructions of `isa`.
unsafe fn panel(
    isa: Isa,
    width: usize,
    product: *mut f32,
    product_ld: usize,
    x: Csr<'_>,
    factor: *const f32,
    ld: usize,
) {
    // SAFETY: the caller guarantees the same.
    unsafe { lanes_for!(isa, width, over_rows, avx2, avx512(product, product_ld, x, factor, ld)) }
}

/// # Safety
///
/// As for [`over_rows`], on a machine with AVX-512 F and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn avx512<L: Lanes>(product: *mut f32, product_ld: usize, x: Csr<'_>, factor: *const f32, ld: usize) {
    // SAFETY: the caller guarantees the same.
    unsafe { over_rows::<L>(product, product_ld, x, factor, ld) }
}

/// # Safety
///
/// As for [`over_rows`], on a machine with AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<L: Lanes>(product: *mut f32, product_ld: usize, x: Csr<'_>, factor: *const f32, ld: usize) {
    // SAFETY: the caller guarantees the same.
    unsafe { over_rows::<L>(product, product_ld, x, factor, ld) }
}

/// The loop over all rows for one panel of components.
///
/// # Safety
///
/// `product` points to `x.len()` rows and `factor` to `x.columns()` rows, `product_ld` and `ld` apart, of `L::COUNT`
/// values each; the machine has the instructions of `L`.
#[inline(always)]
unsafe fn over_rows<L: Lanes>(product: *mut f32, product_ld: usize, x: Csr<'_>, factor: *const f32, ld: usize) {
    let mut sums = [0.0f64; PANEL];
    for (row, entries) in x.ranges().enumerate() {
        // SAFETY: the row is inside the product, and the entries inside x. A panel has at most PANEL lanes.
        unsafe {
            let to = product.add(row * product_ld);
            if entries.len() <= GROUP_TERMS {
                group::<L>(x, entries, factor, ld).store(to);
                continue;
            }
            sums[..L::COUNT].fill(0.0);
            for first in entries.clone().step_by(GROUP_TERMS) {
                let stop = entries.end.min(first + GROUP_TERMS);
                group::<L>(x, first..stop, factor, ld).add_to(sums.as_mut_ptr());
            }
            L::rounded(sums.as_ptr()).store(to);
        }
    }
}

/// The sum over some entries: even and odd positions in two chains.
///
/// # Safety
///
/// As for [`over_rows`], and the range is inside the entries.
#[inline(always)]
unsafe fn group<L: Lanes>(x: Csr<'_>, range: Range<usize>, factor: *const f32, ld: usize) -> L {
    debug_assert!(range.end <= x.indices().len());
    let (indices, values) = (x.indices().as_ptr(), x.values().as_ptr());
    // SAFETY: the caller guarantees that the range is inside; `CsrBuf`, that indices are rows of the factor.
    unsafe {
        let (mut even, mut odd) = (L::zero(), L::zero());
        let mut at = range.start;
        while at + 1 < range.end {
            even = L::load(factor.add(*indices.add(at) as usize * ld)).scaled_plus(*values.add(at), even);
            odd = L::load(factor.add(*indices.add(at + 1) as usize * ld)).scaled_plus(*values.add(at + 1), odd);
            at += 2;
        }
        if at < range.end {
            even = L::load(factor.add(*indices.add(at) as usize * ld)).scaled_plus(*values.add(at), even);
        }
        even.plus(odd)
    }
}
