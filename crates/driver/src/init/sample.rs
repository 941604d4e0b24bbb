//! Start from a fit of a weighted sample of rows, in memory.
//!
//! X is read once for the samples of all fits: those of one seed are parts of the largest. Then the
//! fits of the samples run side by side, several at a time.
//!
//! [`climb`](super::climb) says how each of them finds its start; replicates of a sweep climb from a random H
//! instead.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use partwise_storage::store::Layout;

use super::climb::Climb;
use crate::blocks::{FitData, MemoryBlocks};
use crate::compute::take_rows::{Chosen, Local, TakeRows};
use crate::engine::{Direction, Engine, Worker};
use crate::error::DriverError;
use crate::monitor::Hushed;
use crate::sample::{Caps, Draw, Gathered, RowWeight, Sample, draw};
use crate::scale::GeneScale;
use crate::spectra::Spectra;

/// The smaller sample has one entry in this many; with fewer rows than this it is left out.
const QUARTER: u64 = 4;
const FEWEST_ROWS: usize = 256;

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

/// A sample of some size and its quarter.
pub(crate) struct Rung {
    pub(super) part: MemoryBlocks,
    pub(crate) all: MemoryBlocks,
    /// Whether the sample is all of the matrix.
    pub(super) whole: bool,
}

/// H for each fit, from a fit of its sample, and the work on the sample in passes over X. Uses the
/// rules that need the fewest passes, whatever the rules of the fit itself.
pub(crate) fn sample(starts: &Starts<'_>, engine: &Engine<'_>) -> Result<Vec<(Spectra, f64)>, DriverError> {
    let race = |i: usize, rung: &Rung, threads: usize, engine: &Engine<'_>| {
        Climb { starts, fit: &starts.fits[i], rung, threads }.run(engine)
    };
    from_samples(starts, engine, &race)
}

/// The start that is found for fit `i` on its sample, with so many threads.
pub(crate) type OnSample<'c, T> = dyn Fn(usize, &Rung, usize, &Engine<'_>) -> Result<T, DriverError> + Sync + 'c;

/// What `climb` makes of the sample of each fit, in their order.
pub(crate) fn from_samples<T: Send>(
    starts: &Starts<'_>,
    engine: &Engine<'_>,
    climb: &OnSample<'_, T>,
) -> Result<Vec<T>, DriverError> {
    let (samples, sizes) = read(starts, engine)?;
    engine.monitor().freed();
    let mut rungs: BTreeMap<(u64, usize), Rung> = BTreeMap::new();
    let blocks = starts.data.blocks();
    for (fit, &rows) in starts.fits.iter().zip(&sizes) {
        if let Entry::Vacant(place) = rungs.entry((fit.seed, rows)) {
            let sample = &samples[&fit.seed];
            place.insert(Rung {
                part: sample.first(quarter(sample, rows)).map_err(DriverError::Memory)?,
                all: sample.first(rows).map_err(DriverError::Memory)?,
                whole: sample.draw().threshold(rows) == f64::INFINITY
                    && fit.caps.hold(blocks.entries(), blocks.cells()),
            });
        }
    }
    drop(samples);
    let hushed = Hushed(engine.monitor());
    let engine = engine.reporting_to(&hushed);
    let climb = |i: usize, threads: usize| {
        let rung = &rungs[&(starts.fits[i].seed, sizes[i])];
        climb(i, rung, threads, &engine)
    };
    // Processes add up in an order that all of them share, so there the starts follow one another.
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
fn several<T: Send>(
    starts: &Starts<'_>,
    at_once: usize,
    threads: usize,
    climb: &(dyn Fn(usize, usize) -> Result<T, DriverError> + Sync),
) -> Result<Vec<T>, DriverError> {
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

/// Draws the rows of all samples, takes them out of the data in one pass and packs them: a sample
/// for each seed, and the rows that each fit has of it.
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

/// Rows of the smaller sample: a quarter of the entries of the first `all` rows, or all of them
/// where a quarter would be too few.
fn quarter(sample: &Sample, all: usize) -> usize {
    let draw = sample.draw();
    let entries = draw.entries(all) / QUARTER;
    let mut rows = 0;
    while rows < all && draw.entries(rows) < entries {
        rows += sample.tile_rows();
    }
    if rows < FEWEST_ROWS || 2 * rows > all { all } else { rows }
}
