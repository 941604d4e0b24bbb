//! WᵀX of a tile.

use std::ops::Range;

use super::{AHEAD, prefetch};
#[cfg(target_arch = "x86_64")]
use crate::lanes::Vectors;
use crate::lanes::{GROUP_TERMS, Lanes, PANEL, Plain, panels};
use crate::{FactorMut, FactorRef, Isa, Runs};

/// The tile's share of `WᵀX`, gene-major: `share += xᵀ · w`, for the genes in `runs`.
///
/// | argument | shape           | holds                                     |
/// |----------|-----------------|-------------------------------------------|
/// | `share`  | m × k           | added to                                  |
/// | `runs`   |                 | nonzeros of the tile, gene by gene        |
/// | `w`      | tile rows × k   | usages of the tile's rows                 |
///
/// The terms of a run are summed in groups of sixteen: in two chains, one for even and one for odd
/// positions in the group, each from zero in ascending order, and the two chains are added. The sum
/// of a run's only group is added to the share. Those of several groups are added to it one after
/// the other in f64, and the result is rounded once. This order is part of the definition.
///
/// The distances between rows may differ. Costs `2·nonzeros·stride(k)` flops and allocates nothing.
/// Genes without a run are not touched.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn wtx(share: FactorMut<'_>, runs: Runs<'_>, w: FactorRef<'_>) {
    wtx_with(Isa::best(), share, runs, w);
}

/// [`wtx`](fn@wtx) with the given instructions. The bits are the same; tests and comparisons use
/// it.
///
/// # Panics
///
/// When the shapes disagree or this machine does not have the instructions.
#[track_caller]
pub fn wtx_with(isa: Isa, mut share: FactorMut<'_>, runs: Runs<'_>, w: FactorRef<'_>) {
    isa.assert_available();
    assert_eq!(share.lanes(), w.lanes(), "the share and w have rows of the same width");
    assert!(share.rows() >= runs.m(), "the share has {} rows, not {}", share.rows(), runs.m());
    assert!(w.rows() >= runs.tile_rows(), "w has {} rows, not {}", w.rows(), runs.tile_rows());
    let (to, from) = ((share.values_mut().as_mut_ptr(), share.ld()), (w.values().as_ptr(), w.ld()));
    for (first, width) in panels(w.lanes()) {
        // SAFETY: `Runs` guarantees rows below tile_rows and genes below m. The assertions above
        // have found that many rows in the views, and the instructions. The panel lies inside a
        // row.
        unsafe { panel(isa, width, to.0.wrapping_add(first), to.1, runs, from.0.wrapping_add(first), from.1) }
    }
}

/// Selects the function for a panel of `width` values.
///
/// # Safety
///
/// As for [`over_runs`], and the machine has the instructions of `isa`.
unsafe fn panel(isa: Isa, width: usize, share: *mut f32, share_ld: usize, runs: Runs<'_>, w: *const f32, w_ld: usize) {
    // SAFETY: the caller guarantees the same.
    unsafe { lanes_for!(isa, width, over_runs, avx2, avx512(share, share_ld, runs, w, w_ld)) }
}

/// # Safety
///
/// As for [`over_runs`], on a machine with AVX-512 F and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn avx512<L: Lanes>(share: *mut f32, share_ld: usize, runs: Runs<'_>, w: *const f32, w_ld: usize) {
    // SAFETY: the caller guarantees the same.
    unsafe { over_runs::<L>(share, share_ld, runs, w, w_ld) }
}

/// # Safety
///
/// As for [`over_runs`], on a machine with AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<L: Lanes>(share: *mut f32, share_ld: usize, runs: Runs<'_>, w: *const f32, w_ld: usize) {
    // SAFETY: the caller guarantees the same.
    unsafe { over_runs::<L>(share, share_ld, runs, w, w_ld) }
}

/// The loop over all runs for one panel of components.
///
/// # Safety
///
/// `share` points to `runs.m()` rows and `w` to `runs.tile_rows()` rows, `share_ld` and `w_ld`
/// apart, of `L::COUNT` values each; the machine has the instructions of `L`.
#[inline(always)]
unsafe fn over_runs<L: Lanes>(share: *mut f32, share_ld: usize, runs: Runs<'_>, w: *const f32, w_ld: usize) {
    let (genes, ends) = (runs.genes(), runs.ends());
    let mut at = 0;
    let mut sums = [0.0f64; PANEL];
    for (run, (&gene, &end)) in genes.iter().zip(ends).enumerate() {
        let ahead = genes[(run + AHEAD).min(genes.len() - 1)];
        prefetch::<L>(share.wrapping_add(ahead as usize * share_ld));
        let end = end as usize;
        // SAFETY: gene < m and row < tile_rows, so both rows are inside. `at` stays below the end
        // of the run, which is at most the number of nonzeros. A panel has at most PANEL lanes.
        unsafe {
            let to = share.add(gene as usize * share_ld);
            if end - at <= GROUP_TERMS {
                L::load(to).plus(group::<L>(runs, at..end, w, w_ld)).store(to);
            } else {
                sums[..L::COUNT].fill(0.0);
                L::load(to).add_to(sums.as_mut_ptr());
                for first in (at..end).step_by(GROUP_TERMS) {
                    let stop = end.min(first + GROUP_TERMS);
                    group::<L>(runs, first..stop, w, w_ld).add_to(sums.as_mut_ptr());
                }
                L::rounded(sums.as_ptr()).store(to);
            }
            at = end;
        }
    }
}

/// The sum over some nonzeros: even and odd positions in two chains.
///
/// # Safety
///
/// As for [`over_runs`], and the range is inside the nonzeros.
#[inline(always)]
unsafe fn group<L: Lanes>(runs: Runs<'_>, range: Range<usize>, w: *const f32, w_ld: usize) -> L {
    debug_assert!(range.end <= runs.rows().len());
    let (rows, values) = (runs.rows().as_ptr(), runs.values().as_ptr());
    // SAFETY: the caller guarantees that the range is inside; `Runs`, that rows are below tile_rows.
    unsafe {
        let (mut even, mut odd) = (L::zero(), L::zero());
        let mut at = range.start;
        while at + 1 < range.end {
            even = L::load(w.add(*rows.add(at) as usize * w_ld)).scaled_plus(*values.add(at), even);
            odd = L::load(w.add(*rows.add(at + 1) as usize * w_ld)).scaled_plus(*values.add(at + 1), odd);
            at += 2;
        }
        if at < range.end {
            even = L::load(w.add(*rows.add(at) as usize * w_ld)).scaled_plus(*values.add(at), even);
        }
        even.plus(odd)
    }
}
