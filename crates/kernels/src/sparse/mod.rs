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
//! - **By gene.** Nonzeros come in runs, one gene at a time. For X·Hᵀ the gene's row of H is loaded once a run and the
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
//! - **Tight loops.** Runs are short, 18 nonzeros on average and 3 for most genes, so at small k the end of a run, which
//!   cannot be predicted, costs as much as its nonzeros. X·Hᵀ therefore has one branch a run and no more.
//! - **No checks inside.** [`Runs`](crate::Runs) has checked rows, genes and ends against the tile and the matrix; here only the
//!   lengths of the factors are compared with what it promises.
//!
//! # What was tried and did not pay
//!
//! Both products unless said, Mnnz/s of thread CPU time, best of several, on one core of a shared 2-core EPYC (Zen 4,
//! AVX-512, 32 KiB of L1d), 24 Nov 2026; tiles as in `benches/kernels`: 20,000 genes, 1,060 nonzeros a cell.
//!
//! - Visiting the runs of a batch by length, so that loop ends can be predicted: k = 16 486 → 432, k = 64 144 → 121.
//!   Sorting and lost locality cost more than the branches.
//! - X·Hᵀ alone with the gene written beside each nonzero and one flat loop, H read again each time: k = 16 833 → 634.
//! - Ends of runs without branches, a last four with up to three of it masked: where runs have three nonzeros k = 16
//!   171 → 247, but on whole tiles 483 → 429, and worse with more components. Four chains in WᵀX, tried with it: no
//!   faster even for runs of 146 (1,715 → 1,683), and too many registers for AVX2.
//! - One loop for both chains by swapping two registers: k = 16 495 → 502, nothing from 32 up, and for odd widths the
//!   swap goes through memory, ten times slower.
//! - Values taken sixteen at a time and broadcast from a register: k = 16 468 → 451, k = 32 340 → 332. Not tried for this
//!   reason: leaving out the values that are 1, which would save the same loads and no multiplication (it is fused).
//! - Prefetching H and WᵀX eight runs ahead: no difference beyond noise at k = 16, 32 and 64.
//! - Panels of 32 components, to keep a tile in L1: k = 48 235 → 194, k = 64 179 → 153.

#[macro_use]
mod dispatch;
mod wtx;
mod xht;

pub use wtx::{wtx, wtx_with};
pub use xht::{xht, xht_with};

/// The most lanes that one sweep over the runs takes; a larger stride is cut into near-equal panels.
const PANEL: usize = 64;

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
