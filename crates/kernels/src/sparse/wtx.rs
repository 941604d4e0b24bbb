//! WᵀX of a tile.

use super::{AHEAD, panels, prefetch};
#[cfg(target_arch = "x86_64")]
use crate::lanes::Vectors;
use crate::lanes::{Lanes, Plain};
use crate::{Isa, Runs};

/// The tile's share of `WᵀX`, gene-major: `share += xᵀ · w`, for the genes in `runs`.
///
/// | argument | shape           | holds                                     |
/// |----------|-----------------|-------------------------------------------|
/// | `share`  | m × ks          | added to                                  |
/// | `runs`   |                 | nonzeros of the tile, gene by gene        |
/// | `w`      | tile rows × ks  | usages of the tile's rows                 |
///
/// A run's terms are summed in two chains, even and odd positions in the run, each from zero in ascending order; the
/// chains are added, then their sum is added to the share. That order is part of the definition.
///
/// Costs `2·nonzeros·ks` flops and allocates nothing. Genes without a run are not touched.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn wtx(share: &mut [f32], runs: Runs<'_>, w: &[f32], ks: usize) {
    wtx_with(Isa::best(), share, runs, w, ks);
}

/// [`wtx`](fn@wtx) with the instructions named: the same bits, for tests and comparisons.
///
/// # Panics
///
/// When the shapes disagree, or this machine does not have the instructions.
#[track_caller]
pub fn wtx_with(isa: Isa, share: &mut [f32], runs: Runs<'_>, w: &[f32], ks: usize) {
    isa.assert_available();
    assert_eq!(ks % 4, 0, "the stride is a multiple of 4");
    assert!(share.len() >= runs.m() * ks, "the share has {} values, not {} × {ks}", share.len(), runs.m());
    assert!(w.len() >= runs.tile_rows() * ks, "w has {} values, not {} × {ks}", w.len(), runs.tile_rows());
    for (first, width) in panels(ks) {
        // SAFETY: `Runs` promises rows below tile_rows and genes below m, the two asserts make these rows of ks values
        // each, and the panel lies inside a row. The instructions were asked for above.
        unsafe { panel(isa, width, share.as_mut_ptr().add(first), runs, w.as_ptr().add(first), ks) }
    }
}

/// Picks the function for `width` lanes.
///
/// # Safety
///
/// As for [`sweep`], and the machine has the instructions of `isa`.
unsafe fn panel(isa: Isa, width: usize, share: *mut f32, runs: Runs<'_>, w: *const f32, ks: usize) {
    // SAFETY: handed on to the caller.
    unsafe { lanes_for!(isa, width, sweep, avx2, avx512(share, runs, w, ks)) }
}

/// # Safety
///
/// As for [`sweep`], on a machine with AVX-512 F and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn avx512<L: Lanes>(share: *mut f32, runs: Runs<'_>, w: *const f32, ks: usize) {
    // SAFETY: handed on to the caller.
    unsafe { sweep::<L>(share, runs, w, ks) }
}

/// # Safety
///
/// As for [`sweep`], on a machine with AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<L: Lanes>(share: *mut f32, runs: Runs<'_>, w: *const f32, ks: usize) {
    // SAFETY: handed on to the caller.
    unsafe { sweep::<L>(share, runs, w, ks) }
}

/// One panel of lanes over all runs.
///
/// # Safety
///
/// `share` points to `runs.m()` rows and `w` to `runs.tile_rows()` rows, `ks` apart, of `L::COUNT` values each; the
/// machine has the instructions of `L`.
#[inline(always)]
unsafe fn sweep<L: Lanes>(share: *mut f32, runs: Runs<'_>, w: *const f32, ks: usize) {
    let (genes, ends) = (runs.genes(), runs.ends());
    let (rows, values) = (runs.rows().as_ptr(), runs.values().as_ptr());
    let mut at = 0;
    for (run, (&gene, &end)) in genes.iter().zip(ends).enumerate() {
        let ahead = genes[(run + AHEAD).min(genes.len() - 1)];
        prefetch::<L>(share.wrapping_add(ahead as usize * ks));
        let end = end as usize;
        // SAFETY: gene < m, so its row is inside; `at` stays below the run's end, which is at most the number of
        // nonzeros; row < tile_rows.
        unsafe {
            let (mut even, mut odd) = (L::zero(), L::zero());
            while at + 1 < end {
                debug_assert!(at + 1 < runs.rows().len());
                even = L::load(w.add(*rows.add(at) as usize * ks)).scaled_plus(*values.add(at), even);
                odd = L::load(w.add(*rows.add(at + 1) as usize * ks)).scaled_plus(*values.add(at + 1), odd);
                at += 2;
            }
            if at < end {
                even = L::load(w.add(*rows.add(at) as usize * ks)).scaled_plus(*values.add(at), even);
                at += 1;
            }
            let to = share.add(gene as usize * ks);
            L::load(to).plus(even.plus(odd)).store(to);
        }
    }
}
