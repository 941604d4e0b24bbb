//! WᵀX of a dense tile.
//!
//! faer's product sums all rows of a tile in one chain of f32. Where rows are alike their roundings
//! all go the same way, and the loss of a constant matrix was off by 5e-6 of ‖X‖². This kernel sums
//! a few rows in f32 and their sums in f64, as the sparse one does. Time of a product beside
//! faer's: 0.7 at k = 4, 1 at k = 20, 1.2 to 1.5 at k = 64 (29 Nov 2026, 2 cores of a Xeon with
//! AVX-512 and other work, tiles of 256 × 1,000 and 128 × 2,000).

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use crate::lanes::Vectors;
use crate::lanes::{GROUP_TERMS, Lanes, PANEL, Plain, panels};
use crate::{FactorMut, FactorRef, Isa};

/// Genes whose sums in f64 stay in the L1 cache while the rows of a tile go by.
const CHUNK: usize = 64;

/// The tile's share of `WᵀX`, gene-major: `share += xᵀ · w`.
///
/// | argument | shape  | holds                                  |
/// |----------|--------|----------------------------------------|
/// | `share`  | m × k  | added to                               |
/// | `x`      | b × m  | the tile, row-major                    |
/// | `w`      | b × k  | usages of the tile's rows              |
///
/// Rows are summed in groups of sixteen: in two chains, one for even and one for odd positions in
/// the group, each from zero in ascending order, and the two chains are added. The sums of the
/// groups are added to the share one after the other in f64, and the result is rounded once. This
/// order is part of the definition.
///
/// Costs `2·b·m·stride(k)` flops and allocates nothing.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn wtx(share: FactorMut<'_>, x: &[f32], w: FactorRef<'_>) {
    wtx_with(Isa::best(), share, x, w);
}

/// [`wtx`](fn@wtx) with the given instructions. The bits are the same; tests and comparisons use
/// it.
///
/// # Panics
///
/// When the shapes disagree or this machine does not have the instructions.
#[track_caller]
pub fn wtx_with(isa: Isa, mut share: FactorMut<'_>, x: &[f32], w: FactorRef<'_>) {
    isa.assert_available();
    let (b, m) = (w.rows(), share.rows());
    assert_eq!(share.k(), w.k(), "the share and w have the same components");
    assert_eq!(x.len(), b * m, "x is {b} × {m}, as the rows of w and of the share");
    let (to, from) = ((share.values_mut().as_mut_ptr(), share.ld()), (w.values().as_ptr(), w.ld()));
    for (first, width) in panels(w.lanes()) {
        let tile = Tile {
            x: x.as_ptr(),
            b,
            m,
            w: from.0.wrapping_add(first),
            w_ld: from.1,
            share: to.0.wrapping_add(first),
            share_ld: to.1,
        };
        // SAFETY: the assertions above have found b × m values in x and the instructions. The
        // views have b and m rows, and the panel lies inside a row.
        unsafe { panel(isa, width, &tile) }
    }
}

/// A tile and one panel of its factors.
struct Tile {
    /// b × m values, row-major.
    x: *const f32,
    b: usize,
    m: usize,
    /// b rows, `w_ld` apart.
    w: *const f32,
    w_ld: usize,
    /// m rows, `share_ld` apart.
    share: *mut f32,
    share_ld: usize,
}

/// Selects the function for a panel of `width` values.
///
/// # Safety
///
/// As for [`over_genes`], and the machine has the instructions of `isa`.
unsafe fn panel(isa: Isa, width: usize, tile: &Tile) {
    // SAFETY: the caller guarantees the same.
    unsafe { lanes_for!(isa, width, over_genes, avx2, avx512(tile)) }
}

/// # Safety
///
/// As for [`over_genes`], on a machine with AVX-512 F and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn avx512<L: Lanes>(tile: &Tile) {
    // SAFETY: the caller guarantees the same.
    unsafe { over_genes::<L>(tile) }
}

/// # Safety
///
/// As for [`over_genes`], on a machine with AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<L: Lanes>(tile: &Tile) {
    // SAFETY: the caller guarantees the same.
    unsafe { over_genes::<L>(tile) }
}

/// The loop over all genes for one panel of components.
///
/// # Safety
///
/// The pointers of `tile` are those of its shapes, with rows of `L::COUNT` values; the machine has
/// the instructions of `L`.
#[inline(always)]
unsafe fn over_genes<L: Lanes>(tile: &Tile) {
    let mut sums = [0.0f64; CHUNK * PANEL];
    for first in (0..tile.m).step_by(CHUNK) {
        let genes = first..tile.m.min(first + CHUNK);
        let sums = &mut sums[..genes.len() * L::COUNT];
        sums.fill(0.0);
        // SAFETY: genes and rows are inside the tile, and `sums` has L::COUNT values a gene.
        unsafe {
            for (gene, sums) in genes.clone().zip(sums.chunks_exact_mut(L::COUNT)) {
                L::load(tile.share.add(gene * tile.share_ld)).add_to(sums.as_mut_ptr());
            }
            for row in (0..tile.b).step_by(GROUP_TERMS) {
                let rows = row..tile.b.min(row + GROUP_TERMS);
                let mut gene = genes.start;
                let mut to = sums.as_mut_ptr();
                // As many genes as there are registers for: two chains each, and two rows of W.
                if L::COUNT <= 48 {
                    while gene + 4 <= genes.end {
                        group::<L, 4>(to, tile, gene, rows.clone());
                        (gene, to) = (gene + 4, to.wrapping_add(4 * L::COUNT));
                    }
                }
                while gene + 2 <= genes.end {
                    group::<L, 2>(to, tile, gene, rows.clone());
                    (gene, to) = (gene + 2, to.wrapping_add(2 * L::COUNT));
                }
                if gene < genes.end {
                    group::<L, 1>(to, tile, gene, rows);
                }
            }
            for (gene, sums) in genes.zip(sums.chunks_exact(L::COUNT)) {
                L::rounded(sums.as_ptr()).store(tile.share.add(gene * tile.share_ld));
            }
        }
    }
}

/// Adds the sums over some rows, even and odd ones in two chains, to those of `GENES` genes.
///
/// # Safety
///
/// As for [`over_genes`]; the rows and genes are inside the tile, and `sums` has `L::COUNT` values a
/// gene.
#[inline(always)]
unsafe fn group<L: Lanes, const GENES: usize>(sums: *mut f64, tile: &Tile, gene: usize, rows: Range<usize>) {
    // SAFETY: the caller guarantees that rows and genes are inside.
    unsafe {
        let (mut even, mut odd) = ([L::zero(); GENES], [L::zero(); GENES]);
        let mut row = rows.start;
        while row + 1 < rows.end {
            let x = tile.x.add(row * tile.m + gene);
            let w = tile.w.add(row * tile.w_ld);
            let (first, second) = (L::load(w), L::load(w.add(tile.w_ld)));
            for j in 0..GENES {
                even[j] = first.scaled_plus(*x.add(j), even[j]);
                odd[j] = second.scaled_plus(*x.add(tile.m + j), odd[j]);
            }
            row += 2;
        }
        if row < rows.end {
            let x = tile.x.add(row * tile.m + gene);
            let w = L::load(tile.w.add(row * tile.w_ld));
            for (j, even) in even.iter_mut().enumerate() {
                *even = w.scaled_plus(*x.add(j), *even);
            }
        }
        for j in 0..GENES {
            even[j].plus(odd[j]).add_to(sums.add(j * L::COUNT));
        }
    }
}
