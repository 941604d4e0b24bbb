//! The loss printed is true where rows are alike, so that the roundings of their products all go
//! the same way.

use partwise_driver::{InitSpec, NmfConfig, SolverSpec};
use partwise_storage::store::Layout;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::planted::{Matrix, run, sq_residual, store, usages};

/// A matrix of `cells` rows, each a multiple of one of the rows `kinds`: `pick` names it and the
/// factor.
fn alike(cells: usize, kinds: &[Vec<f32>], pick: impl Fn(usize) -> (usize, f32)) -> Matrix {
    let values = (0..cells).flat_map(|i| {
        let (kind, factor) = pick(i);
        kinds[kind].iter().map(move |value| value * factor)
    });
    Matrix { cells, genes: kinds[0].len(), values: values.collect() }
}

/// The error printed after each of the first passes differs from that of the factors by at most
/// 1e-6 ‖X‖².
#[track_caller]
fn assert_true(x: &Matrix, block_rows: usize, k: usize, what: &str) {
    let sq_norm = x.sq_norm();
    for layout in [Layout::Sparse, Layout::Dense] {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), x, layout, block_rows);
        for (solver, init, passes) in [
            (SolverSpec::Auto, InitSpec::Random, 3),
            (SolverSpec::Auto, InitSpec::Sample, 2),
            (SolverSpec::Mu, InitSpec::Random, 2),
        ] {
            let config = NmfConfig::new(k).with_solver(solver).with_init(init.clone()).with_tol(0.0);
            let fit = run(&store, &config.with_max_passes(passes));
            let residual = sq_residual(x, &usages(&fit), &fit.spectra().to_rows(), k, |_| 1.0);
            let off = (fit.relative_error.powi(2) * sq_norm - residual).abs() / sq_norm;
            assert!(off <= 1e-6, "{what}, {layout:?}, {solver:?}, {init:?}: off by {off:.1e} of the whole");
        }
    }
}

#[test]
fn constant_matrices() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for value in [3.7, 1.0, 7.0, 1.0 + rng.random::<f32>(), 1e-3 * (1.0 + rng.random::<f32>())] {
        let x = alike(1000, &[vec![value; 50]], |_| (0, 1.0));
        assert_true(&x, 1024, 3, &format!("{value}, k = 3"));
        let x = alike(9000, &[vec![value; 12]], |_| (0, 1.0));
        assert_true(&x, 4096, 1, &format!("{value}, k = 1"));
    }
}

#[test]
fn one_row_again_and_again_or_two() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut row = |whole: bool| -> Vec<f32> {
        let value = |v: f32| if whole { (9.0 * v).round() } else { v };
        (0..24).map(|_| rng.random::<f32>()).map(|v| if v < 0.3 { 0.0 } else { value(v) }).collect()
    };
    for whole in [true, false] {
        let kinds = [row(whole), row(whole)];
        for (cells, block_rows) in [(30_000, 1024), (20_000, 16_384)] {
            let what = format!("{cells} rows, whole numbers: {whole}");
            assert_true(&alike(cells, &kinds[..1], |_| (0, 1.0)), block_rows, 2, &format!("{what}, one kind"));
            assert_true(&alike(cells, &kinds, |i| (i % 2, 1.0)), block_rows, 1, &format!("{what}, two in turn"));
            assert_true(
                &alike(cells, &kinds, |i| (i / 700 % 2, 1.0)),
                block_rows,
                1,
                &format!("{what}, two in strips"),
            );
        }
    }
}

#[test]
fn a_block_with_one_gene_that_is_not_zero() {
    let mut kinds = [vec![0.0; 10], vec![0.0; 10]];
    (kinds[0][4], kinds[1][7]) = (1.3, 2.9);
    assert_true(&alike(17_000, &kinds, |i| (i / 4096 % 2, 1.0)), 4096, 2, "a gene a block");
}

/// The first tile of each block carries nearly everything. Every later one adds little more than
/// half a unit in the last place, which is rounded up to a whole one.
#[test]
fn tiles_too_faint_to_add_up() {
    for (value, shift) in [(1.0, 0.6), (1.01, 0.55), (1.37, 0.7)] {
        let faint = (2f32.powi(-24) * shift * 2.0).sqrt();
        let x = alike(4096, &[vec![value; 16]], |i| (0, if i < 256 { 1.0 } else { faint }));
        assert_true(&x, 4096, 1, &format!("{value}, later tiles fainter by {faint}"));
    }
}
