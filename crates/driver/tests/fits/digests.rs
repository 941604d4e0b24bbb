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
            (config(), 4, "d172ddc2f5479cc6190d3565dcf70c02c1e36632de92f7e1838cea2432f9c030"),
            (
                config().with_scale(ScaleSpec::Std),
                4,
                "263c569a24db9f4c4a985f13dd9cef75a6c48ab24f4093d7c6ea0ada3ca3082d",
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
                "6b85f8942db720e87d2ca0f0da6bf5fb981578c38b9f9d3400e9df37ad83be6b",
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
            (config(), 13, "66f8df9b2867ff2eba12629a6b4279f5f6a6f76955a751149736090cfdc167ba"),
            (
                config().with_scale(ScaleSpec::Std),
                9,
                "811aac5e9be91a7ff5413b756e9896881809bff3092aa89cc1d169182a170364",
            ),
            (
                config().with_solver(SolverSpec::Mu).with_init(InitSpec::Sample),
                39,
                "0ec0464f4d880ff988a00e7c3c1967ae12ffa82356fceec3fbf47b45aa16526d",
            ),
        ],
    );
}
