//! Hierarchical alternating least squares with inner sweeps.
//!
//! ```text
//! repeat `sweeps` times:  for c = 1…k:  r_c ← max(0, r_c − (Σ_l G_cl r_l − c_c) / G_cc)
//! ```
//!
//! Each step finds the exact minimum over `r_c ≥ 0` with the other components fixed, so no step
//! raises the objective, and `r_c ≤ c_c / G_cc` afterwards. A. Cichocki and A.-H. Phan, "Fast local
//! algorithms for large scale nonnegative matrix and tensor factorizations", IEICE Trans.
//! Fundamentals E92-A (2009); inner sweeps: N. Gillis and F. Glineur, "Accelerated multiplicative
//! updates and hierarchical ALS algorithms for nonnegative matrix factorization", Neural
//! Computation 24 (2012).
//!
//! The order of the sum is part of the definition. For component c in the block of four `B ∋ c` it
//! starts from `−c_c`. Then come the terms of all l outside B in ascending order, then those of l
//! in B from c on, which are still old, then those of l in B before c, which are already new. Only
//! these last few wait for the previous component. The division is a multiplication by `1/G_cc`
//! rounded to f32: at the minimum the bracket is zero, so the factor does not matter.

use super::gram::{BLOCK, Gram};
use super::strip::{Rule, Strip};
use crate::lanes::Lanes;

/// The rule.
#[derive(Debug)]
pub(super) struct Hals {
    /// Inner sweeps.
    pub(super) sweeps: usize,
}

impl Rule for Hals {
    #[inline(always)]
    unsafe fn apply<L: Lanes>(&self, strip: Strip<'_, L>, gram: &Gram) {
        let Strip { r, cross, .. } = strip;
        for _ in 0..self.sweeps {
            for first in (0..gram.ks).step_by(BLOCK) {
                // SAFETY: the caller guarantees the instructions.
                unsafe { block(r, cross, gram, first) }
            }
        }
    }
}

/// Moves the components `first` to `first + BLOCK`.
///
/// # Safety
///
/// The machine has the instructions of `L`.
#[inline(always)]
unsafe fn block<L: Lanes>(r: &mut [L], cross: &[L], gram: &Gram, first: usize) {
    let g = gram.block(first);
    // SAFETY: the caller guarantees the instructions.
    unsafe {
        let mut gradient = [L::zero(); BLOCK];
        for i in 0..BLOCK {
            gradient[i] = cross[first + i].scaled_plus(-1.0, L::zero());
        }
        let (before, rest) = r.split_at_mut(first);
        let (own, after) = rest.split_at_mut(BLOCK);
        let outside = before.iter().zip(g).chain(after.iter().zip(&g[first + BLOCK..]));
        for (r_l, g_l) in outside {
            for i in 0..BLOCK {
                gradient[i] = r_l.scaled_plus(g_l[i], gradient[i]);
            }
        }
        for i in 0..BLOCK {
            for l in i..BLOCK {
                gradient[i] = own[l].scaled_plus(g[first + l][i], gradient[i]);
            }
        }
        for i in 0..BLOCK {
            for l in 0..i {
                gradient[i] = own[l].scaled_plus(g[first + l][i], gradient[i]);
            }
            let inverse = gram.inverse_diagonal[first + i];
            if inverse != 0.0 {
                own[i] = gradient[i].scaled_plus(-inverse, own[i]).at_least(0.0);
            }
        }
    }
}
