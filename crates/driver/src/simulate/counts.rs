//! Counts, as a single-cell experiment gives them.
//!
//! - A **program** is a gene profile that sums to 1: a part shared by all programs (housekeeping
//!   genes, log-normal, so that few genes carry most molecules) and a sparse part of its own
//!   (gamma).
//! - A **cell** mixes programs: its usages are Dirichlet, with a part of the weight, the
//!   **dominance**, on one program and the rest spread over the others. Without dominance there are
//!   no cell types, only a continuum, and a factorization converges far more slowly. Its library
//!   size is log-normal around the depth.
//! - A **count** is gamma-Poisson (negative binomial) around μ_j = size · (usages · profiles)_j
//!   with variance (1 + [`BURST`])·μ_j: a Poisson number of bursts of transcription, each of a
//!   logarithmic number of molecules, which is the same distribution.
//!
//! The sum of independent bursts makes it fast: the number of bursts that a program contributes to
//! a cell is Poisson, and each picks its gene from the program's alias table. The cost is
//! O(molecules), not O(genes).

use partwise_storage::source::RowChunk;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::weighted::WeightedAliasIndex;
use rand_distr::{Distribution, Gamma, LogNormal, Poisson};

use super::planted::{Planted, Truth};
use super::stream::{Purpose, stream};

/// Molecules that one cell holds on average by default; with 20,000 genes about 5 % are nonzero.
pub const DEFAULT_DEPTH: f64 = 2_500.0;

/// Variance of a count beyond Poisson's, in units of its mean.
const BURST: f64 = 0.4;
/// Spread of the logarithm of library sizes; 0.4 to 0.6 in droplet data.
const LIBRARY_SPREAD: f64 = 0.5;
/// Part of a profile that all programs share.
const SHARED: f64 = 0.5;
/// Spread of the logarithm of the shared part: few genes carry most molecules. A gamma distribution
/// has no such tail.
const SHARED_SPREAD: f64 = 2.2;
/// Part of the genes that a program has for its own, and the shape of their gamma distribution: so
/// uneven that a program's strongest genes are its own.
///
/// With these, at the default depth, 57 % of the nonzeros are ones and 2 % are above 15; blood
/// cells have 70 % and 3 %.
const OWN_GENES: f64 = 0.05;
const OWN_SHAPE: f64 = 0.1;
/// Part of a cell that its dominant program has on average by default.
pub const DEFAULT_DOMINANCE: f64 = 0.75;
/// Dirichlet parameters of a cell's usages, together.
const WEIGHT: f64 = 8.0;

/// The generator; the module's page describes it.
#[derive(Debug)]
pub(super) struct Counts {
    genes: usize,
    programs: usize,
    depth: f64,
    dominance: f64,
    seed: u64,
    /// m × p row-major, columns sum to 1.
    profiles: Vec<f32>,
    /// One alias table of genes per program.
    pickers: Vec<WeightedAliasIndex<f32>>,
    bursts: BurstSize,
}

/// A cell before the noise.
struct Cell {
    /// The program of largest usage.
    dominant: u32,
    library_size: f64,
    usages: Vec<f64>,
}

impl Counts {
    /// Draws the programs. Costs O(m·p) time and 12·m·p bytes.
    pub(super) fn new(genes: usize, programs: usize, depth: f64, dominance: f64, seed: u64) -> Self {
        let mut rng = stream(seed, Purpose::Programs);
        let level = LogNormal::new(0.0, SHARED_SPREAD).expect("the spread is finite");
        let shared = normalised((0..genes).map(|_| level.sample(&mut rng)).collect());
        let mut profiles = vec![0.0; genes * programs];
        let mut pickers = Vec::with_capacity(programs);
        for program in 0..programs {
            let own = normalised(own_part(genes, &mut rng));
            let profile: Vec<f32> =
                shared.iter().zip(&own).map(|(s, o)| (SHARED * s + (1.0 - SHARED) * o) as f32).collect();
            for (row, &value) in profiles.chunks_exact_mut(programs).zip(&profile) {
                row[program] = value;
            }
            pickers.push(WeightedAliasIndex::new(profile).expect("weights are positive, finite and sum to about 1"));
        }
        Counts { genes, programs, depth, dominance, seed, profiles, pickers, bursts: BurstSize::new(BURST) }
    }

    fn cells(&self, tile: usize, rows: usize) -> impl Iterator<Item = Cell> {
        let mut rng = stream(self.seed, Purpose::Truth(tile));
        let library = LogNormal::new(self.depth.ln() - LIBRARY_SPREAD * LIBRARY_SPREAD / 2.0, LIBRARY_SPREAD)
            .expect("the spread is finite");
        (0..rows).map(move |_| {
            let favoured = rng.random_range(0..self.programs);
            let spread = WEIGHT * (1.0 - self.dominance) / self.programs as f64;
            let usages = (0..self.programs).map(|p| {
                let own = if p == favoured { WEIGHT * self.dominance } else { 0.0 };
                gamma(own + spread, &mut rng)
            });
            let usages = normalised(usages.collect());
            let largest = usages.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            let dominant = largest.map_or(0, |(program, _)| program as u32);
            Cell { dominant, library_size: library.sample(&mut rng), usages }
        })
    }
}

/// About how many bytes the rows of a tile take, for keeping to the memory budget.
pub(super) fn tile_bytes(genes: usize, depth: f64) -> u64 {
    // A cell holds no more nonzeros than genes or molecules; 1.5 covers the spread of a tile's
    // library sizes.
    8 * 256 * (1.5 * depth).min(genes as f64) as u64
}

impl Planted for Counts {
    fn genes(&self) -> usize {
        self.genes
    }

    fn tile_rows(&self) -> usize {
        256
    }

    fn profiles(&self) -> &[f32] {
        &self.profiles
    }

    fn truth(&self, tile: usize, rows: usize) -> Truth {
        let (clusters, sizes) = self.cells(tile, rows).map(|cell| (cell.dominant, cell.library_size as f32)).unzip();
        Truth { clusters, library_sizes: sizes }
    }

    fn rows(&self, tile: usize, rows: usize) -> RowChunk {
        let mut rng = stream(self.seed, Purpose::Noise(tile));
        let mut tally = Tally::new(self.genes);
        let mut indptr = Vec::with_capacity(rows + 1);
        indptr.push(0);
        let (mut indices, mut values) = (Vec::new(), Vec::new());
        for cell in self.cells(tile, rows) {
            for (picker, usage) in self.pickers.iter().zip(&cell.usages) {
                // An expectation of exactly zero (a usage that underflowed) is no Poisson
                // distribution, and gives none.
                let Ok(number) = Poisson::new(cell.library_size * usage * self.bursts.per_molecule) else { continue };
                for _ in 0..number.sample(&mut rng) as u64 {
                    tally.add(picker.sample(&mut rng), self.bursts.sample(&mut rng));
                }
            }
            tally.drain(&mut indices, &mut values);
            indptr.push(indices.len());
        }
        RowChunk::Sparse { indptr, indices, values }
    }
}

/// The logarithmic distribution of molecules in a burst.
#[derive(Debug)]
struct BurstSize {
    /// P(size ≤ 1), P(size ≤ 2), …, up to where f32 says 1.
    cumulative: Vec<f32>,
    /// Bursts expected for one expected molecule.
    per_molecule: f64,
}

impl BurstSize {
    /// Bursts under which a count of mean μ has variance (1 + `extra`)·μ: P(size = i) = −qⁱ /
    /// (i·ln(1−q)) with q = extra / (1 + extra), and μ·ln(1 + extra)/extra bursts.
    fn new(extra: f64) -> Self {
        let q = extra / (1.0 + extra);
        let mut cumulative = Vec::new();
        let mut sum = 0.0;
        while (sum as f32) < 1.0 {
            let size = cumulative.len() as i32 + 1;
            sum -= q.powi(size) / (f64::from(size) * (1.0 - q).ln());
            cumulative.push(sum as f32);
        }
        BurstSize { cumulative, per_molecule: extra.ln_1p() / extra }
    }

    fn sample(&self, rng: &mut ChaCha8Rng) -> u32 {
        let u: f32 = rng.random();
        // u < 1 and the last entry is 1, so the search ends inside.
        1 + self.cumulative.iter().take_while(|&&up_to| up_to <= u).count() as u32
    }
}

/// Counts of one cell by gene: a dense array, and a bitmap of the genes present that gives them
/// back in order.
struct Tally {
    counts: Vec<u32>,
    present: Vec<u64>,
}

impl Tally {
    fn new(genes: usize) -> Self {
        Tally { counts: vec![0; genes], present: vec![0; genes.div_ceil(64)] }
    }

    fn add(&mut self, gene: usize, molecules: u32) {
        self.counts[gene] += molecules;
        self.present[gene / 64] |= 1 << (gene % 64);
    }

    /// Appends genes, ascending, and their counts; the tally is empty afterwards.
    fn drain(&mut self, indices: &mut Vec<u32>, values: &mut Vec<f32>) {
        for (i, word) in self.present.iter_mut().enumerate() {
            while *word != 0 {
                let gene = 64 * i + word.trailing_zeros() as usize;
                *word &= *word - 1;
                indices.push(gene as u32);
                values.push(std::mem::take(&mut self.counts[gene]) as f32);
            }
        }
    }
}

/// Sparse weights: a few of the genes, at least one.
fn own_part(genes: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let certain = rng.random_range(0..genes);
    (0..genes)
        .map(|gene| if gene == certain || rng.random_bool(OWN_GENES) { gamma(OWN_SHAPE, rng) } else { 0.0 })
        .collect()
}

/// A gamma variate of scale 1, kept off zero so that sums of them can be divided by.
fn gamma(shape: f64, rng: &mut ChaCha8Rng) -> f64 {
    Gamma::new(shape, 1.0).expect("the shape is positive").sample(rng).max(f64::MIN_POSITIVE)
}

fn normalised(mut weights: Vec<f64>) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiles(counts: &Counts, tiles: usize) -> (Vec<Vec<(u32, f32)>>, Vec<Cell>) {
        let (mut rows, mut cells) = (Vec::new(), Vec::new());
        for tile in 0..tiles {
            let RowChunk::Sparse { indptr, indices, values } = counts.rows(tile, 256) else {
                panic!("counts are sparse")
            };
            for ends in indptr.windows(2) {
                let range = ends[0]..ends[1];
                rows.push(indices[range.clone()].iter().copied().zip(values[range].iter().copied()).collect());
            }
            cells.extend(counts.cells(tile, 256));
        }
        (rows, cells)
    }

    #[test]
    fn rows_are_sorted_positive_integers() {
        let (rows, _) = tiles(&Counts::new(1_000, 4, 300.0, DEFAULT_DOMINANCE, 1), 1);
        for row in rows {
            assert!(row.is_sorted_by(|a, b| a.0 < b.0));
            assert!(row.iter().all(|&(gene, value)| gene < 1_000 && value >= 1.0 && value.fract() == 0.0));
        }
    }

    #[test]
    fn counts_have_the_planted_mean_and_variance() {
        let counts = Counts::new(50, 3, 400.0, DEFAULT_DOMINANCE, 2);
        let (rows, cells) = tiles(&counts, 40);
        let (mut seen, mut planted, mut squares) = (0.0, 0.0, 0.0);
        for (row, cell) in rows.iter().zip(&cells) {
            let mut dense = [0.0; 50];
            row.iter().for_each(|&(gene, value)| dense[gene as usize] = f64::from(value));
            for (gene, value) in dense.into_iter().enumerate() {
                let profile = &counts.profiles[gene * 3..][..3];
                let mean: f64 =
                    cell.library_size * profile.iter().zip(&cell.usages).map(|(&p, u)| f64::from(p) * u).sum::<f64>();
                seen += value;
                planted += mean;
                squares += (value - mean).powi(2);
            }
        }
        // 10,240 cells of 400 molecules: both ratios are within a few per mille of their
        // expectation.
        assert!((seen / planted - 1.0).abs() < 0.01, "mean is {} of what was planted", seen / planted);
        assert!((squares / planted - (1.0 + BURST)).abs() < 0.03, "variance is {} means", squares / planted);
    }

    #[test]
    fn twenty_thousand_genes_at_the_default_depth_are_one_twentieth_full() {
        let (rows, _) = tiles(&Counts::new(20_000, 10, DEFAULT_DEPTH, DEFAULT_DOMINANCE, 3), 2);
        let nonzeros: usize = rows.iter().map(Vec::len).sum();
        let ones = rows.iter().flatten().filter(|&&(_, value)| value == 1.0).count();
        let density = nonzeros as f64 / (rows.len() * 20_000) as f64;
        assert!((0.04..0.06).contains(&density), "density {density}");
        let ones = ones as f64 / nonzeros as f64;
        assert!((0.5..0.7).contains(&ones), "{ones} of the counts are one");
    }

    #[test]
    fn the_dominant_program_has_its_part_of_a_cell() {
        for (dominance, least, most) in [(0.9, 0.85, 0.95), (DEFAULT_DOMINANCE, 0.7, 0.85), (0.0, 0.2, 0.45)] {
            let (_, cells) = tiles(&Counts::new(100, 8, 100.0, dominance, 4), 1);
            let mean: f64 = cells.iter().map(|cell| cell.usages[cell.dominant as usize]).sum::<f64>() / 256.0;
            assert!((least..most).contains(&mean), "dominance {dominance}: {mean}");
        }
    }

    #[test]
    fn a_single_program_and_a_single_gene_work() {
        let (rows, cells) = tiles(&Counts::new(1, 1, 20.0, DEFAULT_DOMINANCE, 5), 1);
        assert!(cells.iter().all(|cell| cell.usages == [1.0]));
        assert!(rows.iter().filter(|row| row.len() == 1).count() > 250);
    }
}
