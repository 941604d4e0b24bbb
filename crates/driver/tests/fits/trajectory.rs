//! Lee and Seung's rule as published: the same trajectory as the formulas written down.

use partwise_driver::result::{self, Destination};
use partwise_driver::{InitSpec, NmfConfig, SolverSpec};
use partwise_storage::store::Layout;

use crate::planted::{counts, dense, run, sq_residual, store, usages};

#[test]
fn multiplicative_updates_follow_the_formulas() {
    let folder = tempfile::tempdir().unwrap();
    let k = 3;
    for (layout, x) in [(Layout::Sparse, counts(600, 50, 3, 11)), (Layout::Dense, dense(600, 50, 3, 12))] {
        let store = store(folder.path(), &x, layout, 256);
        // A start in a file: a pass of the rule itself from random factors.
        let first = NmfConfig::new(k).with_solver(SolverSpec::Mu).with_max_passes(1);
        let start = run(&store, &first);
        let path = folder.path().join(format!("{layout:?}.h5ad"));
        result::write(&start, &store, Destination::new(&path)).unwrap();

        let (mut w, mut ht) = (wide(&usages(&start)), wide(&start.spectra().to_rows()));
        for passes in 1..=5 {
            lee_seung(&x.values, x.genes, &mut w, &mut ht, k);
            let config =
                NmfConfig::new(k).with_solver(SolverSpec::Mu).with_init(InitSpec::Given(path.clone())).with_tol(0.0);
            let fit = run(&store, &config.with_max_passes(passes));
            assert_eq!(fit.passes, passes);
            let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
            let want = sq_residual(&x, &narrow(&w), &narrow(&ht), k, |_| 1.0);
            let got = fit.relative_error.powi(2) * x.sq_norm();
            assert!((got - want).abs() < 1e-5 * x.sq_norm(), "{layout:?}, pass {passes}: {got} against {want}");
        }
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// W ← W ∘ (X·Hᵀ) / (W·H·Hᵀ), then H ← H ∘ (WᵀX) / (WᵀW·H); `ht` is m × k.
fn lee_seung(x: &[f32], genes: usize, w: &mut [f64], ht: &mut [f64], k: usize) {
    let cells = x.len() / genes;
    let at = |i: usize, j: usize| f64::from(x[i * genes + j]);
    let hht = gram(ht, k);
    for i in 0..cells {
        let old = w[i * k..(i + 1) * k].to_vec();
        for c in 0..k {
            let numerator: f64 = (0..genes).map(|j| at(i, j) * ht[j * k + c]).sum();
            let denominator: f64 = (0..k).map(|l| old[l] * hht[l * k + c]).sum();
            w[i * k + c] = old[c] * numerator / denominator.max(1e-30);
        }
    }
    let wtw = gram(w, k);
    for j in 0..genes {
        let old = ht[j * k..(j + 1) * k].to_vec();
        for c in 0..k {
            let numerator: f64 = (0..cells).map(|i| at(i, j) * w[i * k + c]).sum();
            let denominator: f64 = (0..k).map(|l| old[l] * wtw[l * k + c]).sum();
            ht[j * k + c] = old[c] * numerator / denominator.max(1e-30);
        }
    }
}

fn gram(rows: &[f64], k: usize) -> Vec<f64> {
    let mut gram = vec![0.0; k * k];
    for row in rows.chunks_exact(k) {
        for c in 0..k {
            for l in 0..k {
                gram[c * k + l] += row[c] * row[l];
            }
        }
    }
    gram
}
