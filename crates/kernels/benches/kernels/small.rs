//! The small parts of a pass: updates (multiply-adds a second: k² per row and inner sweep) and Gram
//! matrices (k² per row), beside a plain faer product of rows × k by k × k, which has the
//! multiply-adds of one inner sweep.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use partwise_kernels::{Dead, RuleScratch, UpdateRule, gram, stride};

use crate::factors::factor;

/// Rows, components.
const SHAPES: &[(usize, usize)] = &[(256, 10), (256, 20), (256, 64)];
const RULES: &[(&str, UpdateRule, usize)] = &[
    ("mu", UpdateRule::Mu, 1),
    ("hals-1", UpdateRule::Hals { sweeps: 1 }, 1),
    ("hals-10", UpdateRule::Hals { sweeps: 10 }, 10),
];

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("small");
    for &(rows, k) in SHAPES {
        let ks = stride(k);
        let (w, cross) = (factor(rows, k, 5), factor(rows, k, 6));
        let mut g = vec![0.0; k * k];
        gram::add_gram(&mut g, factor(1000, k, 7).view(1000, k));
        let g32: Vec<f32> = g.iter().map(|&v| v as f32).collect();
        let shape = format!("{rows}-rows/k={k}");
        for &(name, rule, sweeps) in RULES {
            group.throughput(Throughput::Elements((rows * k * k * sweeps) as u64));
            group.bench_function(BenchmarkId::new(name, &shape), |b| {
                let (rule, mut scratch) = (rule.prepare(&g32, k, Dead::Keep), RuleScratch::new());
                b.iter_batched_ref(
                    || w.clone(),
                    |w| rule.apply(w.view_mut(rows, k), cross.view(rows, k), &mut scratch),
                    BatchSize::SmallInput,
                );
            });
        }
        group.throughput(Throughput::Elements((rows * k * k) as u64));
        group.bench_function(BenchmarkId::new("gram", &shape), |b| b.iter(|| gram::add_gram(&mut g, w.view(rows, k))));
        let rows_by_k = Mat::<f32>::from_fn(rows, k, |i, c| w[i * ks + c]);
        let k_by_k = Mat::<f32>::from_fn(k, k, |c, l| g32[c * k + l]);
        let mut product = Mat::<f32>::zeros(rows, k);
        group.bench_function(BenchmarkId::new("product-faer", &shape), |b| {
            b.iter(|| matmul(&mut product, Accum::Replace, &rows_by_k, &k_by_k, 1.0, Par::Seq));
        });
    }
    group.finish();
}
