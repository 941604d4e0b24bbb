//! The start of a replicate: random, or from there on rows of its own.

use std::f64::consts::TAU;

use partwise_storage::sampling::Caps;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::blocks::{Blocks, FitData};
use crate::engine::Engine;
use crate::error::DriverError;
use crate::init::{StartOf, Starts, from_samples};
use crate::model::Rules;
use crate::scale::{GeneScale, scaled_sq_norm};
use crate::shape::DataShape;
use crate::solve::{Solver, Standing, State, Until, run};
use crate::spectra::Spectra;
use crate::usages::{Usages, UsagesPlace, UsagesStart};

/// A sample has at most one row and one entry in this many.
const QUARTER: usize = 4;
/// Most rows of a sample, and entries unless H is large: it has ten times as many as H then.
const ROWS: usize = 32_768;
const ENTRIES: u64 = 2_000_000;
const TIMES_SPECTRA: u64 = 10;
/// Passes over a sample end after two whose relative decrease of the loss is below this, or after so many.
const SAMPLE_TOL: f64 = 1e-5;
const SAMPLE_PASSES: usize = 50;

/// H of replicate `number` of k: |N(0, 1)|·√(mean / k), as scikit-learn's random start, so that W·H has about
/// the mean of X̂. Every k and number has a stream of its own, so that no replicate depends on which others there are.
pub(super) fn start(genes: usize, k: usize, number: usize, seed: u64, mean: f64) -> Spectra {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((k as u64) << 32 | number as u64);
    let scale = (mean / k as f64).sqrt();
    let mut spectra = Spectra::zeros(genes, k);
    let ks = spectra.ks();
    for gene in spectra.ht_mut().chunks_exact_mut(ks) {
        gene[..k].iter_mut().for_each(|value| *value = (scale * normal(&mut rng).abs()) as f32);
    }
    spectra
}

/// The size of the sample of a replicate of k. Nothing of the machine changes it.
pub(super) fn caps(k: usize, shape: &DataShape) -> Caps {
    caps_of(k, (shape.cells, shape.genes), shape.entries())
}

fn caps_of(k: usize, (cells, genes): (usize, usize), entries: u64) -> Caps {
    let enough = ENTRIES.max(TIMES_SPECTRA * (k * genes) as u64);
    Caps { entries: enough.min(entries.div_ceil(QUARTER as u64)), rows: ROWS.min(cells.div_ceil(QUARTER)) }
}

/// H of the replicates (k, number) after a fit of rows of their own from `random`, one read of the data for all of
/// them. A process that works with others has the same.
pub(super) fn on_samples(
    (data, scale): (&dyn FitData, &GeneScale),
    replicates: &[(usize, usize)],
    seed: u64,
    random: &(dyn Fn(usize, usize) -> Spectra + Sync),
    (engine, threads): (&Engine<'_>, usize),
) -> Result<Vec<Spectra>, DriverError> {
    let blocks = data.blocks();
    let shape = (blocks.cells(), blocks.genes());
    let fits = replicates.iter().map(|&(k, number)| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // The stream of the random H has a lower number.
        rng.set_stream(1 << 63 | (k as u64) << 32 | number as u64);
        StartOf { k, seed: rng.random(), caps: caps_of(k, shape, blocks.entries()) }
    });
    let starts = Starts { data, scale, fits: fits.collect(), threads };
    from_samples(&starts, engine, &|at, rung, threads, engine| {
        let ((k, number), rows) = (replicates[at], &rung.all);
        let spectra = random(k, number);
        if scaled_sq_norm(rows, scale) == 0.0 {
            // No row of the sample has a gene that varies.
            return Ok(spectra);
        }
        let usages = Usages::new(rows.cells(), k, rows.block_rows(), &UsagesPlace::Memory, UsagesStart::Zero)?;
        let until = Until { passes: SAMPLE_PASSES, tol: SAMPLE_TOL, residual: false };
        let standing = Standing::start(spectra, Rules::SAMPLED.extrapolate);
        let state = State { standing, usages, before: 0, trace: Vec::new() };
        let mut solver = [Solver::new(rows, scale, Rules::SAMPLED, until, state)];
        run(engine, rows, &mut solver, threads, &mut |_, _| Ok(()))?;
        let [solver] = solver;
        Ok(solver.into_spectra().0)
    })
}

/// A normal number (Box and Muller 1958), with functions in plain Rust: those of the system differ in their last
/// bits from one system to the next.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * libm::log(radius)).sqrt() * libm::cos(TAU * angle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_quarter_at_most_and_of_large_data_as_large_as_their_spectra_ask_for() {
        assert_eq!(caps_of(8, (2701, 2000), 819_001), Caps { entries: 204_751, rows: 676 });
        assert_eq!(caps_of(8, (10_000_000, 2000), 2_500_000_000), Caps { entries: ENTRIES, rows: ROWS });
        assert_eq!(caps_of(20, (10_000_000, 20_000), 20_000_000_000).entries, 4_000_000);
        assert_eq!(caps_of(1, (1, 3), 2), Caps { entries: 1, rows: 1 });
    }

    #[test]
    fn starts_are_half_normal_and_differ_by_k_and_number() {
        let spectra = start(4000, 5, 3, 1, 0.2);
        let values: Vec<f64> = spectra.to_rows().iter().map(|&value| f64::from(value) / 0.2).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
        // E|N| = √(2/π), E N² = 1.
        assert!((mean - 0.798).abs() < 0.02 && (square - 1.0).abs() < 0.04, "{mean} {square}");
        assert!(values.iter().all(|&value| value >= 0.0));
        assert_eq!(spectra.to_rows(), start(4000, 5, 3, 1, 0.2).to_rows());
        for other in [start(4000, 5, 4, 1, 0.2), start(4000, 5, 3, 2, 0.2)] {
            assert_ne!(spectra.to_rows(), other.to_rows());
        }
        let wider = start(4000, 6, 3, 1, 0.2);
        assert!(wider.to_rows()[..5] != spectra.to_rows()[..5]);
    }
}
