//! Start from a fit of a weighted sample of rows, in memory.
//!
//! X is read once for the samples of all fits: those of one seed are parts of the largest. Then the
//! fits of the samples run side by side, several at a time.
//!
//! On a quarter of the sample twice as many components as wanted are fitted; those most alike are merged until
//! k are left ([`merge`](super::merge)); these are fitted to the quarter and then to all of the sample.
//!
//! Why too many first: from k means of random rows the usual local optimum has one program twice and two others, or a
//! rare one, in one component or none. With components to spare each program finds one, and what is alike says which of
//! them were to spare. Measured (default settings; the error where it ended, seeds 0 to 5 or 0 to 3) against what was
//! here before, eight starts of k components on a sixteenth of the sample and the best of them grown:
//!
//! | data, k | eight starts | merged |
//! | --- | --- | --- |
//! | 40,000 × 2,000, ten programs and one in 40 cells, 11 | 0.4378 in 4 of 6, rare one lost in 2 | 0.4378 in 6 of 6 |
//! | 200,000 × 5,000, ten uneven programs and one in 200 cells, 11 | 0.6605 to 0.6607 | 0.6577 |
//! | the same with flatter programs | 0.8253 to 0.8277 | 0.8253, once 0.8261 |
//! | 50,000 × 20,000, 20 programs, 30 | 0.39505 | 0.39448 |
//!
//! and the start takes a third of the time. Merging on a sixteenth of the sample lost the rare program again, which has
//! three rows there. Fewer inner sweeps while there are too many ended higher; three times as many components cost half
//! as much again and gained on small inputs only. What the sample holds of a program is its share of ‖X‖², so what it
//! does not show is not worth a component either.
//!
//! All of it together may cost at most the work of [`WORK_PASSES`] passes over X, counted in stored entries times
//! components. Inputs so small that the sample is all of X may use [`SMALL_WORK`] entries, a fraction of a second, because
//! there a better start costs nobody anything; what one start leaves of that goes into more, and the best is taken.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use partwise_storage::store::Layout;

use super::merge::merge;
use super::random::means_of_rows;
use crate::blocks::{Blocks, FitData, MemoryBlocks};
use crate::compute::take_rows::{Chosen, Local, TakeRows};
use crate::engine::{Direction, Engine, Worker};
use crate::error::DriverError;
use crate::model::Rules;
use crate::monitor::Hushed;
use crate::sample::{Caps, Draw, Gathered, RowWeight, Sample, draw};
use crate::scale::GeneScale;
use crate::solve::{Solver, Standing, State, Until, run};
use crate::spectra::Spectra;
use crate::usages::{Usages, UsagesPlace, UsagesStart};

/// Most work on the sample, in passes over X.
const WORK_PASSES: f64 = 5.0;
/// Stored entries that may be gone through where the sample is all of X.
const SMALL_WORK: f64 = 40e6;
/// Part of what is left of it that the quarter may use once there are k components.
const QUARTER_PART: f64 = 0.3;
/// The smaller sample has one entry in so many; below so many rows it is left out.
const QUARTER: u64 = 4;
const FEWEST_ROWS: usize = 256;
/// How many times too many components there are, the part of the work that fitting them may take, and the relative
/// decrease that ends it; and where the sample is all of X.
const WIDE: (usize, f64, f64) = (2, 0.4, 1e-3);
const WIDE_SMALL: (usize, f64, f64) = (3, 0.2, 3e-3);
/// Starts at most where the sample is all of X, as long as the work lasts for one more like the last.
const STARTS: u64 = 8;
/// A fit of a sample ends when two passes in a row decrease its loss by less than this. What is merged, or grown to a
/// larger sample, changes by more; the last one goes on for longer, since passes over a sample are cheaper than those
/// over X that they save.
const QUARTER_TOL: f64 = 3e-4;
const SAMPLE_TOL: f64 = 3e-5;

/// One fit to be started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StartOf {
    pub(crate) k: usize,
    pub(crate) seed: u64,
    pub(crate) caps: Caps,
}

/// Fits of one matrix to be started together.
pub(crate) struct Starts<'s> {
    pub(crate) data: &'s dyn FitData,
    pub(crate) scale: &'s GeneScale,
    pub(crate) fits: Vec<StartOf>,
    pub(crate) threads: usize,
}

/// How many starts run at a time, and the threads of each.
pub(crate) fn side_by_side(fits: usize, threads: usize) -> (usize, usize) {
    let at_once = fits.min(threads).max(1);
    (at_once, (threads / at_once).max(1))
}

/// The most components that are fitted for k wanted, where the sample is all of X or not.
pub(crate) fn widest(k: usize, genes: usize, whole: bool) -> usize {
    (if whole { WIDE_SMALL.0 } else { WIDE.0 } * k).min(genes)
}

/// A sample of some size and its quarter.
struct Rung {
    part: MemoryBlocks,
    all: MemoryBlocks,
    /// Whether the sample left out no row with a nonzero.
    whole: bool,
}

/// For each fit H from a fit of its sample, and the work on the sample in passes over X. Always by the
/// rules that need the fewest passes, whatever rules the fit goes on with.
pub(crate) fn sample(starts: &Starts<'_>, engine: &Engine<'_>) -> Result<Vec<(Spectra, f64)>, DriverError> {
    let (samples, sizes) = read(starts, engine)?;
    engine.monitor().freed();
    let mut rungs: BTreeMap<(u64, usize), Rung> = BTreeMap::new();
    for (fit, &rows) in starts.fits.iter().zip(&sizes) {
        if let Entry::Vacant(rung) = rungs.entry((fit.seed, rows)) {
            let sample = &samples[&fit.seed];
            rung.insert(Rung {
                part: sample.first(quarter(sample, rows)).map_err(DriverError::Memory)?,
                all: sample.first(rows).map_err(DriverError::Memory)?,
                whole: sample.draw().threshold(rows) == f64::INFINITY,
            });
        }
    }
    drop(samples);
    let hushed = Hushed(engine.monitor());
    let engine = engine.reporting_to(&hushed);
    let climb = |i: usize, threads: usize| {
        let fit = &starts.fits[i];
        Ladder { starts, fit, rung: &rungs[&(fit.seed, sizes[i])], threads }.climb(&engine)
    };
    // Processes add up in an order that all of them share, so there one start follows the other.
    let (at_once, threads) = match engine.comm().size() {
        1 => side_by_side(starts.fits.len(), starts.threads),
        _ => (1, starts.threads),
    };
    if at_once == 1 {
        return (0..starts.fits.len()).map(|i| climb(i, threads)).collect();
    }
    several(starts, at_once, threads, &climb)
}

/// Runs all starts, `at_once` at a time, those of many components first: they take the longest.
fn several(
    starts: &Starts<'_>,
    at_once: usize,
    threads: usize,
    climb: &(dyn Fn(usize, usize) -> Result<(Spectra, f64), DriverError> + Sync),
) -> Result<Vec<(Spectra, f64)>, DriverError> {
    let mut order: Vec<usize> = (0..starts.fits.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(starts.fits[i].k));
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || -> Result<(), DriverError> {
        // Loops over genes stay on this worker's threads: on a common pool a thread that waits for
        // its loop might take up another start, and its memory.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| DriverError::Threads { message: error.to_string() })?;
        while let Some(&i) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let start =
                pool.install(|| climb(i, threads)).inspect_err(|_| next.store(order.len(), Ordering::Relaxed))?;
            done.lock().unwrap_or_else(PoisonError::into_inner).push((i, start));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once)
            .map(|_| std::thread::Builder::new().spawn_scoped(scope, work))
            .collect::<Result<_, _>>()
            .map_err(|error| DriverError::Threads { message: error.to_string() })?;
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|&(i, _)| i);
    Ok(done.into_iter().map(|(_, start)| start).collect())
}

/// One fit's way from random rows of the quarter to a fit of the whole sample.
struct Ladder<'l> {
    starts: &'l Starts<'l>,
    fit: &'l StartOf,
    rung: &'l Rung,
    threads: usize,
}

impl Ladder<'_> {
    fn climb(&self, engine: &Engine<'_>) -> Result<(Spectra, f64), DriverError> {
        let Ladder { starts, fit, rung: Rung { part, all, whole }, .. } = self;
        let total = starts.data.blocks().entries() as f64;
        let allowed = if *whole { SMALL_WORK.max(WORK_PASSES * total) } else { WORK_PASSES * total };
        let mut work = Work { left: allowed, spent: 0.0 };
        let (factor, share, tol) = if *whole { WIDE_SMALL } else { WIDE };
        let wide = (factor * fit.k).min(part.genes()).min(part.cells()).max(fit.k);
        let mut best: Option<(f64, Spectra)> = None;
        for stream in 0..STARTS {
            let before = work.spent;
            let spectra = means_of_rows(part, starts.scale, wide, fit.seed, stream).map_err(DriverError::Memory)?;
            let (spectra, wtw, _) = self.fit(&mut work, engine, part, spectra, share, tol)?;
            let mut spectra = merge(&spectra, &wtw, fit.k);
            if part.cells() < all.cells() {
                (spectra, ..) = self.fit(&mut work, engine, part, spectra, QUARTER_PART, QUARTER_TOL)?;
            }
            let (spectra, _, loss) = self.fit(&mut work, engine, all, spectra, 1.0, SAMPLE_TOL)?;
            if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                best = Some((loss, spectra));
            }
            if !whole || work.left < work.spent - before {
                break;
            }
        }
        let (_, spectra) = best.expect("there is a first start");
        Ok((spectra, work.spent / total))
    }

    /// Passes over `view` until its loss falls by less than `tol`, for at most this part of the work
    /// that is left; the new H, WᵀW and the loss.
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
        // One at least: a merger needs WᵀW, and the least input may be its own sample.
        let passes = ((work.left * part / cost) as usize).max(1);
        let usages = Usages::new(view.cells(), k, view.block_rows(), &UsagesPlace::Memory, UsagesStart::Zero)?;
        let standing = Standing::start(spectra, Rules::SAMPLED.extrapolate);
        let until = Until { passes, tol, residual: false };
        let state = State { standing, usages, before: 0, trace: Vec::new() };
        let mut solver = [Solver::new(view, self.starts.scale, Rules::SAMPLED, until, state)];
        run(engine, view, &mut solver, self.threads, &mut |_, _| Ok(()))?;
        let [solver] = solver;
        let made = solver.trace().len() as f64;
        work.left -= cost * made;
        work.spent += cost * made;
        Ok(solver.into_spectra())
    }
}

/// Work that may be done and that has been, in stored entries, each gone through for k components.
struct Work {
    left: f64,
    spent: f64,
}

/// Draws the rows of all samples, takes them out of the data in one pass and packs them: a sample for
/// each seed, and the rows that each fit has of it.
fn read(starts: &Starts<'_>, engine: &Engine<'_>) -> Result<(BTreeMap<u64, Sample>, Vec<usize>), DriverError> {
    let (data, blocks) = (starts.data, starts.data.blocks());
    let (genes, layout) = (blocks.genes(), blocks.layout());
    let weight = if starts.scale.factors().is_some() { RowWeight::Mixed } else { RowWeight::SquaredNorm };
    let mut largest: BTreeMap<u64, Caps> = BTreeMap::new();
    for fit in &starts.fits {
        let caps = largest.entry(fit.seed).or_insert(fit.caps);
        *caps = Caps { entries: caps.entries.max(fit.caps.entries), rows: caps.rows.max(fit.caps.rows) };
    }
    let mut draws: BTreeMap<u64, Draw> = BTreeMap::new();
    for (&seed, &caps) in &largest {
        let moments = &mut |rows| data.cell_moments(rows);
        let entries = |moments: &partwise_storage::tile::CellMoments| match layout {
            Layout::Sparse => u64::from(moments.nonzeros),
            Layout::Dense => genes as u64,
        };
        draws.insert(seed, draw(blocks.cells(), data.sq_norm(), weight, caps, seed, moments, &entries)?);
    }
    let sizes: Vec<usize> = starts.fits.iter().map(|fit| draws[&fit.seed].within(fit.caps)).collect();

    let mut chosen: Vec<Chosen> = draws
        .values()
        .flat_map(|draw| &draw.rows)
        .map(|row| Chosen { cell: row.cell, entries: row.entries as usize })
        .collect();
    chosen.sort_unstable_by_key(|row| row.cell);
    chosen.dedup_by_key(|row| row.cell);
    let take = TakeRows::new(&chosen, blocks);
    let mut workers: Vec<Worker<Local>> = (0..starts.threads).map(|_| Worker::default()).collect();
    engine.announce("sample", blocks);
    engine.pass(blocks, &take, &mut workers, Direction::Forward)?;
    engine.monitor().finish();
    drop(workers);
    engine.monitor().freed();
    let rows = take.into_rows();
    let gathered = Gathered::new(&rows);
    let of_seed = |(seed, draw): (u64, Draw)| {
        let fits = starts.fits.iter().zip(&sizes).filter(|(fit, _)| fit.seed == seed);
        let sizes: Vec<usize> = fits.map(|(_, &rows)| rows).collect();
        (seed, Sample::pack(layout, genes, draw, &sizes, &gathered))
    };
    Ok((draws.into_iter().map(of_seed).collect(), sizes))
}

/// Rows of the smaller sample: a quarter of the entries of the first `all` rows, or all of them where
/// a quarter would be too few.
fn quarter(sample: &Sample, all: usize) -> usize {
    let draw = sample.draw();
    let entries = draw.entries(all) / QUARTER;
    let mut rows = 0;
    while rows < all && draw.entries(rows) < entries {
        rows += sample.tile_rows();
    }
    if rows < FEWEST_ROWS || 2 * rows > all { all } else { rows }
}
