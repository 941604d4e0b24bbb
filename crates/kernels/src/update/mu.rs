//! One step of Lee and Seung's multiplicative rule as published.
//!
//! ```text
//! r_c ← r_c · c_c / max((G r)_c, TINY)        all components from the old r
//! ```
//!
//! D. D. Lee and H. S. Seung, "Algorithms for non-negative matrix factorization", NIPS 13 (2001),
//! theorem 1. No step raises the objective, and a zero component stays zero. The rule is undefined
//! for a zero denominator, which becomes [`TINY`] here. In that case `r_c` is zero if `G_cc > 0`,
//! so it stays zero.
//!
//! `(G r)_c` is summed from zero over l in ascending order. The product comes before the quotient,
//! and both are rounded.

use super::gram::{BLOCK, Gram};
use super::strip::{Rule, Strip};
use crate::lanes::Lanes;

/// The smallest denominator: the smallest normal f32.
pub const TINY: f32 = f32::MIN_POSITIVE;

/// The rule.
#[derive(Debug)]
pub(super) struct Mu;

impl Rule for Mu {
    #[inline(always)]
    unsafe fn apply<L: Lanes>(&self, strip: Strip<'_, L>, gram: &Gram) {
        let Strip { r, cross, scratch } = strip;
        // SAFETY: the caller guarantees the instructions.
        unsafe {
            for first in (0..gram.ks).step_by(BLOCK) {
                let mut sums = [L::zero(); BLOCK];
                for (r_l, g_l) in r.iter().zip(gram.block(first)) {
                    for i in 0..BLOCK {
                        sums[i] = r_l.scaled_plus(g_l[i], sums[i]);
                    }
                }
                scratch[first..first + BLOCK].copy_from_slice(&sums);
            }
            for c in 0..gram.ks {
                if gram.inverse_diagonal[c] != 0.0 {
                    r[c] = r[c].times(cross[c]).over(scratch[c].at_least(TINY));
                }
            }
        }
    }
}
