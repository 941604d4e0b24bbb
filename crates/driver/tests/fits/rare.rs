//! A program that one cell in a thousand carries is found, with default settings.

use std::ops::Range;
use std::path::Path;

use partwise_driver::NmfConfig;
use partwise_storage::store::{EncodedTile, Layout, Store};
use partwise_storage::tile::CsrRows;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::weighted::WeightedAliasIndex;
use rand_distr::{Distribution, Gamma, Poisson};

use crate::planted::{encode_sparse, run, store_of_tiles};

const PROGRAMS: usize = 10;
/// Genes of a program.
const BREADTH: usize = 100;
/// Share of ‖X‖² of the rare program.
const SHARE: f64 = 0.01;

/// The difficulty of finding it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rare {
    /// No other program has its genes, and its cells have nearly nothing else.
    Alone,
    /// Its genes are those that the others have most of, and its cells otherwise resemble all
    /// others.
    Overlapping,
}

/// Ten common programs, and one that a cell in a thousand carries; Poisson counts.
struct Planted {
    rare: Rare,
    genes: usize,
    /// Cells in the order in which the rare ones come up: every thousandth.
    common: Vec<Vec<f64>>,
    spectrum: Vec<f64>,
    /// Molecules of the rare program in a cell that carries it.
    depth: f64,
    rng: ChaCha8Rng,
}

impl Planted {
    fn new(genes: usize, rare: Rare, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let own = genes * 9 / 10;
        let common: Vec<Vec<f64>> = (0..PROGRAMS).map(|_| profile(genes, 0..own, &mut rng)).collect();
        let spectrum = match rare {
            Rare::Alone => profile(genes, own..genes, &mut rng),
            Rare::Overlapping => {
                let mut order: Vec<usize> = (0..own).collect();
                order.sort_by_key(|&j| std::cmp::Reverse((1e9 * common.iter().map(|h| h[j]).sum::<f64>()) as u64));
                let mut spectrum = vec![0.0; genes];
                let inside = profile(4 * BREADTH, 0..4 * BREADTH, &mut rng);
                order.iter().zip(inside).for_each(|(&j, value)| spectrum[j] = value);
                spectrum
            }
        };
        let mut planted = Planted { rare, genes, common, spectrum, depth: 0.0, rng };
        // ‖x‖² of a common cell on average, from a few of them; a rare one has SHARE · 1000 times
        // that for its own.
        let tile = planted.rows(0..2000);
        let square = tile.2.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 2000.0;
        let norm: f64 = planted.spectrum.iter().map(|h| h * h).sum();
        planted.depth = (square * SHARE * 1000.0 / norm).sqrt();
        planted
    }

    /// CSR of some cells.
    fn rows(&mut self, cells: Range<usize>) -> (Vec<usize>, Vec<u32>, Vec<f32>) {
        let gamma = |shape| Gamma::new(shape, 1.0).unwrap();
        let (dominant, other) = (gamma(6.0), gamma(0.3));
        let tables: Vec<_> =
            self.common.iter().chain([&self.spectrum]).map(|h| WeightedAliasIndex::new(h.clone()).unwrap()).collect();
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        let mut counts = vec![0u32; self.genes];
        for cell in cells {
            let is_rare = cell % 1000 == 500;
            let own = self.rng.random_range(0..PROGRAMS);
            let mut usages: Vec<f64> = (0..PROGRAMS)
                .map(|p| if p == own { dominant.sample(&mut self.rng) } else { 0.5 * other.sample(&mut self.rng) })
                .collect();
            let total: f64 = usages.iter().sum();
            let size = if is_rare && self.rare == Rare::Alone { 20.0 } else { 200.0 } / total;
            usages.iter_mut().for_each(|usage| *usage *= size);
            usages.push(if is_rare { self.depth } else { 0.0 });
            for (table, &usage) in tables.iter().zip(&usages).filter(|(_, usage)| **usage > 0.0) {
                for _ in 0..Poisson::new(usage).unwrap().sample(&mut self.rng) as u64 {
                    counts[table.sample(&mut self.rng)] += 1;
                }
            }
            for (j, count) in counts.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
                indices.push(j as u32);
                values.push(*count as f32);
                *count = 0;
            }
            indptr.push(indices.len());
        }
        (indptr, indices, values)
    }

    fn store(&mut self, folder: &Path, cells: usize) -> Store {
        let genes = self.genes;
        store_of_tiles(folder, (cells, genes), Layout::Sparse, (1024, 256), None, &mut |rows| -> EncodedTile {
            let (indptr, indices, values) = self.rows(rows);
            encode_sparse(CsrRows { indptr: &indptr, indices: &indices, values: &values }, genes)
        })
    }
}

/// Uneven weights on some of `among`, which sum to one.
fn profile(genes: usize, among: Range<usize>, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut profile = vec![0.0; genes];
    let gamma = Gamma::new(0.5, 1.0).unwrap();
    for j in rand::seq::index::sample(rng, among.len(), BREADTH.min(among.len())) {
        profile[among.start + j] = gamma.sample(rng);
    }
    let total: f64 = profile.iter().sum();
    profile.iter_mut().for_each(|value| *value /= total);
    profile
}

/// The largest cosine between `spectrum` and a row of H (given as m × k).
fn best_cosine(spectrum: &[f64], ht: &[f32], k: usize) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    (0..k)
        .map(|c| {
            let row = || ht.iter().skip(c).step_by(k).map(|&h| f64::from(h));
            let product: f64 = row().zip(spectrum).map(|(a, b)| a * b).sum();
            product / (norm(&mut row()) * norm(&mut spectrum.iter().copied())).max(1e-300)
        })
        .fold(0.0, f64::max)
}

fn rare_programs_are_found(cells: usize, genes: usize) {
    for (rare, planting) in [(Rare::Alone, 1), (Rare::Alone, 2), (Rare::Overlapping, 3)] {
        let folder = tempfile::tempdir().unwrap();
        let mut planted = Planted::new(genes, rare, planting);
        let store = planted.store(folder.path(), cells);
        for seed in 0..3 {
            let fit = run(&store, &NmfConfig::new(PROGRAMS + 1).with_seed(seed));
            let found = |spectrum: &[f64]| best_cosine(spectrum, &fit.spectra().to_rows(), PROGRAMS + 1);
            assert!(found(&planted.spectrum) > 0.9, "{rare:?}, seed {seed}: {}", found(&planted.spectrum));
            let worst = planted.common.iter().map(|h| found(h)).fold(1.0, f64::min);
            assert!(worst > 0.9, "{rare:?}, seed {seed}: a common program only by {worst}");
        }
    }
}

#[test]
fn a_program_of_one_cell_in_a_thousand_is_found() {
    rare_programs_are_found(40_000, 2_000);
}

#[test]
#[ignore = "200,000 cells, ten seconds: cargo test --release -p partwise-driver -- --ignored"]
fn a_program_of_200_cells_in_200_000_is_found() {
    rare_programs_are_found(200_000, 5_000);
}
