//! A matrix in memory gives the fit that a store of the same values gives; arrays that are no matrix are refused.

use partwise_driver::blocks::FitData;
use partwise_driver::{
    ConfigError, DataShape, FitSet, InitSpec, Machine, Matrix, MatrixError, NmfConfig, Run, ScaleSpec, SolverSpec, fit,
    fit_wave,
};
use partwise_storage::Quiet;
use partwise_storage::store::{Layout, default_block_rows};
use proptest::prelude::*;

use crate::planted::{self, counts, dense, plan, store};
use crate::sets::facts;

/// Compressed rows of `matrix`: indptr, indices, values.
fn csr(matrix: &planted::Matrix) -> (Vec<usize>, Vec<u32>, Vec<f32>) {
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in 0..matrix.cells {
        for (gene, &value) in matrix.row(row).iter().enumerate().filter(|(_, value)| **value != 0.0) {
            indices.push(gene as u32);
            values.push(value);
        }
        indptr.push(values.len());
    }
    (indptr, indices, values)
}

fn in_memory(matrix: &planted::Matrix, layout: Layout) -> Matrix {
    let (indptr, indices, values) = csr(matrix);
    match layout {
        Layout::Sparse => Matrix::from_csr(matrix.genes, &indptr, &indices, &values).unwrap(),
        Layout::Dense => Matrix::from_dense(matrix.genes, &matrix.values).unwrap(),
    }
}

#[test]
fn a_matrix_in_memory_has_the_fit_of_a_store_of_the_same_values() {
    let mut fractions = counts(3000, 60, 3, 3);
    fractions.values.iter_mut().enumerate().for_each(|(i, value)| *value *= 0.1 + (i % 17) as f32);
    for (case, layout, values) in [
        ("counts", Layout::Sparse, counts(3000, 90, 4, 1)),
        ("fractions", Layout::Sparse, fractions),
        // Tiles of 64 rows, as the stores of these tests have.
        ("dense", Layout::Dense, dense(900, 3000, 4, 2)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let matrix = in_memory(&values, layout);
        let entries = match layout {
            Layout::Sparse => matrix.nonzeros(),
            Layout::Dense => (values.cells * values.genes) as u64,
        };
        let store = store(folder.path(), &values, layout, default_block_rows(values.cells, values.genes, entries));
        assert_eq!(store.tile_rows(), layout.tile_rows(values.genes), "{case}: tiles are cut alike");
        assert_eq!(
            (store.cells(), store.genes(), store.nonzeros()),
            (matrix.cells(), matrix.genes(), matrix.nonzeros())
        );
        let shape = DataShape::of_data(&matrix).unwrap();
        assert!(shape.block_rows < values.cells, "{case}: there are several blocks");
        for (solver, init, scale) in [
            (SolverSpec::Auto, InitSpec::Sample, ScaleSpec::None),
            (SolverSpec::Auto, InitSpec::Sample, ScaleSpec::Std),
            (SolverSpec::Mu, InitSpec::Random, ScaleSpec::None),
            (SolverSpec::Bpp, InitSpec::Random, ScaleSpec::Std),
        ] {
            let config = NmfConfig::new(4).with_solver(solver).with_init(init).with_scale(scale).with_max_passes(5);
            let on_disk = fit(&store, &plan(&store, &config, 2), &Quiet).unwrap();
            for threads in [1, 3] {
                let plan = config.plan(&shape, &Machine::new(threads, 1 << 30)).unwrap();
                let fit = fit(&matrix, &plan, &Quiet).unwrap();
                assert_eq!(facts(&fit), facts(&on_disk), "{case} {config:?}");
                assert_eq!(fit.bytes_read, 0, "{case}: nothing is on disk");
            }
        }
        let set = FitSet::new(NmfConfig::new(1).with_max_passes(4)).with_ks([3, 6]);
        let [here, there] = [(&matrix).into(), (&store).into()].map(|input: partwise_driver::Input<'_>| {
            let plan = set.plan(&shape, &Machine::new(2, 1 << 30)).unwrap();
            fit_wave(input, &plan, 0, &Run::default(), &Quiet).unwrap()
        });
        assert!(here.iter().map(facts).eq(there.iter().map(facts)), "{case}: a set");
    }
}

/// Any order of the entries of a row, and duplicates that add up to the value.
#[test]
fn untidy_rows_have_the_fit_of_tidy_ones() {
    let values = counts(700, 50, 3, 4);
    let tidy = in_memory(&values, Layout::Sparse);
    let (indptr, indices, entries) = csr(&values);
    let (mut untidy, mut at) = ((vec![0], Vec::new(), Vec::new()), 0);
    for row in indptr.windows(2) {
        for i in (row[0]..row[1]).rev() {
            // Two parts of a count, a zero between them.
            for part in [1.0, 0.0, entries[i] - 1.0] {
                untidy.1.push(indices[i]);
                untidy.2.push(part);
                at += 1;
            }
        }
        untidy.0.push(at);
    }
    let untidy = Matrix::from_csr(values.genes, &untidy.0, &untidy.1, &untidy.2).unwrap();
    assert_eq!((untidy.nonzeros(), untidy.fingerprint()), (tidy.nonzeros(), tidy.fingerprint()));
    let [a, b] = [&tidy, &untidy].map(|matrix| {
        let shape = DataShape::of_data(matrix).unwrap();
        let plan = NmfConfig::new(3).with_max_passes(4).plan(&shape, &Machine::new(2, 1 << 30)).unwrap();
        facts(&fit(matrix, &plan, &Quiet).unwrap())
    });
    assert_eq!(a, b);
}

/// Values of which few are no part of a matrix.
fn value() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => (0u8..6).prop_map(f32::from),
        2 => 0.0f32..3.0,
        1 => prop::sample::select(vec![-1.0, -0.0, f32::NAN, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE / 2.0]),
    ]
}

fn is_legal(value: f32) -> bool {
    value.is_finite() && value >= 0.0
}

/// Plans and fits what has been taken for a matrix: there may be an error, never a panic.
fn try_to_fit(matrix: &Matrix) -> Result<(), TestCaseError> {
    let shape = DataShape::of_data(matrix).unwrap();
    match NmfConfig::new(1).with_init(InitSpec::Random).with_max_passes(2).plan(&shape, &Machine::new(1, 1 << 30)) {
        Ok(plan) => {
            if let Ok(fit) = fit(matrix, &plan, &Quiet) {
                prop_assert!(fit.relative_error.is_finite() && fit.usages().unwrap().iter().all(|w| is_legal(*w)));
            }
        }
        Err(error) => prop_assert!(matches!(error, ConfigError::Empty { .. }), "{error}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn compressed_rows_that_are_no_matrix_are_refused_with_row_and_column(
        genes in 0usize..6,
        steps in prop::collection::vec(prop_oneof![9 => 0i64..4, 1 => -3i64..40], 0..9),
        indices in prop::collection::vec(prop_oneof![30 => 0u32..4, 1 => any::<u32>()], 0..24),
        values in prop::collection::vec(value(), 24),
        lengths_differ in prop::bool::weighted(0.1),
        ends_where_entries_end in prop::bool::weighted(0.7),
    ) {
        let mut end = 0i64;
        let mut indptr: Vec<usize> = steps.iter().map(|step| { end += step; end as usize }).collect();
        if ends_where_entries_end {
            indptr.iter_mut().for_each(|end| *end = (*end).min(indices.len()));
        }
        let values = &values[..if lengths_differ { 24 } else { indices.len() }];
        let row_of = |row: usize| indptr[row]..indptr[row + 1];
        let error = match Matrix::from_csr(genes, &indptr, &indices, values) {
            Err(error) => error,
            Ok(matrix) => {
                prop_assert_eq!((matrix.cells(), matrix.genes()), (indptr.len() - 1, genes));
                let mut naive = vec![0.0; matrix.cells() * genes];
                for row in 0..matrix.cells() {
                    for i in row_of(row) {
                        naive[row * genes + indices[i] as usize] += f64::from(values[i]);
                    }
                }
                prop_assert_eq!(matrix.nonzeros() as usize, naive.iter().filter(|&&value| value > 0.0).count());
                for (gene, moments) in matrix.gene_moments().iter().enumerate() {
                    let sum: f64 = naive.iter().skip(gene).step_by(genes).sum();
                    prop_assert!((moments.sum - sum).abs() <= 1e-6 * sum, "gene {}: {} and {}", gene, moments.sum, sum);
                }
                return try_to_fit(&matrix);
            }
        };
        let said = error.to_string();
        match error {
            MatrixError::Shape { .. } => prop_assert!(indptr.len() < 2 || genes == 0),
            MatrixError::Length { expected, found, .. } => {
                prop_assert_eq!((expected, found), (indices.len(), values.len()));
            }
            MatrixError::Pointer { row, end, .. } => {
                let of_row = indptr[row] == end || indptr[row + 1] == end;
                prop_assert!(of_row && said.contains(&format!("row {row}")), "{}", said);
                prop_assert!(end > indices.len() || end < indptr[row], "{}", said);
            }
            MatrixError::Column { row, column, .. } => {
                prop_assert!(column >= genes && row_of(row).any(|i| indices[i] as usize == column), "{}", said);
                let named = said.contains(&format!("row {row} ")) && said.contains(&format!("column {column},"));
                prop_assert!(named, "{}", said);
            }
            MatrixError::Value { row, column, value } => {
                let mut there = row_of(row).filter(|&i| indices[i] as usize == column).map(|i| values[i]);
                let sum: f32 = there.clone().sum();
                prop_assert!(!is_legal(value) && (there.any(|value| !is_legal(value)) || !is_legal(sum)), "{}", said);
                prop_assert!(said.contains(&format!("row {row}, column {column}")), "{}", said);
            }
            error => prop_assert!(false, "{:?}", error),
        }
    }

    #[test]
    fn rows_that_are_no_matrix_are_refused_with_row_and_column(
        genes in 0usize..6,
        rows in 0usize..5,
        more in prop_oneof![4 => Just(0usize), 1 => 1usize..4],
        values in prop::collection::vec(value(), 40),
    ) {
        let values = &values[..rows * genes + more];
        match Matrix::from_dense(genes, values) {
            Ok(matrix) => {
                prop_assert_eq!(matrix.cells() * genes, values.len());
                prop_assert_eq!(matrix.nonzeros() as usize, values.iter().filter(|&&value| value > 0.0).count());
                try_to_fit(&matrix)?;
            }
            Err(MatrixError::Shape { .. }) => prop_assert!(genes == 0 || values.len() < genes),
            Err(MatrixError::Length { expected, found, .. }) => {
                prop_assert!(found == values.len() && expected < found && found % genes != 0);
            }
            Err(ref error @ MatrixError::Value { row, column, value }) => {
                prop_assert!(!is_legal(value) && value.to_bits() == values[row * genes + column].to_bits());
                let named = error.to_string().contains(&format!("row {row}, column {column}"));
                prop_assert!(named, "{}", error);
            }
            Err(error) => prop_assert!(false, "{:?}", error),
        }
    }
}
