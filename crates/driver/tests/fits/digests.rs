//! Fits with default settings keep their bits from version to version.
//!
//! A digest changes if the arithmetic of a fit changes, or the order of its random numbers. Such a change is a new
//! version of the results: it needs its own reason and new figures here. Sparse data only, since the bits of dense
//! products depend on the CPU.

use partwise_driver::{InitSpec, NmfConfig, ScaleSpec, SolverSpec};
use partwise_storage::store::Layout;

use crate::planted::{Matrix, counts, run, store};

/// Compares the digest and the number of passes of each fit with those of earlier versions.
#[track_caller]
fn assert_bits(matrix: &Matrix, block_rows: usize, fits: &[(NmfConfig, usize, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), matrix, Layout::Sparse, block_rows);
    let found: Vec<String> = fits
        .iter()
        .map(|(config, ..)| {
            let fit = run(&store, config);
            format!("{} passes, {}", fit.passes, fit.digest)
        })
        .collect();
    let expected: Vec<String> = fits.iter().map(|(_, passes, digest)| format!("{passes} passes, {digest}")).collect();
    assert_eq!(found, expected, "{} nonzeros", store.nonzeros());
}

#[test]
fn every_solver_keeps_its_bits() {
    let config = || NmfConfig::new(5);
    assert_bits(
        &counts(1500, 90, 4, 1),
        256,
        &[
            (config(), 4, "a1d82f6c6c54bccf9718d86773f34dfa5690d5ecc073e6c6ec29444173108c3e"),
            (
                config().with_scale(ScaleSpec::Std),
                5,
                "fb8b7389de430b7931a6d3c4ea43e7e99b6569806b64cb47b3fe59f053d59daa",
            ),
            (
                config().with_init(InitSpec::Random).with_seed(7),
                30,
                "5059a1451a3bb57c12d4082c46e99739ce62173c736bc2a21ef5fa78bcd33946",
            ),
            (
                config().with_solver(SolverSpec::Hals).with_init(InitSpec::Random),
                37,
                "0b6fe5b6fd2364f29bb44eea84686c4965af9606d3672aeea59e13b9c54789a0",
            ),
            (
                config().with_solver(SolverSpec::Mu),
                200,
                "93a00b9965a84d649ceb9435782a58dec6bda241ba3d2e1004023c00abd5c5a7",
            ),
            (
                config().with_solver(SolverSpec::Bpp),
                4,
                "c807c96aee436beb7e35d108b5302097b3cc47b19a5c38654a5394e5b2ab9d1f",
            ),
        ],
    );
}

#[test]
fn fits_that_start_from_a_part_of_the_matrix_keep_their_bits() {
    let config = || NmfConfig::new(12).with_seed(3);
    assert_bits(
        &counts(9000, 900, 8, 2),
        512,
        &[
            (config(), 5, "3ac8e6f95fe6b7608f99b510b480fb9242484bb2aaec53c341e85f377cf7139b"),
            (
                config().with_scale(ScaleSpec::Std),
                6,
                "ed9f01717984fd60f82de99c50010224182cf7f72b9e5d6be90e11b666f623e9",
            ),
            (
                config().with_solver(SolverSpec::Mu).with_init(InitSpec::Sample),
                37,
                "c2b34bf02356d60fe12bc3f1664238a4411f1948b3e95760cb42faad99e8bc25",
            ),
        ],
    );
}
