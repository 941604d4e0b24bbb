//! Both products of sparse tiles in nonzeros a second, beside plain faer products with as many
//! multiply-adds. Those have dense rows as long as the nonzeros of a cell: the cost of the
//! arithmetic without any look-up.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use partwise_kernels::{FactorBuf, naive, sparse};

use crate::counts::{ROWS, Tile};
use crate::factors::factor;

/// Genes, nonzeros a cell, components.
const SHAPES: &[(usize, f64, &[usize])] = &[(20_000, 1060.0, &[16, 20, 32, 48, 64]), (2_000, 104.0, &[16, 32, 64])];
/// The number of tiles, enough that the branch predictor cannot memorize them.
const TILES: u64 = 4;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sparse");
    for &(genes, per_cell, components) in SHAPES {
        let tiles: Vec<Tile> = (0..TILES).map(|seed| Tile::synthetic(genes, per_cell, seed)).collect();
        group.throughput(Throughput::Elements(tiles.iter().map(|t| t.nonzeros() as u64).sum()));
        for &k in components {
            check(&tiles[0], genes, k);
            let (ht, w) = (factor(genes, k, 5), factor(ROWS, k, 6));
            let (mut xht, mut share) = (FactorBuf::zeros(ROWS, k), FactorBuf::zeros(genes, k));
            let mut products = |name: &str, with_xht: bool, with_wtx: bool| {
                group.bench_function(BenchmarkId::new(name, format!("{genes}-genes/k={k}")), |b| {
                    b.iter(|| {
                        for tile in &tiles {
                            if with_xht {
                                xht.clear();
                                sparse::xht(xht.view_mut(ROWS, k), tile.runs(), black_box(&ht).view(genes, k));
                            }
                            if with_wtx {
                                sparse::wtx(share.view_mut(genes, k), tile.runs(), black_box(&w).view(ROWS, k));
                            }
                        }
                    });
                });
            };
            products("xht", true, false);
            products("wtx", false, true);
            products("both", true, true);
            as_many_multiply_adds(&mut group, &tiles, k, format!("{genes}-genes/k={k}"));
        }
    }
    group.finish();
}

/// Two plain dense faer products per tile, with as many multiply-adds as the sparse ones.
fn as_many_multiply_adds(group: &mut BenchmarkGroup<'_, WallTime>, tiles: &[Tile], k: usize, shape: String) {
    let depth = tiles[0].nonzeros() / ROWS;
    let x = Mat::<f32>::from_fn(ROWS, depth, |i, j| ((i * 31 + j) % 7) as f32);
    let h = Mat::<f32>::from_fn(depth, k, |j, c| ((j + c) % 5) as f32);
    let w = Mat::<f32>::from_fn(ROWS, k, |i, c| ((i + 3 * c) % 5) as f32);
    let (mut xht, mut share) = (Mat::<f32>::zeros(ROWS, k), Mat::<f32>::zeros(depth, k));
    group.bench_function(BenchmarkId::new("both-faer-dense", shape), |b| {
        b.iter(|| {
            for _ in tiles {
                matmul(&mut xht, Accum::Replace, &x, black_box(&h), 1.0, Par::Seq);
                matmul(&mut share, Accum::Add, x.transpose(), black_box(&w), 1.0, Par::Seq);
            }
        });
    });
}

/// Checks that the products have the bits of their naive twins.
fn check(tile: &Tile, genes: usize, k: usize) {
    let (ht, w) = (factor(genes, k, 5), factor(ROWS, k, 6));
    let mut xht = [FactorBuf::zeros(ROWS, k), FactorBuf::zeros(ROWS, k)];
    let mut share = [FactorBuf::zeros(genes, k), FactorBuf::zeros(genes, k)];
    let runs = tile.runs();
    sparse::xht(xht[0].view_mut(ROWS, k), runs, ht.view(genes, k));
    naive::sparse::xht(xht[1].view_mut(ROWS, k), runs, ht.view(genes, k));
    sparse::wtx(share[0].view_mut(genes, k), runs, w.view(ROWS, k));
    naive::sparse::wtx(share[1].view_mut(genes, k), runs, w.view(ROWS, k));
    assert!(*xht[0] == *xht[1] && *share[0] == *share[1], "the products of the benchmark are wrong");
}
