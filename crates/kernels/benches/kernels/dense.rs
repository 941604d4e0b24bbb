//! Both products of a dense tile in flops a second, beside a plain faer product of the same shape
//! on matrices in faer's own layout (column-major).

use criterion::{BenchmarkId, Criterion, Throughput};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use partwise_kernels::{FactorBuf, dense, naive, stride};

use crate::factors::{Numbers, factor};

/// Rows of the tile, genes, components.
const SHAPES: &[(usize, usize, usize)] = &[(128, 2_000, 20), (128, 2_000, 64), (16, 16_000, 20)];

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dense");
    for &(rows, m, k) in SHAPES {
        let ks = stride(k);
        let mut numbers = Numbers(3);
        let x: Vec<f32> = (0..rows * m).map(|_| numbers.unit() as f32).collect();
        let (ht, w) = (factor(m, k, 5), factor(rows, k, 6));
        let (mut xht, mut share) = (FactorBuf::zeros(rows, k), FactorBuf::zeros(m, k));
        group.throughput(Throughput::Elements(2 * (rows * m * k) as u64));
        let shape = format!("{rows}x{m}/k={k}");

        dense::xht(xht.view_mut(rows, k), &x, ht.view(m, k));
        let expected = naive::product::xht(&x, &ht, rows, m, ks);
        assert!(xht.iter().zip(&expected).all(|(&got, e)| (f64::from(got) - e).abs() <= 1e-4 * e), "wrong product");

        group.bench_function(BenchmarkId::new("xht", &shape), |b| {
            b.iter(|| dense::xht(xht.view_mut(rows, k), &x, ht.view(m, k)));
        });
        group.bench_function(BenchmarkId::new("wtx", &shape), |b| {
            b.iter(|| dense::wtx(share.view_mut(m, k), &x, w.view(rows, k)));
        });
        let x = Mat::from_fn(rows, m, |i, j| x[i * m + j]);
        let h = Mat::from_fn(m, k, |j, c| ht[j * ks + c]);
        let w = Mat::from_fn(rows, k, |i, c| w[i * ks + c]);
        let (mut xht, mut share) = (Mat::<f32>::zeros(rows, k), Mat::<f32>::zeros(m, k));
        group.bench_function(BenchmarkId::new("xht-faer", &shape), |b| {
            b.iter(|| matmul(&mut xht, Accum::Replace, &x, &h, 1.0, Par::Seq));
        });
        group.bench_function(BenchmarkId::new("wtx-faer", &shape), |b| {
            b.iter(|| matmul(&mut share, Accum::Add, x.transpose(), &w, 1.0, Par::Seq));
        });
    }
    group.finish();
}
