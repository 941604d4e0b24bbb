//! Eigenvalues are those of an independent library, and eigenvectors are orthonormal and solve
//! `A·v = λ·v`.

use faer::{Mat, Side};
use partwise_kernels::eigen::symmetric_eigen;
use proptest::prelude::*;

/// A symmetric matrix A = B + Bᵀ, or BᵀB of rank `rank`, row-major.
fn symmetric() -> impl Strategy<Value = (usize, Vec<f64>)> {
    (1..=24usize, 0..=24usize).prop_flat_map(|(n, rank)| {
        let entries = prop::collection::vec(-1.0..1.0f64, n * n.max(rank));
        entries.prop_map(move |b| {
            let entry = |i: usize, j: usize| match rank {
                0 => b[i * n + j] + b[j * n + i],
                _ => (0..rank).map(|r| b[r * n + i] * b[r * n + j]).sum(),
            };
            (n, (0..n * n).map(|at| entry(at / n, at % n)).collect())
        })
    })
}

proptest! {
    #[test]
    fn eigenvalues_are_those_of_faer_and_vectors_solve_the_equation((n, a) in symmetric()) {
        let eigen = symmetric_eigen(&a, n);
        let size = a.iter().fold(0.0f64, |most, v| most.max(v.abs())) * n as f64;
        let tolerance = 1e-13 * size.max(1e-300);

        let mut theirs = Mat::from_fn(n, n, |i, j| a[i * n + j]).self_adjoint_eigenvalues(Side::Lower).unwrap();
        theirs.reverse();
        for (ours, theirs) in eigen.values.iter().zip(&theirs) {
            prop_assert!((ours - theirs).abs() <= tolerance, "{:?} against {:?}", eigen.values, theirs);
        }
        let vector = |c: usize| (0..n).map(move |i| i * n + c);
        for c in 0..n {
            for i in 0..n {
                let image: f64 = vector(c).enumerate().map(|(j, at)| a[i * n + j] * eigen.vectors[at]).sum();
                prop_assert!((image - eigen.values[c] * eigen.vectors[i * n + c]).abs() <= 10.0 * tolerance);
            }
            for d in 0..=c {
                let product: f64 = vector(c).zip(vector(d)).map(|(x, y)| eigen.vectors[x] * eigen.vectors[y]).sum();
                prop_assert!((product - f64::from(u8::from(c == d))).abs() <= 1e-12, "{} of {} and {}", product, c, d);
            }
        }
    }
}
