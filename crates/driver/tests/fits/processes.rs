//! Several processes make the fit that one makes, and write the file that one writes.

use std::path::Path;

use partwise_driver::comm::Comm;
use partwise_driver::fit::{Run, fit_with};
use partwise_driver::result::{self, Destination};
use partwise_driver::usages::UsagesPlace;
use partwise_driver::{Fit, Init, InitSpec, NmfConfig, Plan, ScaleSpec, SolverSpec, TraceRow};
use partwise_storage::Quiet;
use partwise_storage::store::{Layout, Overwrite, Store};

use crate::planted::{counts, dense, plan, run, store, usages};
use crate::threads_comm::together;

const SIZES: [usize; 4] = [1, 2, 3, 5];

/// A row without its times, which differ from run to run.
fn timeless(row: &TraceRow) -> String {
    // As text: the first row has a NaN.
    format!("{:?}", row.without_machine())
}

fn trace(fit: &Fit) -> Vec<String> {
    fit.trace.iter().map(timeless).collect()
}

/// Compares the fit of each process, by rank, with the fit of one alone.
#[track_caller]
fn assert_one(fits: &[Fit], alone: &Fit, what: &str) {
    let mut w = Vec::new();
    for fit in fits {
        assert_eq!(fit.digest, alone.digest, "{what}");
        assert_eq!(trace(fit), trace(alone), "{what}");
        assert_eq!(
            (fit.passes, fit.stop, fit.sample_passes, fit.relative_error),
            (alone.passes, alone.stop, alone.sample_passes, alone.relative_error)
        );
        assert_eq!(fit.spectra().to_rows(), alone.spectra().to_rows(), "{what}");
        for rows in fit.usage_blocks() {
            let rows = rows.unwrap();
            assert_eq!(rows.first * fit.k(), w.len(), "{what}: rows of W by rank");
            w.extend_from_slice(&rows.values);
        }
        assert_eq!(fit.rows_per_rank.len(), fits.len());
        assert_eq!(fit.rows_per_rank.iter().sum::<usize>(), fit.cells());
    }
    assert!(w == usages(alone), "{what}: W differs");
}

/// The fits of `size` processes; odd ones keep W on disk, read by the tile and hold a block in
/// memory.
fn fit_among(folder: &Path, store: &Store, config: &NmfConfig, size: usize, threads: usize) -> Vec<Fit> {
    together(size, |comm| {
        let mut plan = plan(store, config, threads);
        if comm.rank() % 2 == 1 {
            plan.execution.usages = UsagesPlace::Disk(folder.to_path_buf());
            plan.execution.segment_bytes = 1;
            plan.execution.pinned_bytes = 8 + (1 << 16);
        }
        fit_with(store, &plan, &Run { comm, ..Run::default() }, &Quiet).unwrap()
    })
}

#[test]
fn processes_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    for (layout, matrix) in [(Layout::Sparse, counts(1500, 90, 4, 1)), (Layout::Dense, dense(1500, 90, 4, 2))] {
        let store = store(folder.path(), &matrix, layout, 256);
        for solver in [SolverSpec::Auto, SolverSpec::Hals, SolverSpec::Mu, SolverSpec::Bpp] {
            let config = NmfConfig::new(5).with_solver(solver).with_seed(3).with_max_passes(5);
            let given = folder.path().join("given.h5ad");
            result::write(&run(&store, &config), &store, replacing(&given)).unwrap();
            for (init, scale) in [
                (InitSpec::Random, ScaleSpec::Std),
                (InitSpec::Sample, ScaleSpec::None),
                (InitSpec::Given(given.clone()), ScaleSpec::Std),
            ] {
                let config = config.clone().with_init(init).with_scale(scale);
                let alone = run(&store, &config);
                for size in SIZES {
                    for threads in [1, 2] {
                        let fits = fit_among(folder.path(), &store, &config, size, threads);
                        let what = format!("{layout:?} {config:?}: {size} processes of {threads} threads");
                        assert_one(&fits, &alone, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn processes_without_a_block_take_part() {
    let folder = tempfile::tempdir().unwrap();
    // Two blocks, and one block of the sample: three of five processes are idle.
    let store = store(folder.path(), &counts(400, 60, 3, 4), Layout::Sparse, 256);
    for solver in [SolverSpec::Auto, SolverSpec::Mu] {
        for init in [InitSpec::Sample, InitSpec::Random] {
            let config = NmfConfig::new(3).with_solver(solver).with_init(init).with_max_passes(4);
            let fits = fit_among(folder.path(), &store, &config, 5, 2);
            assert_eq!(fits[0].rows_per_rank.iter().filter(|&&rows| rows == 0).count(), 3);
            assert_one(&fits, &run(&store, &config), &format!("{config:?}"));
        }
    }
}

#[test]
fn a_sample_that_is_not_all_of_the_matrix_is_shared_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(6000, 120, 5, 21), Layout::Sparse, 512);
    let config = NmfConfig::new(5).with_max_passes(3);
    let mut plans = [1, 3].map(|threads| plan(&store, &config, threads));
    for plan in &mut plans {
        plan.models[0].init = Init::Sample { entries: 40_000, rows: 2_500 };
    }
    let alone = fit_with(&store, &plans[0], &Run::default(), &Quiet).unwrap();
    for size in SIZES {
        let fits = together(size, |comm| {
            fit_with(&store, &plans[comm.rank() % 2], &Run { comm, ..Run::default() }, &Quiet).unwrap()
        });
        assert_one(&fits, &alone, &format!("{size} processes"));
    }
}

fn replacing(path: &Path) -> Destination<'_> {
    Destination::new(path).with_overwrite(Overwrite::Replace)
}

/// The bytes of the file that `size` processes write.
fn written(store: &Store, plan: &Plan, size: usize, dest: &Path) -> Vec<u8> {
    together(size, |comm| {
        let fit = fit_with(store, plan, &Run { comm, ..Run::default() }, &Quiet).unwrap();
        let dest = replacing(dest).with_notes(vec![("cpu".into(), "any".into())]).with_usages_in_obs(true);
        result::write_among(&fit, store, dest, comm).unwrap();
    });
    std::fs::read(dest).unwrap()
}

#[test]
fn the_file_of_several_processes_is_that_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("r.h5ad");
    for (layout, matrix) in [(Layout::Sparse, counts(1500, 90, 4, 1)), (Layout::Dense, dense(1500, 90, 4, 2))] {
        let store = store(folder.path(), &matrix, layout, 256);
        let plan = plan(&store, &NmfConfig::new(5).with_max_passes(3), 1);
        let alone = written(&store, &plan, 1, &dest);
        for size in [2, 3, 5, 9] {
            assert!(written(&store, &plan, size, &dest) == alone, "{layout:?}: {size} processes");
        }
    }
}
