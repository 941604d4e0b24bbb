//! The two products of a dense tile with its factors, on the calling thread alone: the block is the
//! unit of parallelism.
//!
//! X·Hᵀ is faer's matrix product on views of our layout. The order in which faer sums depends on
//! the instructions and the cache sizes of the machine, so it gives the same bits on one kind of
//! CPU only. WᵀX is a loop of our own with the same bits on every CPU.

mod wtx;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use crate::{FactorMut, FactorRef};

pub use wtx::{wtx, wtx_with};

/// The tile's cross product with the spectra: `xht = x · hᵀ`.
///
/// | argument | shape  | holds                               |
/// |----------|--------|-------------------------------------|
/// | `xht`    | b × k  | overwritten, its padding with zeros |
/// | `x`      | b × m  | the tile, row-major                 |
/// | `ht`     | m × k  | spectra, gene-major                 |
///
/// Costs `2·b·m·k` flops. faer allocates scratch for packing, and some k need `b·k` values more.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn xht(mut xht: FactorMut<'_>, x: &[f32], ht: FactorRef<'_>) {
    let (b, m, k) = (xht.rows(), ht.rows(), ht.k());
    assert_eq!(xht.k(), k, "xht and ht have the same components");
    assert_eq!(x.len(), b * m, "x is {b} × {m}, as the rows of xht and ht");
    for row in xht.iter_mut() {
        row[k..].fill(0.0);
    }
    let x = MatRef::from_row_major_slice(x, b, m);
    if fills_vectors(k) {
        matmul(matrix_mut(xht), Accum::Replace, x, matrix(ht), 1.0, Par::Seq);
    } else {
        let mut turned = vec![0.0; b * k];
        let columns = MatMut::from_column_major_slice_mut(&mut turned, b, k);
        matmul(columns, Accum::Replace, x, matrix(ht), 1.0, Par::Seq);
        for (i, row) in xht.iter_mut().enumerate() {
            for (value, column) in row.iter_mut().zip(turned.chunks_exact(b)) {
                *value = column[i];
            }
        }
    }
}

/// Whether `k` components side by side make good use of vectors of 16. A row-major result has its
/// vectors along the components, and 20 components fill 20 of 32 lanes. If half a vector or more
/// would be empty, [`xht`] computes X·Hᵀ column-major, with vectors along the rows, and transposes
/// the result. GFLOP/s before and after: 71 and 90 at k = 20, 90 and 102 at k = 50, but 115 and 106
/// at k = 64. The transposed product does not pay up to 16 components (76 and 67 at k = 10), nor
/// for WᵀX, whose result is large.
fn fills_vectors(k: usize) -> bool {
    k <= 16 || k.next_multiple_of(16) - k < 8
}

/// The factor as a matrix of faer, without its padding.
fn matrix(factor: FactorRef<'_>) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice_with_stride(factor.values(), factor.rows(), factor.k(), factor.ld())
}

/// The factor as a matrix of faer for writing: the transpose of a column-major view.
/// `from_row_major_slice_with_stride_mut` of faer 0.24 swaps the strides and so writes past the end
/// of the slice.
fn matrix_mut(factor: FactorMut<'_>) -> MatMut<'_, f32> {
    let (rows, k, ld) = (factor.rows(), factor.k(), factor.ld());
    MatMut::from_column_major_slice_with_stride_mut(factor.into_values(), k, rows, ld).transpose_mut()
}
