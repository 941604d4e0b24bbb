//! Eigenvalues and eigenvectors of small symmetric matrices, in f64.
//!
//! The method is the cyclic Jacobi method (Golub and Van Loan, *Matrix Computations*, §8.5): it
//! makes one pair of coordinates after the other diagonal by a rotation, until all are. It is
//! slower than a reduction to tridiagonal form, but its order of operations is fixed and it uses
//! only sums, products, quotients and square roots, which IEEE 754 rounds alike everywhere. So it
//! has the same bits on every CPU. For the Gram matrices of some dozens of components its cost does
//! not show.

/// Most sweeps over all pairs. Convergence is quadratic: matrices of 100 rows take about ten.
const SWEEPS: usize = 40;

/// The eigenvalues λ of a symmetric matrix, largest first, and its eigenvectors.
#[derive(Debug, Clone, PartialEq)]
pub struct SymmetricEigen {
    /// λ, n values in descending order.
    pub values: Vec<f64>,
    /// The unit eigenvectors, n × n row-major: that of `values[c]` is column c.
    pub vectors: Vec<f64>,
}

/// The eigenvalues and eigenvectors of `matrix`, n × n row-major and symmetric.
///
/// Costs about `30·n³` flops and allocates three matrices of that size.
///
/// # Panics
///
/// When `matrix` does not have `n·n` values.
#[track_caller]
pub fn symmetric_eigen(matrix: &[f64], n: usize) -> SymmetricEigen {
    assert_eq!(matrix.len(), n * n, "the matrix is {n} × {n}");
    let mut a = matrix.to_vec();
    // Row c is the eigenvector that a[c][c] belongs to, so that a rotation works on two rows.
    let mut rows = vec![0.0; n * n];
    (0..n).for_each(|i| rows[i * n + i] = 1.0);
    for _ in 0..SWEEPS {
        let mut turned = false;
        for p in 0..n {
            for q in p + 1..n {
                turned |= rotate(&mut a, &mut rows, n, p, q);
            }
        }
        if !turned {
            break;
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&c, &d| a[d * n + d].total_cmp(&a[c * n + c]));
    let vectors = (0..n).flat_map(|i| order.iter().map(|&c| rows[c * n + i]).collect::<Vec<f64>>()).collect();
    SymmetricEigen { values: order.iter().map(|&c| a[c * n + c]).collect(), vectors }
}

/// Makes `a[p][q]` zero, unless it is so small that the diagonal does not feel it. Returns whether
/// it turned anything.
fn rotate(a: &mut [f64], rows: &mut [f64], n: usize, p: usize, q: usize) -> bool {
    let (pp, pq, qq) = (a[p * n + p], a[p * n + q], a[q * n + q]);
    if pq.abs() <= f64::EPSILON * (pp.abs() * qq.abs()).sqrt() || pq == 0.0 {
        return false;
    }
    let tau = (qq - pp) / (2.0 * pq);
    let tangent = if tau >= 0.0 { 1.0 } else { -1.0 } / (tau.abs() + (1.0 + tau * tau).sqrt());
    let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
    let sine = tangent * cosine;
    for l in 0..n {
        let (lp, lq) = (a[l * n + p], a[l * n + q]);
        a[l * n + p] = cosine * lp - sine * lq;
        a[l * n + q] = sine * lp + cosine * lq;
    }
    for matrix in [a, rows] {
        let (above, below) = matrix.split_at_mut(q * n);
        for (x, y) in above[p * n..][..n].iter_mut().zip(&mut below[..n]) {
            (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_of_two_by_two() {
        let eigen = symmetric_eigen(&[2.0, 1.0, 1.0, 2.0], 2);
        assert!((eigen.values[0] - 3.0).abs() < 1e-15 && (eigen.values[1] - 1.0).abs() < 1e-15, "{eigen:?}");
        assert!((eigen.vectors[0] - eigen.vectors[2]).abs() < 1e-15, "{eigen:?}");
    }

    #[test]
    fn a_diagonal_matrix_is_only_sorted() {
        let eigen = symmetric_eigen(&[1.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0], 3);
        assert_eq!(eigen.values, [5.0, 1.0, 0.0]);
        assert_eq!(eigen.vectors, [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn nothing_has_nothing() {
        assert_eq!(symmetric_eigen(&[], 0), SymmetricEigen { values: vec![], vectors: vec![] });
    }
}
