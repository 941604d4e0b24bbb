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
            (config(), 4, "bc57e1ca26ba74e44fb4811036219229bff71754d7a27f4b43256bf677df2e4d"),
            (
                config().with_scale(ScaleSpec::Std),
                4,
                "68709edbf4852ded0c840a07e4f762e954e124a75543c41faa64b2b1b981dfc7",
            ),
            (
                config().with_init(InitSpec::Random).with_seed(7),
                30,
                "df3a69a917b3bf1eeefaa6c01962d9c7ea7e777ee03aa2820acd185597aac512",
            ),
            (
                config().with_solver(SolverSpec::Hals).with_init(InitSpec::Random),
                37,
                "28f1b8598add6c01e460df2310dc9e1193da1e0acb70d58944add4ad33e0dceb",
            ),
            (
                config().with_solver(SolverSpec::Mu),
                200,
                "269e05815bff12fd7e0ff25e380be2d12e045f2964779ec3ed6cb43fa7602a23",
            ),
            (
                config().with_solver(SolverSpec::Bpp),
                4,
                "332bac058ea7fa4c841151ce70bc491532d5aa38fdc35a7e9f3273c85096bc8b",
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
            (config(), 13, "24d8af6b5b6b8a586bd2138e9f07f38e18e5d89e56731035171c81baf2d81f4d"),
            (
                config().with_scale(ScaleSpec::Std),
                9,
                "5413f4c5f95d5623e87b98f425cf3a554628e5a0672247a6ec041c7674ec5535",
            ),
            (
                config().with_solver(SolverSpec::Mu).with_init(InitSpec::Sample),
                39,
                "d061dc40de292161514c25ac8690b54b4ba63e200e586d9a4c9997f6cc618f7b",
            ),
        ],
    );
}
