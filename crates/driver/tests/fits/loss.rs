//! The loss printed is true, and accepted passes never raise it.

use partwise_driver::{InitSpec, NmfConfig, ScaleSpec, SolverSpec, TraceRow};
use partwise_storage::store::Layout;

use crate::planted::{Matrix, counts, dense, run, sq_residual, store, usages};

const SOLVERS: [SolverSpec; 4] = [SolverSpec::Auto, SolverSpec::Hals, SolverSpec::Mu, SolverSpec::Bpp];

fn standard_deviations(x: &Matrix) -> Vec<f64> {
    let n = x.cells as f64;
    (0..x.genes)
        .map(|j| {
            let column = || (0..x.cells).map(|i| f64::from(x.row(i)[j]));
            let mean = column().sum::<f64>() / n;
            let std = (column().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
            if std > 0.0 { std } else { 1.0 }
        })
        .collect()
}

#[test]
fn the_reported_error_is_that_of_the_factors() {
    let folder = tempfile::tempdir().unwrap();
    for (layout, x) in [(Layout::Sparse, counts(700, 80, 4, 5)), (Layout::Dense, dense(700, 80, 4, 6))] {
        let store = store(folder.path(), &x, layout, 256);
        let std = standard_deviations(&x);
        for (scale, factor) in [
            (ScaleSpec::None, Box::new(|_| 1.0) as Box<dyn Fn(usize) -> f64>),
            (ScaleSpec::Std, Box::new(|j: usize| 1.0 / std[j])),
        ] {
            for solver in SOLVERS {
                let fit = run(&store, &NmfConfig::new(3).with_solver(solver).with_scale(scale).with_max_passes(8));
                let sq_norm: f64 = x
                    .values
                    .iter()
                    .enumerate()
                    .map(|(i, &value)| (f64::from(value) * factor(i % x.genes)).powi(2))
                    .sum();
                let residual = sq_residual(&x, &usages(&fit), &fit.spectra().to_rows(), 3, &factor);
                let reported = fit.relative_error.powi(2) * sq_norm;
                assert!(
                    (reported - residual).abs() < 1e-6 * sq_norm,
                    "{layout:?} {scale:?} {solver:?}: {reported} {residual}"
                );
            }
        }
    }
}

/// Over accepted passes the loss rises by no more than the precision of both losses.
fn assert_nonincreasing(trace: &[TraceRow], sq_norm: f64, what: &str) {
    let accepted: Vec<&TraceRow> = trace.iter().filter(|row| row.accepted).collect();
    assert!(accepted.len() > 1, "{what}: {} accepted passes", accepted.len());
    for pair in accepted.windows(2) {
        let (old, new) = (pair[0].loss, pair[1].loss);
        assert!(new <= old + 1e-6 * sq_norm, "{what}: pass {} rose from {old} to {new}", pair[1].pass);
    }
}

/// Nothing but single nonzeros: every row and every gene has one at most.
fn scattered(cells: usize, genes: usize) -> Matrix {
    let mut values = vec![0.0; cells * genes];
    for i in (0..cells.min(genes)).filter(|i| i % 3 > 0) {
        values[i * genes + (i * 7) % genes] = (1 + i % 5) as f32;
    }
    Matrix { cells, genes, values }
}

/// The same row over and over, so that components become copies of one another.
fn repeated(cells: usize, genes: usize) -> Matrix {
    let values =
        (0..cells * genes).map(|i| if (i % genes).is_multiple_of(4) { (1 + i % genes) as f32 } else { 0.0 }).collect();
    Matrix { cells, genes, values }
}

#[test]
fn accepted_passes_never_raise_the_loss() {
    let cases = [
        ("sparse, with empty rows and genes and single nonzeros", Layout::Sparse, counts(900, 60, 5, 7)),
        ("dense", Layout::Dense, dense(900, 60, 5, 8)),
        ("single nonzeros only", Layout::Sparse, scattered(300, 80)),
        ("one row repeated", Layout::Sparse, repeated(300, 40)),
    ];
    for (name, layout, x) in cases {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), &x, layout, 256);
        for solver in SOLVERS {
            for init in [InitSpec::Random, InitSpec::Sample] {
                for scale in [ScaleSpec::None, ScaleSpec::Std] {
                    let what = format!("{name}, {solver:?}, {init:?}, {scale:?}");
                    let config = NmfConfig::new(6).with_solver(solver).with_init(init.clone()).with_scale(scale);
                    let fit = run(&store, &config.with_tol(0.0).with_max_passes(40));
                    let sq_norm = match scale {
                        ScaleSpec::None => x.sq_norm(),
                        ScaleSpec::Std => {
                            let std = standard_deviations(&x);
                            x.values.iter().enumerate().map(|(i, &v)| (f64::from(v) / std[i % x.genes]).powi(2)).sum()
                        }
                    };
                    assert_nonincreasing(&fit.trace, sq_norm, &what);
                }
            }
        }
    }
}

#[test]
fn an_exact_factorization_is_found_and_said_to_be_nearly_perfect() {
    let folder = tempfile::tempdir().unwrap();
    let mut x = counts(400, 50, 2, 3);
    for (i, row) in x.values.chunks_exact_mut(50).enumerate() {
        row.iter_mut().enumerate().for_each(|(j, v)| *v = if (i + j) % 2 == 0 { (1 + i % 3) as f32 } else { 0.0 });
    }
    let store = store(folder.path(), &x, Layout::Sparse, 256);
    let fit = run(&store, &NmfConfig::new(2).with_tol(1e-9));
    assert!(fit.relative_error < 1e-3, "{}", fit.relative_error);
}

/// W and H of a result are those of the last accepted pass, on one scale, if a later one was
/// rejected.
#[test]
fn a_fit_that_ends_on_a_rejected_pass_has_the_factors_of_the_last_accepted_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut ended = 0;
    for seed in 0..3 {
        let x = counts(500, 60, 5, 20 + seed);
        let of_seed = folder.path().join(seed.to_string());
        std::fs::create_dir(&of_seed).unwrap();
        let store = store(&of_seed, &x, Layout::Sparse, 256);
        let config = NmfConfig::new(6).with_init(InitSpec::Random).with_seed(seed).with_tol(0.0);
        let whole = run(&store, &config.clone().with_max_passes(60));
        let rejected = whole.trace.iter().enumerate().filter(|(_, row)| !row.accepted).map(|(i, _)| i + 1);
        for passes in rejected.take(4) {
            let fit = run(&store, &config.clone().with_max_passes(passes));
            assert!(fit.trace.last().is_some_and(|row| !row.accepted), "seed {seed}, pass {passes}");
            let residual = sq_residual(&x, &usages(&fit), &fit.spectra().to_rows(), 6, |_| 1.0);
            let reported = fit.relative_error.powi(2) * x.sq_norm();
            assert!(
                (reported - residual).abs() < 1e-6 * x.sq_norm(),
                "seed {seed}, pass {passes}: {reported} {residual}"
            );
            ended += 1;
        }
    }
    assert!(ended >= 3, "{ended} fits ended on a rejected pass");
}
