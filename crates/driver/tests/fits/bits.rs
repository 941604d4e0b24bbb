//! Threads, budgets, maps and the place of W change no bit. Block heights change the rounding only.

use partwise_driver::usages::UsagesPlace;
use partwise_driver::{InitSpec, NmfConfig, SolverSpec, fit};
use partwise_storage::Quiet;
use partwise_storage::store::Layout;

use crate::planted::{counts, dense, plan, run, store};

#[test]
fn threads_segments_maps_and_scratch_files_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    for (layout, matrix) in [(Layout::Sparse, counts(1500, 90, 4, 1)), (Layout::Dense, dense(1500, 90, 4, 2))] {
        let mut store = store(folder.path(), &matrix, layout, 256);
        for solver in [SolverSpec::Auto, SolverSpec::Hals, SolverSpec::Mu, SolverSpec::Bpp] {
            let config = NmfConfig::new(5).with_solver(solver).with_seed(3).with_max_passes(6);
            let mut digests = Vec::new();
            for threads in [1, 2, 7] {
                let mut plan = plan(&store, &config, threads);
                digests.push(fit(&store, &plan, &Quiet).unwrap().digest);
                plan.execution.segment_bytes = 1;
                plan.execution.usages = UsagesPlace::Disk(folder.path().to_path_buf());
                digests.push(fit(&store, &plan, &Quiet).unwrap().digest);
            }
            // SAFETY: only this test knows the temporary folder.
            unsafe { store.map().unwrap() };
            digests.push(fit(&store, &plan(&store, &config, 3), &Quiet).unwrap().digest);
            assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{layout:?} {solver:?}: {digests:?}");
        }
    }
}

#[test]
fn seeds_do_matter() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(600, 60, 3, 1), Layout::Sparse, 256);
    let digest = |seed, init| run(&store, &NmfConfig::new(3).with_seed(seed).with_init(init).with_max_passes(3)).digest;
    assert_ne!(digest(1, InitSpec::Random), digest(2, InitSpec::Random));
    assert_ne!(digest(1, InitSpec::Sample), digest(1, InitSpec::Random));
}

#[test]
fn the_height_of_blocks_changes_rounding_only() {
    let folder = tempfile::tempdir().unwrap();
    let matrix = counts(2000, 70, 4, 9);
    let errors: Vec<f64> = [256, 512, 2048]
        .map(|rows| {
            let store = store(folder.path(), &matrix, Layout::Sparse, rows);
            run(&store, &NmfConfig::new(4).with_init(InitSpec::Random).with_tol(0.0).with_max_passes(12)).relative_error
        })
        .to_vec();
    for error in &errors {
        assert!((error - errors[0]).abs() < 1e-4 * errors[0], "{errors:?}");
    }
}
