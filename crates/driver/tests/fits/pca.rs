//! Principal components, held against an eigen-decomposition of the centred matrix in f64.

use std::sync::{Arc, Mutex};

use fixedbitset::FixedBitSet;
use partwise_driver::engine::Engine;
use partwise_driver::fit::Run;
use partwise_driver::pca::{Method, PcaPlan, Scores, find_axes};
use partwise_driver::{
    DataShape, DriverError, FitMonitor, Input, Keep, Machine, MethodSpec, PcaConfig, ScaleSpec, Subset, TargetSum,
};
use partwise_kernels::eigen::symmetric_eigen;
use partwise_storage::Quiet;
use partwise_storage::store::{Layout, Store};

use crate::planted::{Matrix, counts, dense, store};
use crate::threads_comm::together;

/// Components as a caller has them: scores (n × c), axes (m × c) and what is known of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// Scores of consecutive cells, by the first of them.
    pub(crate) rows: Vec<(usize, Vec<f32>)>,
    pub(crate) axes: Vec<f32>,
    pub(crate) about: Scores,
}

impl Found {
    fn scores(&self) -> Vec<f32> {
        self.rows.iter().flat_map(|(_, values)| values).copied().collect()
    }
}

fn find(store: &Store, plan: &PcaPlan, run: &Run<'_>) -> Result<Found, DriverError> {
    find_with(Input::Store(store), plan, run, &Quiet)
}

pub(crate) fn find_with(
    input: Input<'_>,
    plan: &PcaPlan,
    run: &Run<'_>,
    monitor: &dyn FitMonitor,
) -> Result<Found, DriverError> {
    find_axes(input, plan, run, monitor, |axes| {
        let rows = Mutex::new(Vec::new());
        let about = axes.scores(&|first, values| {
            rows.lock().unwrap().push((first, values.to_vec()));
            Ok(())
        })?;
        let mut rows = rows.into_inner().unwrap();
        rows.retain(|(_, values): &(usize, Vec<f32>)| !values.is_empty());
        rows.sort_by_key(|(first, _)| *first);
        Ok(Found { rows, axes: axes.axes().to_rows(), about })
    })
}

pub(crate) fn plan(store: &Store, config: &PcaConfig, subset: Option<&Subset>, threads: usize) -> PcaPlan {
    let shape = DataShape::of_store(store).unwrap();
    config.plan(&shape, subset, &Machine::new(threads, 1 << 30)).unwrap()
}

fn alone(store: &Store, config: &PcaConfig, subset: Option<&Arc<Subset>>) -> Found {
    let plan = plan(store, config, subset.map(|subset| &**subset), 2);
    find(store, &plan, &Run { subset, ..Run::default() }).unwrap()
}

/// A = (X − 1μᵀ)·D of what is kept, by the definition.
fn centred(matrix: &Matrix, config: &PcaConfig, keep: &Keep) -> Vec<Vec<f64>> {
    let has = |set: &Option<FixedBitSet>, at: usize| set.as_ref().is_none_or(|set| set.contains(at));
    let cells: Vec<usize> = (0..matrix.cells).filter(|&i| has(&keep.cells, i)).collect();
    let total = |i: usize| matrix.row(i).iter().map(|&x| f64::from(x)).sum::<f64>();
    let mut totals: Vec<f64> = cells.iter().map(|&i| total(i)).filter(|&sum| sum > 0.0).collect();
    totals.sort_by(f64::total_cmp);
    let median = (totals[(totals.len() - 1) / 2] + totals[totals.len() / 2]) / 2.0;
    let value = |i: usize, x: f32| match config.log1p {
        None => f64::from(x),
        Some(_) if x == 0.0 => 0.0,
        Some(TargetSum::Sum(sum)) => (f64::from(x) * sum / total(i)).ln_1p(),
        Some(_) => (f64::from(x) * median / total(i)).ln_1p(),
    };
    let row = |&i: &usize| {
        let genes = matrix.row(i).iter().enumerate().filter(|(j, _)| has(&keep.genes, *j));
        genes.map(|(_, &x)| value(i, x)).collect::<Vec<f64>>()
    };
    let mut rows: Vec<Vec<f64>> = cells.iter().map(row).collect();
    let n = rows.len() as f64;
    for j in 0..rows[0].len() {
        let mean = rows.iter().map(|row| row[j]).sum::<f64>() / n;
        let variance = rows.iter().map(|row| (row[j] - mean).powi(2)).sum::<f64>() / n;
        let factor = if config.scale == ScaleSpec::Std && variance > 1e-12 { 1.0 / variance.sqrt() } else { 1.0 };
        rows.iter_mut().for_each(|row| row[j] = (row[j] - mean) * factor);
    }
    rows
}

/// The eigenvalues of AᵀA and its eigenvectors, from the smaller of its two Gram matrices.
fn naive(a: &[Vec<f64>], c: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let (n, m) = (a.len(), a[0].len());
    if m <= n {
        let gram = |j: usize, k: usize| a.iter().map(|row| row[j] * row[k]).sum::<f64>();
        let eigen = symmetric_eigen(&(0..m * m).map(|at| gram(at / m, at % m)).collect::<Vec<_>>(), m);
        let axis = |c: usize| (0..m).map(|j| eigen.vectors[j * m + c]).collect();
        return (eigen.values.clone(), (0..c).map(axis).collect());
    }
    let gram = |i: usize, k: usize| a[i].iter().zip(&a[k]).map(|(x, y)| x * y).sum::<f64>();
    let eigen = symmetric_eigen(&(0..n * n).map(|at| gram(at / n, at % n)).collect::<Vec<_>>(), n);
    let axis = |c: usize| {
        let part = |j: usize| (0..n).map(|i| a[i][j] * eigen.vectors[i * n + c]).sum::<f64>();
        (0..m).map(|j| part(j) / eigen.values[c].sqrt()).collect()
    };
    (eigen.values.clone(), (0..c).map(axis).collect())
}

/// The Gram matrix is as precise as f64, products are as far as six passes go.
fn assert_right(found: &Found, a: &[Vec<f64>], c: usize, what: &str) {
    let (off, alike) = if found.about.method == Method::Gram { (1e-6, 0.999_999) } else { (1e-4, 0.9999) };
    let (n, m) = (a.len(), a[0].len());
    let (values, axes) = naive(a, c);
    let total: f64 = a.iter().flatten().map(|x| x * x).sum();
    let about = &found.about;
    assert!((about.total_variance / (total / (n as f64 - 1.0)) - 1.0).abs() < 1e-6, "{what}");
    let scores = found.scores();
    assert_eq!((scores.len(), found.axes.len()), (n * c, m * c), "{what}");
    let largest = scores.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    for at in 0..c {
        let (ratio, expected) = (about.variance_ratio[at], values[at] / total);
        assert!((ratio / expected - 1.0).abs() < off, "{what}, axis {at}: {ratio} {expected}");
        assert!((about.variance[at] / (ratio * about.total_variance) - 1.0).abs() < 1e-12, "{what}");
        let axis: Vec<f64> = (0..m).map(|j| f64::from(found.axes[j * c + at])).collect();
        let apart =
            (0..c + 1).filter(|&other| other != at).all(|other| (values[other] / values[at] - 1.0).abs() > 0.02);
        let cosine: f64 = axis.iter().zip(&axes[at]).map(|(x, y)| x * y).sum();
        assert!(!apart || cosine.abs() > alike, "{what}, axis {at}: {cosine}");
        assert!((axis.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-6, "{what}: norm of axis {at}");
        let most = axis.iter().fold(0.0f64, |most, &value| if value.abs() > most.abs() { value } else { most });
        assert!(most > 0.0, "{what}: the sign of axis {at}");
        for (i, row) in a.iter().enumerate() {
            let score: f64 = row.iter().zip(&axis).map(|(x, y)| x * y).sum();
            let error = (f64::from(scores[i * c + at]) - score).abs();
            assert!(error < 1e-5 * f64::from(largest), "{what}, cell {i}, axis {at}: off by {error}");
        }
    }
}

pub(crate) fn configs(c: usize) -> impl Iterator<Item = PcaConfig> {
    let values = [None, Some(TargetSum::Median), Some(TargetSum::Sum(50.0))].into_iter().flat_map(move |log1p| {
        [ScaleSpec::None, ScaleSpec::Std]
            .map(|scale| PcaConfig::new(c).with_scale(scale).with_log1p(log1p).with_seed(3))
    });
    values.flat_map(|config| METHODS.map(|method| config.clone().with_method(method)))
}

const METHODS: [MethodSpec; 2] = [MethodSpec::Gram, MethodSpec::Krylov];

/// Every third cell and gene is left out.
pub(crate) fn part(matrix: &Matrix) -> Keep {
    let some = |len: usize| {
        let mut set = FixedBitSet::with_capacity(len);
        (0..len).filter(|at| at % 3 != 1).for_each(|at| set.insert(at));
        Some(set)
    };
    let mut keep = Keep::default();
    (keep.genes, keep.cells) = (some(matrix.genes), some(matrix.cells));
    keep
}

pub(crate) fn subset_of(store: &Store, keep: &Keep) -> Arc<Subset> {
    let data = partwise_driver::blocks::StoreBlocks::new(store);
    Arc::new(Subset::find(&data, keep.clone(), &Engine::new(1 << 20, &Quiet), 2).unwrap())
}

#[test]
fn components_are_those_of_the_centred_matrix() {
    // 50 genes are all directions; of 900 there is a Krylov space.
    for (cells, genes, c) in [(700, 50, 8), (200, 900, 4)] {
        let folder = tempfile::tempdir().unwrap();
        for (layout, matrix) in
            [(Layout::Sparse, counts(cells, genes, 6, 1)), (Layout::Dense, dense(cells, genes, 6, 2))]
        {
            let store = store(folder.path(), &matrix, layout, 256);
            let subset = subset_of(&store, &part(&matrix));
            for config in configs(c) {
                let what = format!("{layout:?}, {genes} genes, {config:?}");
                let found = alone(&store, &config, None);
                let gram = config.method == MethodSpec::Gram;
                assert_eq!(found.about.method == Method::Gram, gram, "{what}");
                let most = if gram { 2 + usize::from(config.log1p.is_some()) } else { 8 };
                assert!(found.about.passes <= most, "{what}");
                assert_right(&found, &centred(&matrix, &config, &Keep::default()), c, &what);
                let found = alone(&store, &config, Some(&subset));
                assert!(found.about.passes <= 8, "{what}");
                assert_right(&found, &centred(&matrix, &config, &part(&matrix)), c, &format!("{what}, a part"));
            }
        }
    }
}

#[test]
fn threads_memory_and_processes_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    for (layout, matrix) in [(Layout::Sparse, counts(1100, 600, 5, 1)), (Layout::Dense, dense(900, 40, 5, 2))] {
        let store = store(folder.path(), &matrix, layout, 256);
        let subset = subset_of(&store, &part(&matrix));
        // Of the two target sums one is enough.
        let configs = configs(5).filter(|config| !matches!(config.log1p, Some(TargetSum::Sum(_))));
        for (config, subset) in configs.flat_map(|config| [(config.clone(), None), (config, Some(&subset))]) {
            let expected = alone(&store, &config, subset);
            for threads in [1, 7] {
                let plan = plan(&store, &config, subset.map(|subset| &**subset), threads);
                let found = find(&store, &plan, &Run { subset, ..Run::default() }).unwrap();
                assert_eq!(found, expected, "{layout:?} {config:?}: {threads} threads");
            }
            for size in [2, 3] {
                let parts = together(size, |comm| {
                    let mut plan = plan(&store, &config, subset.map(|subset| &**subset), 1 + size % 2);
                    plan.execution.segment_bytes = 1;
                    plan.execution.pinned_bytes = 1 << 16;
                    let run = Run { comm, subset, ..Run::default() };
                    find(&store, &plan, &run).unwrap()
                });
                let rows: Vec<_> = parts.iter().flat_map(|part| part.rows.clone()).collect();
                assert!(rows == expected.rows, "{layout:?} {config:?}: scores of {size} processes");
                for part in parts {
                    assert_eq!(part.axes, expected.axes, "{layout:?} {config:?}: {size} processes");
                    assert_eq!(part.about.digest, expected.about.digest);
                    assert_eq!(part.about.variance, expected.about.variance);
                    assert_eq!(part.about.rows_per_rank.iter().sum::<usize>(), matrix.cells);
                }
            }
        }
    }
}

#[test]
fn axes_beyond_the_rank_are_zero_or_have_no_variance() {
    // Two kinds of cells: one axis is all there is.
    for genes in [8, 700] {
        let folder = tempfile::tempdir().unwrap();
        let value = |at: usize| if (at / genes).is_multiple_of(2) { (at % genes % 5) as f32 } else { 1.0 };
        let matrix = Matrix { cells: 40, genes, values: (0..40 * genes).map(value).collect() };
        let store = store(folder.path(), &matrix, Layout::Sparse, 256);
        for method in METHODS {
            let found = alone(&store, &PcaConfig::new(3).with_method(method), None);
            let ratios = &found.about.variance_ratio;
            assert!((ratios[0] - 1.0).abs() < 1e-5 && ratios[1..].iter().all(|&ratio| ratio < 1e-9), "{ratios:?}");
            assert!(found.axes.iter().chain(&found.scores()).all(|value| value.is_finite()));
        }
    }
}

#[test]
fn variances_that_means_hide_are_not_taken_from_the_gram_matrix() {
    // The part of the squares that is variance falls with the square of the offset.
    for (offset, method) in [(0.0f32, Method::Gram), (100.0, Method::Gram), (30_000.0, Method::Genes)] {
        for scale in [ScaleSpec::None, ScaleSpec::Std] {
            let folder = tempfile::tempdir().unwrap();
            let mut matrix = dense(500, 30, 4, 5);
            matrix.values.iter_mut().for_each(|value| *value = (*value * 8.0).round() / 8.0 + offset);
            let store = store(folder.path(), &matrix, Layout::Dense, 256);
            let config = PcaConfig::new(4).with_scale(scale).with_method(MethodSpec::Gram);
            let found = alone(&store, &config, None);
            assert_eq!(found.about.method, method, "{offset}");
            let expected = naive(&centred(&matrix, &config, &Keep::default()), 4).0;
            for (at, variance) in found.about.variance.iter().enumerate() {
                let error = variance * 499.0 / expected[at] - 1.0;
                assert!(error.abs() < 1e-6 * (1.0 + f64::from(offset)), "{offset}, axis {at}: {error}");
            }
        }
    }
}

#[test]
fn the_method_follows_from_the_shape_of_the_data_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(600, 40, 3, 1), Layout::Sparse, 256);
    let small = DataShape::of_store(&store).unwrap();
    // Cells, genes, entries of a row, layout, and whether the Gram matrix is taken.
    for (cells, genes, of_row, layout, gram) in [
        (3_000, 200, 20, Layout::Sparse, true),
        (3_000, 2_000, 100, Layout::Sparse, false),
        (200_000, 1_000, 60, Layout::Sparse, true),
        (200_000, 2_000, 1_000, Layout::Sparse, false),
        (200_000, 2_000, 2_000, Layout::Dense, false),
        (200_000, 300, 300, Layout::Dense, true),
        (200_000, 20_000, 60, Layout::Sparse, false),
    ] {
        let nonzeros = cells as u64 * of_row;
        let (block_rows, tile_rows) = (4096, layout.tile_rows(genes));
        let max_tile_nonzeros = if layout == Layout::Sparse { 2 * 256 * of_row as usize } else { 0 };
        let (packed_bytes, own_cells) = (2 * nonzeros, cells);
        let shape = DataShape {
            cells,
            genes,
            nonzeros,
            layout,
            block_rows,
            tile_rows,
            packed_bytes,
            max_tile_nonzeros,
            own_cells,
            own_bytes: packed_bytes,
            max_tile_bytes: 1 << 18,
            max_block_bytes: 1 << 22,
            ..small
        };
        let config = PcaConfig::new(50);
        let plans = [(1, 200 << 20), (2, 1 << 30), (16, 1 << 36)]
            .map(|(threads, memory)| config.plan(&shape, None, &Machine::new(threads, memory)).unwrap());
        for plan in &plans {
            assert_eq!(plan.model.gram, gram, "{shape:?}");
            assert_eq!(plan.model, plans[0].model);
            assert!(plan.execution.peak_bytes <= plan.execution.memory);
        }
    }
}

#[test]
fn cells_that_are_alike_have_no_components() {
    let folder = tempfile::tempdir().unwrap();
    let matrix = Matrix { cells: 30, genes: 4, values: [0.1, 0.7, 0.0, 3.0].repeat(30) };
    let store = store(folder.path(), &matrix, Layout::Sparse, 256);
    let plan = plan(&store, &PcaConfig::new(2), None, 1);
    let error = find(&store, &plan, &Run::default()).unwrap_err();
    assert!(matches!(error, DriverError::Constant { cells: 30, genes: 4 }), "{error}");
}

#[test]
fn processes_with_other_settings_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &counts(600, 40, 3, 1), Layout::Sparse, 256);
    let errors = together(2, |comm| {
        let config =
            PcaConfig::new(3).with_log1p(Some(TargetSum::Sum([1e4, 1e5][partwise_driver::comm::Comm::rank(comm)])));
        find(&store, &plan(&store, &config, None, 1), &Run { comm, ..Run::default() }).unwrap_err()
    });
    assert!(matches!(errors[0], DriverError::Elsewhere(_)) && matches!(errors[1], DriverError::Settings { .. }));
}
