//! The two products of a sparse tile with its factors, straight from the decoded runs of its genes.
//!
//! # The plain algorithm
//!
//! A tile is up to 256 rows of X. For a nonzero `v` at row `i` and gene `j`, with `h` the gene's row of H (gene-major,
//! m × ks) and `w` the cell's row of W (b × ks),
//!
//! ```text
//! X·Hᵀ:   xht[i, c]   += v · h[j, c]        for every component c
//! WᵀX:    share[j, c] += v · w[i, c]
//! ```
//!
//! [`naive::sparse`](crate::naive::sparse) says just that, in the same order of operations, and gives the same bits.
//!
//! # What is done instead, and why it is harmless
//!
//! - **By gene.** Nonzeros come in runs, all of a gene in the tile. For X·Hᵀ the gene's row of H is loaded once a run and the
//!   tile's X·Hᵀ, which fits the first or second cache, is read and written; for WᵀX the gene's sum lives in registers
//!   for the run and the tile's rows of W are read. Rows of a run differ, so an element of X·Hᵀ gets its terms in the
//!   order of the runs whatever is done inside one.
//! - **SIMD across components.** A lane is a component: lanes never meet in one sum, so a wider vector changes nothing.
//!   Multiply-adds are fused in every implementation, down to `f32::mul_add`.
//! - **A function for each number of lanes** up to 64 in steps of four, so that a row is a fixed handful of
//!   registers and k = 20 costs 20 lanes and not 32. More lanes than that are taken in panels, one after the other over
//!   the same runs: again lanes only.
//! - **Two chains.** Adding up a run of WᵀX in one register waits for each multiply-add to end. Even and odd positions
//!   of the run are summed apart, each from zero in ascending order, then added, and the sum is added to the share. This
//!   order is part of the definition: every implementation and the naive twin follow it.
//! - **Tight loops.** Runs are short, 18 nonzeros on average and at most 8 for half of the genes, so at small k the end of a run
//!   costs as much as its nonzeros where it cannot be predicted. It can where runs come sorted by length, as a decoder
//!   is to hand them out; for the rest X·Hᵀ has one branch a run and no more.
//! - **Asking ahead.** Genes of runs sorted by length jump, so a gene's row of H or WᵀX, which lies in the second or third cache,
//!   is asked for a few runs before it is needed. With both, k = 20, runs of a whole tile of the benchmark's counts: X·Hᵀ
//!   701 → 768, WᵀX 808 → 1,060 Mnnz/s; without asking ahead X·Hᵀ 708 and WᵀX 903. At k = 64: 316 → 326 and 467 → 501.
//! - **No checks inside.** [`Runs`](crate::Runs) has checked rows, genes and ends against the tile and the matrix; here only the
//!   lengths of the factors are compared with what it promises.
//!
//! # What was tried and did not pay
//!
//! Both products unless said, Mnnz/s of thread CPU time, best of several, on one core of a shared 2-core EPYC (Zen 4,
//! AVX-512, 32 KiB of L1d), 24 Nov 2026; tiles as in `benches/kernels`: 20,000 genes, 1,060 nonzeros a cell.
//!
//! - Sorting the runs by length here, batch by batch: k = 16 486 → 432, k = 64 144 → 121. It pays where they are decoded, once
//!   for both products. Telling apart lengths beyond 32: no difference; only those up to 16: WᵀX 4 % slower.
//! - Rows of X·Hᵀ on strides of 24 and 28 lanes at k = 20, so that fewer vectors straddle two cache lines: 745 → 763 and
//!   710; a whole line and four lanes on strides of 20: 681. Stores are what limits it, one vector of eight a cycle.
//! - X·Hᵀ alone with the gene written beside each nonzero and one flat loop, H read again each time: k = 16 833 → 634.
//! - Ends of runs without branches, a last four with up to three of it masked: where runs have three nonzeros k = 16
//!   171 → 247, but on whole tiles 483 → 429, and worse with more components. Four chains in WᵀX, tried with it: no
//!   faster even for runs of 146 (1,715 → 1,683), and too many registers for AVX2.
//! - One loop for both chains by swapping two registers: k = 16 495 → 502, nothing from 32 up, and for odd widths the
//!   swap goes through memory, ten times slower.
//! - Values taken sixteen at a time and broadcast from a register: k = 16 468 → 451, k = 32 340 → 332. Not tried for this
//!   reason: leaving out the values that are 1, which would save the same loads and no multiplication (it is fused).
//! - Asking ahead where runs are in gene order: no difference beyond noise at k = 16, 32 and 64, the machine does it itself.
//! - Panels of 32 components, to keep a tile in L1: k = 48 235 → 194, k = 64 179 → 153.

#[macro_use]
mod dispatch;
mod wtx;
mod xht;

use crate::lanes::Lanes;

pub use wtx::{wtx, wtx_with};
pub use xht::{xht, xht_with};

/// The most lanes that one sweep over the runs takes; a larger stride is cut into near-equal panels.
const PANEL: usize = 64;

/// How many runs ahead the gene's row of a factor is asked for.
const AHEAD: usize = 8;

/// Asks for the cache lines of `L::COUNT` values from `row` on.
#[inline(always)]
fn prefetch<L: Lanes>(row: *const f32) {
    #[cfg(target_arch = "x86_64")]
    for value in (0..L::COUNT).step_by(16).chain([L::COUNT - 1]) {
        // SAFETY: a hint, which reads nothing that a program could see, wherever it points.
        unsafe {
            std::arch::x86_64::_mm_prefetch(row.wrapping_add(value).cast::<i8>(), std::arch::x86_64::_MM_HINT_T0)
        };
    }
}

/// Cuts `ks` lanes into panels of at most `PANEL`, each but the last a multiple of 16 lanes, as equal as that allows.
fn panels(ks: usize) -> impl Iterator<Item = (usize, usize)> {
    let width = ks.div_ceil(ks.div_ceil(PANEL).max(1)).next_multiple_of(16).min(PANEL);
    (0..ks).step_by(width.max(1)).map(move |first| (first, width.min(ks - first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_cover_the_stride() {
        assert_eq!(panels(20).collect::<Vec<_>>(), [(0, 20)]);
        assert_eq!(panels(64).collect::<Vec<_>>(), [(0, 64)]);
        assert_eq!(panels(68).collect::<Vec<_>>(), [(0, 48), (48, 20)]);
        assert_eq!(panels(100).collect::<Vec<_>>(), [(0, 64), (64, 36)]);
        assert_eq!(panels(0).count(), 0);
        for ks in (4..600).step_by(4) {
            let mut next = 0;
            for (first, width) in panels(ks) {
                assert!(first == next && width > 0 && width <= PANEL && width % 4 == 0);
                next += width;
            }
            assert_eq!(next, ks);
        }
    }
}
