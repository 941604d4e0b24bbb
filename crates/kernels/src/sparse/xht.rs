//! X·Hᵀ of a tile.

use std::arch::asm;

use super::{AHEAD, prefetch};
#[cfg(target_arch = "x86_64")]
use crate::lanes::Vectors;
use crate::lanes::{Lanes, Plain, panels};
use crate::{FactorMut, FactorRef, Isa, Runs};

/// The tile's cross product with the spectra: `xht += x · hᵀ`, for the genes in `runs`.
///
/// | argument | shape           | holds                                     |
/// |----------|-----------------|-------------------------------------------|
/// | `xht`    | tile rows × k   | added to                                  |
/// | `runs`   |                 | nonzeros of the tile, gene by gene        |
/// | `ht`     | m × k           | spectra, gene-major                       |
///
/// The distances between rows may differ. Costs `2·nonzeros·stride(k)` flops and allocates nothing.
/// Rows without nonzeros are not touched, and neither are rows beyond those of the tile.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn xht(xht: FactorMut<'_>, runs: Runs<'_>, ht: FactorRef<'_>) {
    xht_with(Isa::best(), xht, runs, ht);
}

/// [`xht`](fn@xht) with the given instructions. The bits are the same; tests and comparisons use
/// it.
///
/// # Panics
///
/// When the shapes disagree or this machine does not have the instructions.
#[track_caller]
pub fn xht_with(isa: Isa, mut xht: FactorMut<'_>, runs: Runs<'_>, ht: FactorRef<'_>) {
    isa.assert_available();
    assert_eq!(xht.lanes(), ht.lanes(), "xht and ht have rows of the same width");
    assert!(xht.rows() >= runs.tile_rows(), "xht has {} rows, not {}", xht.rows(), runs.tile_rows());
    assert!(ht.rows() >= runs.m(), "ht has {} rows, not {}", ht.rows(), runs.m());
    // If rows are not a whole number of cache lines apart, most vectors of 64 bytes straddle two
    // lines, which makes stores slow.
    let isa = if !xht.ld().is_multiple_of(16) && isa == Isa::Avx512 { Isa::Avx2 } else { isa };
    let (to, from) = ((xht.values_mut().as_mut_ptr(), xht.ld()), (ht.values().as_ptr(), ht.ld()));
    for (first, width) in panels(ht.lanes()) {
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
unsafe fn panel(isa: Isa, width: usize, xht: *mut f32, xht_ld: usize, runs: Runs<'_>, ht: *const f32, ht_ld: usize) {
    // SAFETY: the caller guarantees the same.
    unsafe { lanes_for!(isa, width, over_runs, avx2, avx512(xht, xht_ld, runs, ht, ht_ld)) }
}

/// # Safety
///
/// As for [`over_runs`], on a machine with AVX-512 F and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn avx512<L: Lanes>(xht: *mut f32, xht_ld: usize, runs: Runs<'_>, ht: *const f32, ht_ld: usize) {
    // SAFETY: the caller guarantees the same.
    unsafe { over_runs::<L>(xht, xht_ld, runs, ht, ht_ld) }
}

/// # Safety
///
/// As for [`over_runs`], on a machine with AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<L: Lanes>(xht: *mut f32, xht_ld: usize, runs: Runs<'_>, ht: *const f32, ht_ld: usize) {
    // SAFETY: the caller guarantees the same.
    unsafe { over_runs::<L>(xht, xht_ld, runs, ht, ht_ld) }
}

/// The loop over all runs for one panel of components.
///
/// # Safety
///
/// `xht` points to `runs.tile_rows()` rows and `ht` to `runs.m()` rows, `xht_ld` and `ht_ld` apart,
/// of `L::COUNT` values each; the machine has the instructions of `L`.
#[inline(always)]
unsafe fn over_runs<L: Lanes>(xht: *mut f32, xht_ld: usize, runs: Runs<'_>, ht: *const f32, ht_ld: usize) {
    let (genes, ends) = (runs.genes(), runs.ends());
    let (rows, values) = (runs.rows().as_ptr(), runs.values().as_ptr());
    let mut at = 0;
    for (run, (&gene, &end)) in genes.iter().zip(ends).enumerate() {
        let ahead = genes[(run + AHEAD).min(genes.len() - 1)];
        prefetch::<L>(ht.wrapping_add(ahead as usize * ht_ld));
        // SAFETY: gene < m and row < tile_rows, so both rows are inside. `at` stays below the end
        // of the run, which is at most the number of nonzeros.
        unsafe {
            let h = L::load(ht.add(gene as usize * ht_ld));
            while at < end as usize {
                debug_assert!(at < runs.rows().len() && (*rows.add(at) as usize) < runs.tile_rows());
                let to = xht.add(*rows.add(at) as usize * xht_ld);
                h.scaled_plus(*values.add(at), L::load(to)).store(to);
                at += 1;
                // Keeps the compiler from unrolling the loop by two. Each run would then have one
                // more unpredictable branch, and k = 16 would be 12 % slower.
                asm!("", options(nomem, nostack, preserves_flags));
            }
        }
    }
}
