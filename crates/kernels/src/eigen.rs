//! Eigenvalues and eigenvectors of small symmetric matrices, in f64.
//!
//! The method is the cyclic Jacobi method (Golub and Van Loan, *Matrix Computations*, §8.5): it
//! makes one pair of coordinates after the other diagonal by a rotation, until all are. It is
//! slower than a reduction to tridiagonal form, but its order of operations is fixed and it uses
//! only sums, products, quotients and square roots, which IEEE 754 rounds alike everywhere. So it
//! has the same bits on every CPU. For the Gram matrices of some dozens of components its cost does
//! not show.
//!
//! For matrices of some hundreds of rows there is [`large_symmetric_eigen`]: a reduction to tridiagonal
//! form by Householder reflections, and implicit QL steps (Golub and Van Loan, §8.3; the arrangement
//! is that of EISPACK's `tred2` and `tql2`). Its operations are of the same kinds and in a fixed
//! order as well, but small eigenvalues are exact only beside the largest one.

/// Most sweeps over all pairs. Convergence is quadratic: matrices of 100 rows take about ten.
const SWEEPS: usize = 40;
/// Most QL steps for an eigenvalue.
const STEPS: usize = 100;

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

/// The eigenvalues and eigenvectors of `matrix`, n × n row-major and symmetric, for large n.
///
/// Costs about `9·n³` flops and allocates two matrices of that size. An eigenvalue is exact to some
/// roundings of the largest one.
///
/// # Panics
///
/// When `matrix` does not have `n·n` values.
#[track_caller]
pub fn large_symmetric_eigen(matrix: &[f64], n: usize) -> SymmetricEigen {
    assert_eq!(matrix.len(), n * n, "the matrix is {n} × {n}");
    if n == 0 {
        return SymmetricEigen { values: Vec::new(), vectors: Vec::new() };
    }
    // Row c is what the books call column c, so that loops run along rows.
    let mut rows = matrix.to_vec();
    let (mut d, mut e) = (vec![0.0; n], vec![0.0; n]);
    tridiagonal(&mut rows, &mut d, &mut e, n);
    diagonal(&mut rows, &mut d, &mut e, n);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| d[b].total_cmp(&d[a]));
    let mut vectors = vec![0.0; n * n];
    for (c, &from) in order.iter().enumerate() {
        rows[from * n..][..n].iter().enumerate().for_each(|(i, &value)| vectors[i * n + c] = value);
    }
    SymmetricEigen { values: order.iter().map(|&c| d[c]).collect(), vectors }
}

/// Σ x·y in eight partial sums.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (x, y) = (x.chunks(8), y.chunks(8));
    for (x, y) in x.zip(y) {
        sums.iter_mut().zip(x.iter().zip(y)).for_each(|(sum, (x, y))| *sum += x * y);
    }
    ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]))
}

/// Reduces the symmetric matrix to the diagonal `d` and, from place 1, the subdiagonal `e`; `v`
/// becomes the product of the reflections.
fn tridiagonal(v: &mut [f64], d: &mut [f64], e: &mut [f64], n: usize) {
    (0..n).for_each(|j| d[j] = v[j * n + n - 1]);
    for i in (1..n).rev() {
        let scale: f64 = d[..i].iter().map(|value| value.abs()).sum();
        let mut h = 0.0;
        if scale == 0.0 {
            e[i] = d[i - 1];
            for j in 0..i {
                d[j] = v[j * n + i - 1];
                v[j * n + i] = 0.0;
                v[i * n + j] = 0.0;
            }
        } else {
            d[..i].iter_mut().for_each(|value| *value /= scale);
            h = dot(&d[..i], &d[..i]);
            let f = d[i - 1];
            let g = if f > 0.0 { -h.sqrt() } else { h.sqrt() };
            e[i] = scale * g;
            h -= f * g;
            d[i - 1] = f - g;
            e[..i].fill(0.0);
            for j in 0..i {
                let f = d[j];
                v[i * n + j] = f;
                let below = &v[j * n + j + 1..j * n + i];
                e[j] += v[j * n + j] * f + dot(below, &d[j + 1..i]);
                e[j + 1..i].iter_mut().zip(below).for_each(|(e, v)| *e += v * f);
            }
            e[..i].iter_mut().for_each(|value| *value /= h);
            let half = dot(&e[..i], &d[..i]) / (h + h);
            e[..i].iter_mut().zip(&d[..i]).for_each(|(e, d)| *e -= half * d);
            for j in 0..i {
                let (f, g) = (d[j], e[j]);
                let below = v[j * n + j..j * n + i].iter_mut();
                below.zip(e[j..i].iter().zip(&d[j..i])).for_each(|(v, (e, d))| *v -= f * e + g * d);
                d[j] = v[j * n + i - 1];
                v[j * n + i] = 0.0;
            }
        }
        d[i] = h;
    }
    for i in 0..n - 1 {
        v[i * n + n - 1] = v[i * n + i];
        v[i * n + i] = 1.0;
        let h = d[i + 1];
        let (before, after) = v.split_at_mut((i + 1) * n);
        let reflector = &mut after[..i + 1];
        if h != 0.0 {
            d[..i + 1].iter_mut().zip(&*reflector).for_each(|(d, v)| *d = v / h);
            for row in before.chunks_exact_mut(n) {
                let g = dot(reflector, &row[..i + 1]);
                row[..i + 1].iter_mut().zip(&*d).for_each(|(v, d)| *v -= g * d);
            }
        }
        reflector.fill(0.0);
    }
    for j in 0..n {
        d[j] = v[j * n + n - 1];
        v[j * n + n - 1] = 0.0;
    }
    v[n * n - 1] = 1.0;
    e[0] = 0.0;
}

/// √(x² + y²) without overflow.
fn length(x: f64, y: f64) -> f64 {
    let (large, small) = (x.abs().max(y.abs()), x.abs().min(y.abs()));
    if large == 0.0 { 0.0 } else { large * (1.0 + (small / large) * (small / large)).sqrt() }
}

/// Makes the tridiagonal matrix diagonal by implicit QL steps: `d` becomes the eigenvalues, and row c
/// of `v` the eigenvector of `d[c]`.
fn diagonal(v: &mut [f64], d: &mut [f64], e: &mut [f64], n: usize) {
    e.copy_within(1.., 0);
    e[n - 1] = 0.0;
    let (mut shift, mut size) = (0.0, 0.0f64);
    for l in 0..n {
        size = size.max(d[l].abs() + e[l].abs());
        let negligible = f64::EPSILON * size;
        let m = (l..n).find(|&m| e[m].abs() <= negligible).unwrap_or(n - 1);
        // Two steps are usual; a matrix with NaN would take steps without end.
        for _ in 0..if m > l { STEPS } else { 0 } {
            let g = d[l];
            let p = (d[l + 1] - g) / (2.0 * e[l]);
            let r = if p < 0.0 { -length(p, 1.0) } else { length(p, 1.0) };
            d[l] = e[l] / (p + r);
            d[l + 1] = e[l] * (p + r);
            let (next, h) = (d[l + 1], g - d[l]);
            d[l + 2..].iter_mut().for_each(|value| *value -= h);
            shift += h;

            let mut p = d[m];
            let (mut c, mut c2, mut c3, mut s, mut s2) = (1.0, 1.0, 1.0, 0.0, 0.0);
            let after = e[l + 1];
            for i in (l..m).rev() {
                (c3, c2, s2) = (c2, c, s);
                let (g, h) = (c * e[i], c * p);
                let r = length(p, e[i]);
                e[i + 1] = s * r;
                (s, c) = (e[i] / r, p / r);
                p = c * d[i] - s * g;
                d[i + 1] = h + s * (c * g + s * d[i]);
                let (first, second) = v[i * n..(i + 2) * n].split_at_mut(n);
                for (x, y) in first.iter_mut().zip(second) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
            }
            p = -s * s2 * c3 * after * e[l] / next;
            e[l] = s * p;
            d[l] = c * p;
            if e[l].abs() <= negligible {
                break;
            }
        }
        d[l] += shift;
        e[l] = 0.0;
    }
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

    #[test]
    fn large_matrices_have_the_same_eigenvectors() {
        for n in [1, 2, 3, 17, 64, 90] {
            // A matrix with a wide spectrum, and one with equal eigenvalues and zeros.
            let wide = |i: usize, j: usize| ((i + j) as f64 * 0.7).sin() * 100.0 / (1.0 + i.abs_diff(j) as f64);
            let plain = |i: usize, j: usize| if i == j && !i.is_multiple_of(3) { 2.0 } else { 0.0 };
            for matrix in [&wide as &dyn Fn(usize, usize) -> f64, &plain] {
                let a: Vec<f64> = (0..n * n).map(|at| matrix(at / n, at % n)).collect();
                let (large, small) = (large_symmetric_eigen(&a, n), symmetric_eigen(&a, n));
                let size = small.values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
                for (x, y) in large.values.iter().zip(&small.values) {
                    assert!((x - y).abs() <= 1e-12 * size, "n = {n}: {x} {y}");
                }
                let v = &large.vectors;
                for c in 0..n {
                    for d in 0..n {
                        let product: f64 = (0..n).map(|i| v[i * n + c] * v[i * n + d]).sum();
                        assert!((product - f64::from(u8::from(c == d))).abs() < 1e-11, "n = {n}: {product}");
                        let image: f64 = (0..n).map(|i| a[c * n + i] * v[i * n + d]).sum();
                        assert!((image - large.values[d] * v[c * n + d]).abs() <= 1e-11 * size, "n = {n}: {image}");
                    }
                }
            }
        }
    }
}
