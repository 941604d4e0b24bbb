//! The two products of a sparse tile with its factors, computed directly from the decoded runs of
//! its genes.
//!
//! # The plain algorithm
//!
//! A tile is up to 256 rows of X. Take a nonzero `v` at row `i` and gene `j`, the row `h[j]` of the
//! gene-major H (m × k) and the row `w[i]` of W (b × k). Then
//!
//! ```text
//! X·Hᵀ:   xht[i, c]   += v · h[j, c]        for every component c
//! WᵀX:    share[j, c] += v · w[i, c]
//! ```
//!
//! [`naive::sparse`](crate::naive::sparse) does exactly this, in the same order of operations, and
//! gives the same bits.
//!
//! # The fast algorithm, and why its bits are the same
//!
//! - **By gene.** Each run holds all nonzeros of a gene in the tile. For X·Hᵀ a run loads the
//!   gene's row of H once, then reads and writes the tile's X·Hᵀ, which fits the first or second
//!   cache. For WᵀX a run keeps the gene's sum in registers and reads the tile's rows of W. The
//!   rows of a run differ, so an element of X·Hᵀ gets its terms in the order of the runs, whatever
//!   the order inside one.
//! - **SIMD across components.** Each component has its own lane, and no sum crosses lanes, so a
//!   wider vector changes nothing. Every implementation fuses its multiply-adds, down to
//!   `f32::mul_add`.
//! - **A function for each width** up to 64 components in steps of four. A row then takes a fixed
//!   handful of registers, and k = 20 costs 20 lanes instead of 32. Wider rows are cut into panels
//!   of components. Each panel takes one loop over the same runs, and again no sum crosses lanes.
//! - **Two chains.** If one register summed a run of WᵀX, each multiply-add would wait for the one
//!   before. Even and odd positions are therefore summed separately, each from zero in ascending
//!   order, and the two sums are added. This order is part of the definition: every implementation
//!   and the naive twin follow it.
//! - **Short chains.** A long chain of f32 rounds the same way again and again where rows are alike.
//!   So the chains of WᵀX end after sixteen nonzeros, and a longer run adds up such groups in f64.
//!   Most runs are one group. Time of WᵀX beside that of chains as long as the run: 0.96 to 0.99 at
//!   k = 16, 1.06 to 1.11 at k = 20, 1.0 to 1.1 at k = 64 (29 Nov 2026, Xeon with AVX-512 and other
//!   work, so these figures are rough).
//! - **Tight loops.** Runs are short: 18 nonzeros on average and at most 8 for half of the genes.
//!   At small k a mispredicted end of a run costs as much as its nonzeros. The CPU predicts the
//!   ends if runs are sorted by length, and decoders are expected to sort them. For other orders
//!   X·Hᵀ has only one branch per run.
//! - **Prefetching.** In runs sorted by length the genes jump. The loop therefore prefetches a
//!   gene's row of H or WᵀX, which lies in the second or third cache, a few runs ahead. Figures for
//!   sorted runs with prefetching, at k = 20 and on a whole tile of the benchmark's counts: X·Hᵀ
//!   701 → 768, WᵀX 808 → 1,060 Mnnz/s; without prefetching X·Hᵀ 708 and WᵀX 903. At k = 64: 316 →
//!   326 and 467 → 501.
//! - **Cells on cache lines.** The driver keeps the rows of W and X·Hᵀ of a tile a whole number of
//!   lines apart, unless they are so narrow that none lies on two. It does so for cells only: a
//!   tile has few, and reads or writes the row of each for all of its nonzeros. At k = 20 X·Hᵀ then
//!   stores two vectors instead of three. Time of a pass, with huge pages for H and WᵀX and without
//!   either: 0.96 at k = 12 and 20, 0.89 at k = 36, 0.90 at k = 100; huge pages alone 0.98 at k =
//!   20, 0.96 at k = 32 and 0.98 at k = 64 (3 Dec 2026, Zen 4, one thread, a continuum, the best of
//!   seven or eight in turns; the machine varies by some percent, and cell types at k = 20 showed
//!   no difference beyond that).
//! - **No checks inside.** [`Runs`](crate::Runs) has checked rows, genes and ends against the tile
//!   and the matrix. The products compare only the shapes of the factors with it.
//!
//! # Rejected ideas
//!
//! Figures are Mnnz/s of thread CPU time for both products unless stated otherwise, the best of
//! several runs of the benchmark on one core of a shared 2-core EPYC (Zen 4, AVX-512, 32 KiB of
//! L1d), 24 Nov 2026. Tiles are those of `benches/kernels`: 20,000 genes, 1,060 nonzeros a cell.
//!
//! - Sorting the runs by length in the products, batch by batch: k = 16 486 → 432, k = 64 144 →
//!   121. Sorting pays in the decoder, once for both products. Distinguishing lengths beyond 32
//!   makes no difference; distinguishing only those up to 16 makes WᵀX 4 % slower.
//! - Strides of 24 and 28 values for X·Hᵀ at k = 20, so that fewer vectors straddle two cache
//!   lines: 745 → 763 and 710. A whole line and four values on strides of 20: 681. Stores are the
//!   limit, one vector of eight per cycle.
//! - X·Hᵀ alone with the gene stored beside each nonzero and one flat loop that reads H again each
//!   time: k = 16 833 → 634.
//! - Ends of runs without branches, with a last group of four of which up to three are masked: k =
//!   16 171 → 247 on runs of three nonzeros, but 483 → 429 on whole tiles, and worse with more
//!   components. Four chains in WᵀX, tried with it, are no faster even for runs of 146 (1,715 →
//!   1,683) and need too many registers for AVX2.
//! - One loop for both chains that swaps two registers: k = 16 495 → 502, and no difference from 32
//!   up. For odd widths the swap goes through memory and is ten times slower.
//! - Loading sixteen values at a time and broadcasting them from a register: k = 16 468 → 451, k =
//!   32 340 → 332. For this reason, skipping the values that are 1 was not tried: it would save the
//!   same loads and no multiplication, which is fused.
//! - Prefetching for runs in gene order: no difference beyond noise at k = 16, 32 and 64, because
//!   the CPU does it itself.
//! - Panels of 32 components, to keep a tile in L1: k = 48 235 → 194, k = 64 179 → 153.

mod csr;
mod wtx;
mod xht;

use crate::lanes::Lanes;

pub use csr::{csr, csr_with};
pub use wtx::{wtx, wtx_with};
pub use xht::{xht, xht_with};

/// How many runs ahead the loop prefetches the gene's row of a factor.
const AHEAD: usize = 8;

/// Prefetches the cache lines of `L::COUNT` values from `row` on.
#[inline(always)]
fn prefetch<L: Lanes>(row: *const f32) {
    #[cfg(target_arch = "x86_64")]
    for value in (0..L::COUNT).step_by(16).chain([L::COUNT - 1]) {
        // SAFETY: a prefetch is a hint. It may point anywhere and changes nothing that a program
        // can observe.
        unsafe {
            std::arch::x86_64::_mm_prefetch(row.wrapping_add(value).cast::<i8>(), std::arch::x86_64::_MM_HINT_T0)
        };
    }
}
