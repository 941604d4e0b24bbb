//! The start from a sample is worth its passes and costs no more than it may, and fits start from
//! earlier results.

use partwise_driver::result::{self, Destination};
use partwise_driver::{DriverError, InitSpec, NmfConfig, SolverSpec, fit};
use partwise_storage::Quiet;
use partwise_storage::anndata::AnnDataWriter;
use partwise_storage::store::{Layout, Overwrite};

use crate::planted::{counts, plan, run, store};

#[test]
fn a_sample_saves_passes() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(6000, 120, 5, 21), Layout::Sparse, 256);
    let fit = |init| run(&store, &NmfConfig::new(5).with_init(init).with_tol(0.0).with_max_passes(4));
    let (sampled, random) = (fit(InitSpec::Sample), fit(InitSpec::Random));
    assert_eq!((sampled.passes, random.passes), (4, 4));
    assert_eq!((sampled.trace[0].pass, random.trace[0].pass), (2, 1));
    assert!(sampled.sample_passes > 0.0 && random.sample_passes == 0.0);
    assert!(
        sampled.trace[0].relative_error < random.trace[3].relative_error,
        "{} after one pass against {} after four",
        sampled.trace[0].relative_error,
        random.trace[3].relative_error
    );
}

#[test]
fn an_earlier_result_is_taken_up_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(800, 90, 4, 22), Layout::Sparse, 256);
    let config = NmfConfig::new(4).with_max_passes(5).with_tol(0.0);
    let first = run(&store, &config);
    let path = folder.path().join("first.h5ad");
    result::write(&first, &store, Destination::new(&path)).unwrap();
    let second = run(&store, &config.with_init(InitSpec::Given(path)).with_max_passes(1));
    let (before, after) = (first.relative_error, second.relative_error);
    assert!(after <= before + 1e-6 && after > 0.98 * before, "{before} became {after}");
}

#[test]
fn an_earlier_result_that_is_out_of_range_is_named_and_not_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(800, 90, 4, 22), Layout::Sparse, 256);
    let path = folder.path().join("start.h5ad");
    let mut file = AnnDataWriter::create(&path, Overwrite::Refuse).unwrap();
    file.copy_annotations(&store.annotations().unwrap()).unwrap();
    for (group, name, rows, value) in [("obsm", "X_nmf", 800, 1e30), ("varm", "spectra", 90, 2e30)] {
        file.array2(group, name, rows, 4).unwrap().write_rows(0, &vec![value; 4 * rows]).unwrap();
    }
    file.finish().unwrap();
    for solver in [SolverSpec::Auto, SolverSpec::Hals, SolverSpec::Mu, SolverSpec::Bpp] {
        let config = NmfConfig::new(4).with_solver(solver).with_init(InitSpec::Given(path.clone()));
        let error = fit(&store, &plan(&store, &config, 2), &Quiet).unwrap_err();
        assert!(matches!(error, DriverError::StartRange { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("start.h5ad: products") && text.contains("from 1e30 to 1e30"), "{text}");
        assert!(text.contains("from 2e30 to 2e30"), "{text}");
    }
}

#[test]
fn multiplicative_updates_gain_from_a_sample_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(3000, 120, 5, 23), Layout::Sparse, 256);
    let config = NmfConfig::new(5).with_solver(SolverSpec::Mu).with_tol(0.0);
    let sampled = run(&store, &config.clone().with_init(InitSpec::Sample).with_max_passes(5));
    let random = run(&store, &config.with_init(InitSpec::Random).with_max_passes(20));
    assert!(sampled.relative_error < random.relative_error, "{} {}", sampled.relative_error, random.relative_error);
}

#[test]
fn passes_allowed_are_passes_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(600, 60, 3, 24), Layout::Sparse, 256);
    let passes = |max| run(&store, &NmfConfig::new(3).with_max_passes(max).with_tol(0.0)).passes;
    assert_eq!([1, 2, 5].map(passes), [1, 2, 5]);
    let many = run(&store, &NmfConfig::new(3).with_max_passes(usize::MAX).with_tol(1e-3));
    assert!(many.passes > 2);
}
