//! The start from a sample is worth its passes and costs no more than it may, and fits start from
//! earlier results.

use partwise_driver::{InitSpec, NmfConfig, SolverSpec, result};
use partwise_storage::store::{Layout, Overwrite};

use crate::planted::{counts, run, store};

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
    result::write(&first, &store, Vec::new(), &path, Overwrite::Refuse).unwrap();
    let second = run(&store, &config.with_init(InitSpec::Given(path)).with_max_passes(1));
    let (before, after) = (first.relative_error, second.relative_error);
    assert!(after <= before + 1e-6 && after > 0.98 * before, "{before} became {after}");
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
