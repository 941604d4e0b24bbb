//! Genes that vary most: scores held against their definition, the same bits on threads and among processes.

use std::num::NonZeroUsize;

use fixedbitset::FixedBitSet;
use partwise_driver::blocks::StoreBlocks;
use partwise_driver::comm::{Comm, Solo};
use partwise_driver::engine::Engine;
use partwise_driver::hvg::{GeneScores, Hvg, StandardizedVariance};
use partwise_driver::{DriverError, HvgError, HvgMethod, HvgSpec};
use partwise_storage::Quiet;
use partwise_storage::store::{Layout, Store};

use crate::planted::{Matrix, counts, dense, store};
use crate::threads_comm::together;

const SEURAT: HvgSpec = HvgSpec { count: NonZeroUsize::new(20).unwrap(), method: HvgMethod::SeuratV3 };

fn select(
    store: &Store,
    among: Option<&FixedBitSet>,
    (threads, segment): (usize, usize),
    comm: &dyn Comm,
) -> Result<Hvg, DriverError> {
    let engine = Engine::new(segment, &Quiet).among(comm);
    SEURAT.select(&StoreBlocks::new(store), among, &engine, threads)
}

fn numbers(found: &Hvg) -> &StandardizedVariance {
    match &found.scores {
        GeneScores::StandardizedVariance(numbers) => numbers,
        other => panic!("{other:?}"),
    }
}

/// Counts with some that are far above the others of their gene, a gene that is zero and one that is 2 everywhere.
fn with_outliers() -> Matrix {
    let mut matrix = counts(1500, 80, 4, 1);
    for at in (0..matrix.values.len()).filter(|at| at % 4001 == 7) {
        matrix.values[at] += 400.0;
    }
    for row in matrix.values.chunks_exact_mut(80) {
        (row[5], row[6]) = (0.0, 2.0);
    }
    matrix
}

#[test]
fn standardized_variances_are_those_of_their_definition() {
    let folder = tempfile::tempdir().unwrap();
    let matrix = with_outliers();
    let found = select(&store(folder.path(), &matrix, Layout::Sparse, 256), None, (2, 1 << 16), &Solo).unwrap();
    let of = numbers(&found);
    let (n, mut clipped) = (1500.0_f64, 0);
    let varying: Vec<usize> = (0..80).filter(|&gene| of.variances[gene] > 0.0).collect();
    assert!(varying.len() > 60 && !varying.contains(&5) && !varying.contains(&6));
    for gene in varying {
        let x: Vec<f64> = matrix.values.iter().skip(gene).step_by(80).map(|&value| f64::from(value)).collect();
        let mean = x.iter().sum::<f64>() / n;
        let variance = |limit: f64| x.iter().map(|x| (x.min(limit) - mean).powi(2)).sum::<f64>() / (n - 1.0);
        assert!((of.means[gene] / mean - 1.0).abs() < 1e-14);
        assert!((of.variances[gene] / variance(f64::INFINITY) - 1.0).abs() < 1e-12);
        let limit = mean + (of.expected[gene] * n).sqrt();
        clipped += x.iter().filter(|&&x| x > limit).count();
        let want = variance(limit) / of.expected[gene];
        assert!((of.scores[gene] / want - 1.0).abs() < 1e-12, "{} of gene {gene} is not {want}", of.scores[gene]);
    }
    assert!(clipped > 10 && found.reads == 1);
    assert!(of.scores[5].is_nan() && of.scores[6] == 0.0 && of.expected[6].is_nan() && of.variances[6] == 0.0);
    let least = found.genes.ones().map(|gene| of.scores[gene]).fold(f64::INFINITY, f64::min);
    assert_eq!(of.scores.iter().filter(|score| **score >= least).count(), 20);
}

#[test]
fn selected_genes_are_the_same_on_threads_in_blocks_and_among_processes() {
    let folder = tempfile::tempdir().unwrap();
    let matrix = with_outliers();
    let bits = |found: &Hvg| {
        let numbers: Vec<u64> =
            found.scores.columns().iter().flat_map(|(_, of)| of.iter().map(|n| n.to_bits())).collect();
        (numbers, found.genes.clone(), found.reads)
    };
    let whole = store(folder.path(), &matrix, Layout::Sparse, 256);
    let want = bits(&select(&whole, None, (1, 1 << 20), &Solo).unwrap());
    for threads in [2, 7] {
        assert_eq!(bits(&select(&whole, None, (threads, 1), &Solo).unwrap()), want, "{threads} threads");
    }
    for size in [2, 3] {
        for found in together(size, |comm| select(&whole, None, (2, 1 << 16), comm).unwrap()) {
            assert_eq!(bits(&found), want, "{size} processes");
        }
    }
    for (layout, block_rows) in [(Layout::Sparse, 1024), (Layout::Dense, 128)] {
        let other = tempfile::tempdir().unwrap();
        let other = store(other.path(), &matrix, layout, block_rows);
        assert_eq!(bits(&select(&other, None, (2, 1 << 16), &Solo).unwrap()), want, "{layout:?}");
    }
}

#[test]
fn genes_that_are_not_to_choose_from_shape_no_curve() {
    let (whole, part) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let matrix = with_outliers();
    let mut among = FixedBitSet::with_capacity(80);
    among.insert_range(20..);
    let found = select(&store(whole.path(), &matrix, Layout::Sparse, 256), Some(&among), (2, 1 << 16), &Solo).unwrap();
    let mut others = matrix.clone();
    others.genes = 60;
    others.values = matrix.values.chunks_exact(80).flat_map(|row| row[20..].to_vec()).collect();
    let alone = select(&store(part.path(), &others, Layout::Sparse, 256), None, (2, 1 << 16), &Solo).unwrap();
    let bits = |scores: &[f64]| scores.iter().map(|score| score.to_bits()).collect::<Vec<u64>>();
    assert_eq!(bits(&numbers(&found).scores[20..]), bits(&numbers(&alone).scores));
    assert!(numbers(&found).scores[..20].iter().all(|score| score.is_nan()));
}

#[test]
fn nothing_is_read_if_no_count_is_clipped() {
    let folder = tempfile::tempdir().unwrap();
    // Of every gene a third of the cells to a thirteenth have the same few.
    let value =
        |cell: usize, gene: usize| if (17 * cell + gene).is_multiple_of(3 + gene % 11) { 1 + gene % 5 } else { 0 };
    let values = (0..600 * 55).map(|at| value(at / 55, at % 55) as f32).collect();
    let matrix = Matrix { cells: 600, genes: 55, values };
    let store = store(folder.path(), &matrix, Layout::Sparse, 256);
    let found = select(&store, None, (2, 1 << 16), &Solo).unwrap();
    let of = numbers(&found);
    assert_eq!(found.reads, 0);
    let is_whole = |gene: usize| (of.scores[gene] * of.expected[gene] / of.variances[gene] - 1.0).abs() < 1e-14;
    assert!((0..55).all(is_whole), "{of:?}");
}

#[test]
fn values_that_are_no_counts_and_too_few_genes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = select(&store(folder.path(), &dense(300, 40, 3, 2), Layout::Dense, 128), None, (2, 1 << 16), &Solo);
    assert!(matches!(refused, Err(DriverError::Hvg(HvgError::NotCounts))), "{refused:?}");
    let folder = tempfile::tempdir().unwrap();
    let refused = select(&store(folder.path(), &counts(300, 9, 3, 2), Layout::Sparse, 256), None, (2, 1 << 16), &Solo);
    let few = HvgError::FewGenes { varying: 5, least: 10 };
    assert!(matches!(&refused, Err(DriverError::Hvg(error)) if *error == few), "{refused:?}");
}
