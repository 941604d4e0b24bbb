//! The two products of a dense tile with its factors: faer's matrix product on views of our layout.
//!
//! faer sums in an order that depends on the instructions and the cache sizes it finds, so these two kernels give the
//! same bits on one kind of CPU only. They run on the calling thread alone: the block is the unit of parallelism.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use crate::stride;

/// The tile's cross product with the spectra: `out = x · hᵀ`.
///
/// | argument | shape  | holds                               |
/// |----------|--------|-------------------------------------|
/// | `out`    | b × ks | overwritten, padding lanes with zero |
/// | `x`      | b × m  | the tile, row-major                 |
/// | `ht`     | m × ks | spectra, gene-major                 |
///
/// Costs `2·b·m·k` flops; faer packs into scratch of its own, and some k take `b·k` values more.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn xht(out: &mut [f32], x: &[f32], ht: &[f32], m: usize, k: usize, ks: usize) {
    let b = rows(x, out, m, k, ks);
    assert_eq!(ht.len(), m * ks, "ht is {m} × {ks}");
    for row in out.chunks_exact_mut(ks) {
        row[k..].fill(0.0);
    }
    let x = MatRef::from_row_major_slice(x, b, m);
    let ht = MatRef::from_row_major_slice_with_stride(ht, m, k, ks);
    if fills_vectors(k) {
        matmul(row_major_mut(out, b, k, ks), Accum::Replace, x, ht, 1.0, Par::Seq);
    } else {
        let mut turned = vec![0.0; b * k];
        let columns = MatMut::from_column_major_slice_mut(&mut turned, b, k);
        matmul(columns, Accum::Replace, x, ht, 1.0, Par::Seq);
        for (i, row) in out.chunks_exact_mut(ks).enumerate() {
            for (value, column) in row.iter_mut().zip(turned.chunks_exact(b)) {
                *value = column[i];
            }
        }
    }
}

/// Whether `k` components side by side make good use of vectors of 16. A row-major result has its vectors along the
/// components; 20 of them fill 20 of 32 lanes. Where half a vector or more would be empty X·Hᵀ is computed
/// column-major, with its vectors along the rows, and turned afterwards: 71 to 90 GFLOP/s at k = 20, 90 to 102 at 50;
/// 115 to 106 at 64. (Up to 16 components it does not pay: 76 to 67 at k = 10; nor for WᵀX, whose result is large.)
fn fills_vectors(k: usize) -> bool {
    k <= 16 || k.next_multiple_of(16) - k < 8
}

/// The tile's share of `WᵀX`, gene-major: `share += xᵀ · w`.
///
/// | argument | shape  | holds                                  |
/// |----------|--------|----------------------------------------|
/// | `share`  | m × ks | added to; padding lanes are left alone |
/// | `x`      | b × m  | the tile, row-major                    |
/// | `w`      | b × ks | usages of the tile's rows              |
///
/// Costs `2·b·m·k` flops; faer packs into scratch of its own.
///
/// # Panics
///
/// When the shapes disagree.
#[track_caller]
pub fn wtx(share: &mut [f32], x: &[f32], w: &[f32], m: usize, k: usize, ks: usize) {
    let b = rows(x, w, m, k, ks);
    assert_eq!(share.len(), m * ks, "the share is {m} × {ks}");
    let share = row_major_mut(share, m, k, ks);
    let x = MatRef::from_row_major_slice(x, b, m);
    let w = MatRef::from_row_major_slice_with_stride(w, b, k, ks);
    matmul(share, Accum::Add, x.transpose(), w, 1.0, Par::Seq);
}

/// The rows of the tile, from `factor` with `ks` values each.
#[track_caller]
fn rows(x: &[f32], factor: &[f32], m: usize, k: usize, ks: usize) -> usize {
    assert!(k > 0 && ks == stride(k), "{k} components with a stride of {ks}");
    let b = factor.len() / ks;
    assert_eq!(factor.len(), b * ks, "the tile's factor is whole rows of {ks}");
    assert_eq!(x.len(), b * m, "x is {b} × {m}, as many rows as the factor has");
    b
}

/// A row-major view, taken as the transpose of a column-major one: faer 0.24's `from_row_major_slice_with_stride_mut`
/// swaps the strides, and so writes past the end of the slice.
#[track_caller]
fn row_major_mut(values: &mut [f32], rows: usize, columns: usize, stride: usize) -> MatMut<'_, f32> {
    MatMut::from_column_major_slice_with_stride_mut(values, columns, rows, stride).transpose_mut()
}
