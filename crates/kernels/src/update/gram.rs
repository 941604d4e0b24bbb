//! The Gram matrix in the order in which a strip reads it.

use super::Dead;
use crate::stride;

/// Components whose sums advance together, so one load of `r_l` serves four of them.
pub(super) const BLOCK: usize = 4;

/// A symmetric k × k matrix padded with zeros to the stride, in blocks of [`BLOCK`] rows.
#[derive(Debug)]
pub(super) struct Gram {
    /// Components including padding: the stride of the rows.
    pub(super) ks: usize,
    /// Entry `c / BLOCK · ks + l`, place `c % BLOCK` = `G_cl`.
    blocks: Vec<[f32; BLOCK]>,
    /// `1 / G_cc`, or zero for dead components and padding, which no rule moves.
    pub(super) inverse_diagonal: Vec<f32>,
    /// The components that become zero before the rule is applied.
    pub(super) zeroed: Vec<usize>,
}

impl Gram {
    /// Packs the k × k matrix `gram`.
    pub(super) fn pack(gram: &[f32], k: usize, zero_diagonal: Dead) -> Gram {
        let ks = stride(k);
        let mut blocks = vec![[0.0; BLOCK]; ks / BLOCK * ks];
        for c in 0..k {
            for l in 0..k {
                blocks[c / BLOCK * ks + l][c % BLOCK] = gram[c * k + l];
            }
        }
        let mut inverse_diagonal = vec![0.0; ks];
        let mut zeroed = Vec::new();
        for c in 0..k {
            let diagonal = gram[c * k + c];
            if !is_dead(diagonal) {
                inverse_diagonal[c] = 1.0 / diagonal;
            } else if zero_diagonal == Dead::Zero {
                zeroed.push(c);
            }
        }
        Gram { ks, blocks, inverse_diagonal, zeroed }
    }

    /// Rows `first` to `first + BLOCK`, where `first` is a multiple of `BLOCK`. Entry `l` holds
    /// `G[first.., l]`.
    #[inline(always)]
    pub(super) fn block(&self, first: usize) -> &[[f32; BLOCK]] {
        &self.blocks[first / BLOCK * self.ks..][..self.ks]
    }
}

/// Whether the other factor lacks a component with this `G_cc`. NaN is not dead, so it shows in the
/// rows.
pub(crate) fn is_dead(diagonal: f32) -> bool {
    diagonal < f32::MIN_POSITIVE
}
