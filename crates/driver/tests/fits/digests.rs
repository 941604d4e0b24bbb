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
            (config(), 4, "5e091c4e610fcd0e1393c98fc1013266ad5e3d959a5e82b1ae23414ad5f40b77"),
            (
                config().with_scale(ScaleSpec::Std),
                5,
                "eebef0d15d7ed433d92b8c2bd0631bfbdcf93ccaa60d60733fa7914159a95ded",
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
                "68bed9f588aee9f1ca2aad6203d63bd9f81ef65afbf3e500bd788968a595d1ba",
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
            (config(), 7, "ab9f129a2e4c8a502d65028c2d320b8c70435e0f9bfaba1fced274ae9ed9932e"),
            (
                config().with_scale(ScaleSpec::Std),
                12,
                "364ab07162fd57b31f10a8caa61133fd31c2ee4c6c86a0d556536a696640c189",
            ),
            (
                config().with_solver(SolverSpec::Mu).with_init(InitSpec::Sample),
                40,
                "5e5e637a733e041649a84a03c4672f322136f8ab67a57625ea91028ef06f495f",
            ),
        ],
    );
}
