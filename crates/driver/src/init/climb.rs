//! One fit's way from a sample in memory to a start.
//!
//! Several starts of different kinds race, and the best goes on:
//!
//! | kind | H | good at |
//! | --- | --- | --- |
//! | SVD | parts of the singular vectors of the sample ([`svd`](super::svd)) | optima of real counts that the others miss |
//! | merged | twice too many means of random rows, fitted, then merged to k ([`merge`](super::merge)) | clear and rare programs |
//! | random | uniform numbers | small data: many cheap tries |
//!
//! If the sample is all of X, the race is on all of it: the SVD start, two merged and two random ones
//! in turns, and more random ones as long as the work allows. A better start is as good as free
//! there. Otherwise one SVD and one merged start race on a quarter of the sample.
//!
//! Relative to the best that scikit-learn finds in three starts (nndsvda and two random ones, cd, tol
//! 1e-5), the error of default fits, in percent, seeds 0 to 5 (29 November 2026):
//!
//! | data, k | merged starts only | with races |
//! | --- | --- | --- |
//! | stimulated blood cells (2,000 × 9,015), 10 | 0.37 to 0.51 | 0.00 to 0.02 |
//! | the same, 20 | 0.01 to 1.62 | 0.01 |
//! | blood cells (996 × 33,538), 5 | 0.00 to 1.00 | 0.00 to 0.01 |
//! | the same, 20 | −0.04 to 0.45 | −0.11 to 0.06 |
//! | digits (1,797 × 64), 10 | 0.00 to 0.53 | 0.00 to 0.02 |
//!
//! On simulated counts of 50,000 × 20,000 the SVD start loses on a continuum of cells, and draws on
//! clear types.
//!
//! Why too many components first: from k means of random rows, the usual local optimum has one
//! program twice, and two others in one component or a rare one in none. With components to spare
//! each program finds one, and likeness shows which of them are spare. The table compares (default
//! settings, final error, seeds 0 to 5 or 0 to 3) with the method before this one: eight starts of k
//! components on a sixteenth of the sample, the best of them grown.
//!
//! | data, k | eight starts | merged |
//! | --- | --- | --- |
//! | 40,000 × 2,000, ten programs and one in 40 cells, 11 | 0.4378 in 4 of 6, rare one lost in 2 | 0.4378 in 6 of 6 |
//! | 200,000 × 5,000, ten uneven programs and one in 200 cells, 11 | 0.6605 to 0.6607 | 0.6577 |
//! | the same with flatter programs | 0.8253 to 0.8277 | 0.8253, once 0.8261 |
//! | 50,000 × 20,000, 20 programs, 30 | 0.39505 | 0.39448 |
//!
//! Merging on a sixteenth of the sample lost the rare program again, which has three rows there.
//! Fewer inner sweeps while there are too many components ended higher. Three times as many
//! components cost half as much again and gained on small inputs only. A program's part of the
//! sample is its share of ‖X‖², so a program that the sample does not show is not worth a component
//! either.
//!
//! All of it together may cost at most the work of [`WORK_PASSES`] passes over X, counted in stored
//! entries times components, or [`SMALL_WORK`] entries if the sample is all of X: about a second.

use super::merge::merge;
use super::random::{means_of_rows, random};
use super::sample::{Rung, StartOf, Starts};
use super::svd::{self, nndsvd};
use crate::blocks::{Blocks, MemoryBlocks};
use crate::engine::Engine;
use crate::error::DriverError;
use crate::model::Rules;
use crate::scale::scaled_sq_norm;
use crate::solve::{Solver, Standing, State, Until, run};
use crate::spectra::Spectra;
use crate::usages::{Usages, UsagesPlace, UsagesStart};

/// Most work on the sample, in passes over X.
const WORK_PASSES: f64 = 5.0;
/// Stored entries of work if the sample is all of X.
const SMALL_WORK: f64 = 100e6;
/// How many times too many components there are, the part of the work that fitting them may take,
/// and the relative decrease that ends it; the second if the sample is all of X.
const WIDE: (usize, f64, f64) = (2, 0.4, 1e-3);
const WIDE_SMALL: (usize, f64, f64) = (3, 0.2, 3e-3);
/// Part of the remaining work that one fit of k components in a race may take.
const RACE_PART: f64 = 0.3;
/// Most starts of a race if the sample is all of X, as long as the work lasts for one and a half
/// more like the last.
const STARTS: usize = 30;
/// Merged starts of such a race. On digits (k = 10) one of them in twenty finds the best optimum, and
/// one random start in three.
const MERGED_STARTS: u64 = 2;
/// A fit of a sample ends when two passes in a row decrease its loss by less than this. Components
/// that then race, or grow to a larger sample, change by more. The last fit continues for longer,
/// since passes over a sample are cheaper than the passes over X that they save.
const RACE_TOL: f64 = 3e-4;
const SAMPLE_TOL: f64 = 3e-5;
/// The first stream of the seed that uniform starts draw from.
const RANDOM_STREAM: u64 = 1 << 33;

/// The most components that are fitted for k wanted, if the sample is all of X (`whole`) or not.
pub(crate) fn widest(k: usize, genes: usize, whole: bool) -> usize {
    (if whole { WIDE_SMALL.0 } else { WIDE.0 } * k).min(genes)
}

/// A kind of start, with the stream of random numbers that it takes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Svd,
    Merged(u64),
    Random(u64),
}

/// The starts of a race, in order.
fn kinds(whole: bool) -> impl Iterator<Item = Kind> {
    let turns = (0..MERGED_STARTS).flat_map(|stream| [Kind::Merged(stream), Kind::Random(stream)]);
    let rest = (MERGED_STARTS..).map(Kind::Random);
    std::iter::once(Kind::Svd).chain(turns).chain(rest).take(if whole { STARTS } else { 2 })
}

/// One fit's way from its sample to a start.
pub(super) struct Climb<'l> {
    pub(super) starts: &'l Starts<'l>,
    pub(super) fit: &'l StartOf,
    pub(super) rung: &'l Rung,
    pub(super) threads: usize,
}

impl Climb<'_> {
    /// The start, and the work for it in passes over X.
    pub(super) fn run(&self, engine: &Engine<'_>) -> Result<(Spectra, f64), DriverError> {
        let Climb { starts, fit, rung: Rung { part, all, whole }, .. } = self;
        let total = starts.data.blocks().entries() as f64;
        let passes = WORK_PASSES * total;
        let mut work = Work { left: if *whole { SMALL_WORK.max(passes) } else { passes }, spent: 0.0 };
        if scaled_sq_norm(all, starts.scale) == 0.0 {
            // No row of the sample has a gene that is kept.
            return Ok((random(all.genes(), fit.k, 1.0, fit.seed, RANDOM_STREAM), 0.0));
        }
        let course = if *whole { all } else { part };
        let mut best: Option<(f64, Spectra)> = None;
        for kind in kinds(*whole) {
            let before = work.spent;
            let spectra = match kind {
                Kind::Svd => {
                    let l = svd::directions(fit.k, widest(fit.k, course.genes(), *whole), course);
                    work.spend((svd::PASSES * l) as f64 / fit.k as f64 * course.entries() as f64);
                    nndsvd(course, starts.scale, (fit.k, l), fit.seed, engine, self.threads)?
                }
                Kind::Merged(stream) => self.merged(&mut work, engine, stream)?,
                Kind::Random(stream) => random(all.genes(), fit.k, 1.0, fit.seed, RANDOM_STREAM + stream),
            };
            let (spectra, _, loss) = self.fit(&mut work, engine, course, spectra, RACE_PART, RACE_TOL)?;
            if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                best = Some((loss, spectra));
            }
            if *whole && work.left < 1.5 * (work.spent - before) {
                break;
            }
        }
        let (_, spectra) = best.expect("there is a first start");
        let (spectra, ..) = self.fit(&mut work, engine, all, spectra, 1.0, SAMPLE_TOL)?;
        Ok((spectra, work.spent / total))
    }

    /// k components, made of too many that were fitted to the quarter.
    fn merged(&self, work: &mut Work, engine: &Engine<'_>, stream: u64) -> Result<Spectra, DriverError> {
        let Climb { starts, fit, rung: Rung { part, all, whole }, .. } = self;
        let (factor, share, tol) = if *whole { WIDE_SMALL } else { WIDE };
        let wide = (factor * fit.k).min(part.genes()).min(part.cells()).max(fit.k);
        let spectra = means_of_rows(part, starts.scale, wide, fit.seed, stream).map_err(DriverError::Memory)?;
        let (spectra, wtw, _) = self.fit(work, engine, part, spectra, share, tol)?;
        let spectra = merge(&spectra, &wtw, fit.k);
        // The race is on more rows than these components have seen.
        match *whole && part.cells() < all.cells() {
            true => Ok(self.fit(work, engine, part, spectra, RACE_PART, RACE_TOL)?.0),
            false => Ok(spectra),
        }
    }

    /// Passes over `view` until its loss falls by less than `tol`, for at most this part of the
    /// work that is left; the new H, WᵀW and the loss.
    fn fit(
        &self,
        work: &mut Work,
        engine: &Engine<'_>,
        view: &MemoryBlocks,
        spectra: Spectra,
        part: f64,
        tol: f64,
    ) -> Result<(Spectra, Vec<f64>, f64), DriverError> {
        let k = spectra.k();
        let cost = view.entries() as f64 * k as f64 / self.fit.k as f64;
        // At least one: a merger needs WᵀW, and the smallest input may be its own sample.
        let passes = ((work.left * part / cost) as usize).max(1);
        let usages = Usages::new(view.cells(), k, view.block_rows(), &UsagesPlace::Memory, UsagesStart::Zero)?;
        let standing = Standing::start(spectra, Rules::SAMPLED.extrapolate);
        let until = Until { passes, tol, residual: false };
        let state = State { standing, usages, before: 0, trace: Vec::new() };
        let mut solver = [Solver::new(view, self.starts.scale, Rules::SAMPLED, until, state)];
        run(engine, view, &mut solver, self.threads, &mut |_, _| Ok(()))?;
        let [solver] = solver;
        work.spend(cost * solver.trace().len() as f64);
        Ok(solver.into_spectra())
    }
}

/// Work allowed and work done, in stored entries, each gone through for k components.
struct Work {
    left: f64,
    spent: f64,
}

impl Work {
    fn spend(&mut self, cost: f64) {
        self.left -= cost;
        self.spent += cost;
    }
}
