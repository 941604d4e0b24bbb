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
//! there. Otherwise one SVD and one merged start race: on a quarter of the sample if it is packed, as dense
//! rows are, or on the leading genes of half of its rows, in two orders ([`orders`](crate::sample::TwoOrders)). The
//! winner goes on with all rows, and the other genes then get the best spectra for its usages.
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
//! In two orders, with six times the entries of H, instead of the packed quarter and the whole of a sample of ten
//! times (2 December 2026; k = 20, seeds 0 and 1): after the first pass 0.02 % above the lowest error on the
//! continuum of 50,000 × 20,000 (before 0.013 %), 0.002 % on clear types (0.001 %), 0.04 % on a law of programs
//! that are alike (0.023 %), in 0.7 of the CPU time up to there; final errors are alike. With k = 5 programs for
//! 20, fits end up to 0.25 % apart, from either start.
//!
//! A race on half of the rows instead of all of them: a process of two reads takes 0.84 to 0.89 of the CPU time on
//! the continuum and on types, and 0.78 to 0.87 on the other law (medians of seven or nine alternating runs, two
//! threads). Errors after the first pass differ by at most 0.002 % there (k = 20, seeds 0 to 2), by up to 0.03 % on
//! the continuum with k = 5 and 30. On 40,000 sorted cells × 8,000 they are up to 0.03 % higher, and those of the
//! end 0.016 %.
//!
//! On a quarter of the rows it is 0.77 to 0.79. Fits then ended up to 0.03 % higher on the sorted cells. On the
//! continuum with k = 5 they took 16 and 15 passes instead of 6 and 7, and ended 0.03 to 0.09 % lower.
//!
//! Too many components need not be fitted well, only well enough to tell which are alike. Eight passes of them
//! instead of fifteen save up to a quarter of the work of a start (3 December 2026; error after the first pass in
//! percent above the lowest that any of them found, median and highest of the seeds):
//!
//! | data, k, seeds | fifteen | eight | work |
//! | --- | --- | --- | --- |
//! | the continuum, 20, 30 and 40 | 0.001, 1.165 | 0.001, 0.001 | 1.00, 0.75 |
//! | the law of programs that are alike, 20, 40 | 0.003, 0.116 | 0.003, 0.006 | 1.24, 1.02 |
//! | clear types, 20, 10 | 0.000, 0.000 | 0.000, 0.000 | 1.00, 0.80 |
//! | 120,000 × 5,000, ten programs and one in 200 cells, 11, 12 | 0.000, 0.029 | 0.000, 0.029 | 0.63, 0.63 |
//! | 40,000 sorted cells × 8,000, 15, 8 | 0.000, 0.000 | 0.000, 0.000 | 0.84, 0.80 |
//! | the continuum, 30, 8 | 0.009, 0.022 | 0.017, 0.033 | 1.54, 1.24 |
//!
//! Work is in passes over X. Of final errors, in twelve pairs of data and k with four to six seeds each, neither the
//! median nor the highest is more than 0.04 % higher, those with fewer components than programs included. On 14
//! genes with three programs 28 starts of 80 found another optimum than the best, and 17 with fifteen passes. The
//! number of passes was chosen with some of the seeds above, so where one start in forty is bad, none tells little.
//!
//! With ten passes for k components in the race instead of twenty, four starts of twenty were 0.13 to 0.16 % above
//! the lowest on the law of programs that are alike. With rows of W and H on cache lines of their own the products
//! took 0.99 to 1.18 of their time.
//!
//! Merging on a sixteenth of the sample lost the rare program again, which has three rows there.
//! Fewer inner sweeps while there are too many components ended higher. Three times as many
//! components cost half as much again and gained on small inputs only. A program's part of the
//! sample is its share of ‖X‖², so a program that the sample does not show is not worth a component
//! either.
//!
//! All of it together may cost at most the work of [`WORK_PASSES`] passes over X, counted in stored
//! entries times components; or [`SMALL_WORK`] entries if the sample is all of X, about a second; or
//! [`ORDER_PASSES`] passes over all rows of a sample in two orders.

use super::ground::{Ground, Ordered, Packed};
use super::merge::merge;
use super::order_fit::SampleFit;
use super::random::{means_of_rows, random};
use super::sample::{FEWEST_ROWS, Rung, StartOf, Starts};
use super::svd::{self, nndsvd};
use crate::engine::Engine;
use crate::error::DriverError;
use crate::sample::TwoOrders;
use crate::scale::scaled_sq_norm;
use crate::spectra::Spectra;

/// Most work on the sample, in passes over X.
const WORK_PASSES: f64 = 5.0;
/// Stored entries of work that are allowed if the sample is all of X.
const SMALL_WORK: f64 = 100e6;
/// Passes over all rows of a sample in two orders that are allowed, however small X is beside it.
const ORDER_PASSES: f64 = 50.0;
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
/// Most passes of a fit in two orders: of too many components, of k in the race, and of the winner. Where spectra
/// are alike, all of them would go on for long.
const WIDE_PASSES: usize = 8;
const PASSES: usize = 20;
const LAST_PASSES: usize = 30;
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
    pub(super) engine: &'l Engine<'l>,
    pub(super) threads: usize,
}

impl Climb<'_> {
    /// The start on a packed sample, and the work for it in passes over X.
    pub(super) fn on_rung(&self, Rung { part, all, whole }: &Rung) -> Result<(Spectra, f64), DriverError> {
        let Climb { starts, fit, engine, threads } = *self;
        let mut work = Work::of(starts, if *whole { SMALL_WORK } else { 0.0 });
        if scaled_sq_norm(all, starts.scale) == 0.0 {
            return Ok((self.any(), 0.0));
        }
        let [all, part] = [all, part].map(|view| Packed { view, scale: starts.scale, engine, threads });
        let race = Race { fit, ground: if *whole { &all } else { &part }, part: &part, whole: *whole };
        let best = race.run(&mut work, (usize::MAX, usize::MAX))?;
        let best = race.fit_on(&all, &mut work, best.spectra, 1.0, SAMPLE_TOL, usize::MAX)?;
        Ok((best.spectra, work.passes()))
    }

    /// The start on a sample in two orders, and the work for it in passes over X.
    pub(super) fn on_orders(&self, orders: TwoOrders) -> Result<(Spectra, f64), DriverError> {
        let (cells, entries) = orders.whole();
        // A half with few rows would not show every component.
        let some = if cells / 2 < FEWEST_ROWS { cells } else { cells / 2 };
        let mut work = Work::of(self.starts, ORDER_PASSES * entries as f64);
        let mut orders = orders.turned(some);
        if orders.sq_norm() == 0.0 {
            return Ok((self.any(), 0.0));
        }
        let ground = Ordered { orders: &orders, engine: self.engine };
        let best = Race::of_two(self.fit, &ground).run(&mut work, (WIDE_PASSES, PASSES))?;
        if some < cells {
            orders = orders.turned(cells);
        }
        let ground = Ordered { orders: &orders, engine: self.engine };
        let last = Race::of_two(self.fit, &ground);
        let best = last.fit_on(&ground, &mut work, best.spectra, 1.0, SAMPLE_TOL, LAST_PASSES)?;
        Ok((orders.complete(&best), work.passes()))
    }

    /// Where no row of the sample has a gene that is kept.
    fn any(&self) -> Spectra {
        random(self.starts.data.blocks().genes(), self.fit.k, 1.0, self.fit.seed, RANDOM_STREAM)
    }
}

/// Starts of one fit that race on `ground`.
struct Race<'r> {
    fit: &'r StartOf,
    ground: &'r dyn Ground,
    /// What too many components are fitted to.
    part: &'r dyn Ground,
    whole: bool,
}

impl<'r> Race<'r> {
    /// A race of one start of each of two kinds, all of it on `ground`.
    fn of_two(fit: &'r StartOf, ground: &'r dyn Ground) -> Self {
        Race { fit, ground, part: ground, whole: false }
    }

    /// The best start. A fit of too many components has at most so many passes, and one of k so many.
    fn run(&self, work: &mut Work, (wide_passes, passes): (usize, usize)) -> Result<SampleFit, DriverError> {
        let (fit, ground) = (self.fit, self.ground);
        let mut best: Option<SampleFit> = None;
        for kind in kinds(self.whole) {
            let before = work.spent;
            let spectra = match kind {
                Kind::Svd => {
                    let l = svd::directions(fit.k, widest(fit.k, ground.genes(), self.whole), ground);
                    work.spend((svd::PASSES * l) as f64 / fit.k as f64 * ground.entries() as f64);
                    nndsvd(ground, (fit.k, l), fit.seed)?
                }
                Kind::Merged(stream) => self.merged(work, stream, wide_passes)?,
                Kind::Random(stream) => random(ground.genes(), fit.k, 1.0, fit.seed, RANDOM_STREAM + stream),
            };
            let fitted = self.fit_on(ground, work, spectra, RACE_PART, RACE_TOL, passes)?;
            if best.as_ref().is_none_or(|best| fitted.loss < best.loss) {
                best = Some(fitted);
            }
            if self.whole && work.left < 1.5 * (work.spent - before) {
                break;
            }
        }
        Ok(best.expect("there is a first start"))
    }

    /// k components, made of too many that were fitted to the part.
    fn merged(&self, work: &mut Work, stream: u64, passes: usize) -> Result<Spectra, DriverError> {
        let Race { fit, ground, part, whole } = *self;
        let (factor, share, tol) = if whole { WIDE_SMALL } else { WIDE };
        let wide = (factor * fit.k).min(part.genes()).min(part.cells()).max(fit.k);
        let spectra = means_of_rows(part, wide, fit.seed, stream)?;
        let SampleFit { spectra, wtw, .. } = self.fit_on(part, work, spectra, share, tol, passes)?;
        let spectra = merge(&spectra, &wtw, fit.k);
        // The race is on more rows than these components have seen.
        match whole && part.cells() < ground.cells() {
            true => Ok(self.fit_on(part, work, spectra, RACE_PART, RACE_TOL, passes)?.spectra),
            false => Ok(spectra),
        }
    }

    /// Passes over `ground` until its loss falls by less than `tol`, for at most this part of the
    /// work that is left and at most `most`.
    fn fit_on(
        &self,
        ground: &dyn Ground,
        work: &mut Work,
        spectra: Spectra,
        part: f64,
        tol: f64,
        most: usize,
    ) -> Result<SampleFit, DriverError> {
        let cost = ground.entries() as f64 * spectra.k() as f64 / self.fit.k as f64;
        // At least one: a merger needs WᵀW, and the smallest input may be its own sample.
        let passes = ((work.left * part / cost) as usize).clamp(1, most);
        let fit = ground.fit(spectra, passes, tol)?;
        work.spend(cost * fit.passes as f64);
        Ok(fit)
    }
}

/// Work allowed and work done, in stored entries, each gone through for k components.
struct Work {
    /// Entries of X.
    total: f64,
    left: f64,
    spent: f64,
}

impl Work {
    /// The work for a start, `least` at least.
    fn of(starts: &Starts<'_>, least: f64) -> Self {
        let total = starts.data.blocks().entries() as f64;
        Work { total, left: least.max(WORK_PASSES * total), spent: 0.0 }
    }

    /// The work done, in passes over X.
    fn passes(&self) -> f64 {
        self.spent / self.total
    }

    fn spend(&mut self, cost: f64) {
        self.left -= cost;
        self.spent += cost;
    }
}
