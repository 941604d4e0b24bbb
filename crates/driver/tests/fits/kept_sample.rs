//! A fit starts from the sample that a store keeps, without a read of all rows, where that sample can serve.

use std::fs;
use std::path::Path;

use fixedbitset::FixedBitSet;
use partwise_driver::comm::Solo;
use partwise_driver::fit::{Run, fit_with};
use partwise_driver::{Fit, FitSet, InitSpec, Keep, NmfConfig, ScaleSpec, fit};
use partwise_storage::Quiet;
use partwise_storage::sampling::Caps;
use partwise_storage::store::{Layout, Store};
use partwise_storage::tile::CsrRows;

use crate::pca::subset_of;
use crate::planted::{counts, encode_sparse, plan, run, store, store_of_tiles, store_with_sample};
use crate::sets::{self, facts, fit_all, plan_set};
use crate::threads_comm::together;

/// More rows than a start takes, by half.
const KEPT: Caps = Caps { entries: 1 << 30, rows: 50_000 };
const CELLS: usize = 75_000;

fn kept(folder: &Path, rows: usize, block_rows: usize) -> Store {
    store_with_sample(folder, &counts(CELLS, 14, 3, 31), block_rows, Caps { rows, ..KEPT })
}

/// 4,800 cells × 20,000 genes with 4.4 million entries, of which a sample of 4.2 million is kept.
fn wide(folder: &Path) -> Store {
    let shape = (4800, 20_000);
    let kept = Some(Caps { entries: 4_200_000, rows: shape.0 });
    store_of_tiles(folder, shape, Layout::Sparse, (512, 256), kept, &mut |rows| {
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        for row in rows {
            let genes = (0..shape.1).filter(|gene| (row * 7919 + gene * gene * 31 + gene) % 22 == 0);
            genes.for_each(|gene| {
                indices.push(gene as u32);
                values.push(if row % 4 == gene % 4 { 5.0 } else { 1.0 + ((row ^ gene) % 3) as f32 });
            });
            indptr.push(indices.len());
        }
        encode_sparse(CsrRows { indptr: &indptr, indices: &indices, values: &values }, shape.1)
    })
}

fn config() -> NmfConfig {
    NmfConfig::new(3).with_init(InitSpec::Sample).with_tol(0.0).with_max_passes(3)
}

/// The read that the first full pass is.
fn first_pass(fit: &Fit) -> usize {
    fit.trace[0].pass
}

#[test]
fn a_start_from_it_is_as_good_and_costs_no_read() {
    let folder = tempfile::tempdir().unwrap();
    let (with, without) = (folder.path().join("with"), folder.path().join("without"));
    [&with, &without].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
    let (with, without) = (kept(&with, 50_000, 4096), store(&without, &counts(CELLS, 14, 3, 31), Layout::Sparse, 4096));
    assert_eq!(with.fingerprint(), without.fingerprint());
    let mut errors = [Vec::new(), Vec::new()];
    for seed in 0..7 {
        let [with, without] = [&with, &without].map(|store| run(store, &config().with_seed(seed)));
        assert_eq!((first_pass(&with), with.passes, with.trace.len()), (1, 3, 3));
        assert_eq!((first_pass(&without), without.passes, without.trace.len()), (2, 3, 2));
        assert!(with.sample_passes > 0.0);
        errors.iter_mut().zip([&with, &without]).for_each(|(of, fit)| of.push(fit.trace[0].relative_error));
    }
    // With so few genes, one start in three finds another optimum, from either sample.
    let [found, expected] = errors.each_mut().map(|errors| {
        errors.sort_by(f64::total_cmp);
        (errors[0], errors[3])
    });
    assert!(found.0 < 1.002 * expected.0 && found.1 < 1.002 * expected.1, "{errors:?}");
    // Seeds draw rows of their own.
    let [a, b] = [0, 1].map(|seed| run(&with, &config().with_seed(seed)).trace[0].relative_error);
    assert!(a != b);
}

#[test]
fn threads_and_processes_do_not_show() {
    let folder = tempfile::tempdir().unwrap();
    let store = kept(folder.path(), 50_000, 8192);
    let alone = run(&store, &config());
    for threads in [1, 3] {
        let fit = fit(&store, &plan(&store, &config(), threads), &Quiet).unwrap();
        assert_eq!(fit.digest, alone.digest, "{threads} threads");
    }
    for size in [2, 3] {
        for fit in together(size, |comm| {
            fit_with(&store, &plan(&store, &config(), 2), &Run { comm, ..Run::default() }, &Quiet).unwrap()
        }) {
            assert_eq!((&fit.digest, first_pass(&fit)), (&alone.digest, 1), "{size} processes");
        }
    }
}

#[test]
fn fits_side_by_side_start_as_each_of_them_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = wide(folder.path());
    let set = FitSet::new(config().with_max_passes(2)).with_ks([3, 30]).with_seeds([4, 9]);
    let plan = plan_set(&store, &set, 3);
    let fits = fit_all(&store, &plan, &Solo);
    // Five times the entries of a large H are too many for the sample.
    assert_eq!(fits.iter().map(first_pass).collect::<Vec<_>>(), [1, 1, 2, 2]);
    assert!(fits.iter().map(facts).eq(sets::alone(&store, &plan)));
}

#[test]
fn all_rows_are_read_where_it_cannot_serve() {
    let folder = tempfile::tempdir().unwrap();
    let small = kept(folder.path(), 40_000, 2048);
    assert_eq!(first_pass(&run(&small, &config())), 2, "too few rows to draw from");
    let large = kept(folder.path(), 50_000, 4096);
    assert_eq!(first_pass(&run(&large, &config().with_scale(ScaleSpec::Std))), 2, "scaled genes");
    let mut keep = Keep::default();
    let mut genes = FixedBitSet::with_capacity(14);
    genes.insert_range(..13);
    keep.genes = Some(genes);
    let subset = subset_of(&large, &keep);
    let run = Run { subset: Some(&subset), ..Run::default() };
    let fit = fit_with(&large, &plan(&large, &config(), 2), &run, &Quiet).unwrap();
    assert_eq!(first_pass(&fit), 2, "a part of the genes");
}

#[test]
fn a_damaged_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = kept(folder.path(), 50_000, 4096);
    let path = store.path().join("sample.bin");
    let mut bytes = fs::read(&path).unwrap();
    let place = bytes.len() - 5000;
    bytes[place] ^= 8;
    fs::write(&path, bytes).unwrap();
    let error = fit(&store, &plan(&store, &config(), 2), &Quiet).map(drop).unwrap_err().to_string();
    assert!(error.contains("sample.bin") && error.contains("convert"), "{error}");
}
