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
use crate::products::Rows;
use crate::sample::{Caps, Draw, Gathered, RowWeight, Sample, SampleRows, TwoOrders, draw};
use crate::scale::GeneScale;
use crate::spectra::Spectra;

/// A smaller packed sample has one entry in this many.
const QUARTER: u64 = 4;
/// A smaller sample with fewer rows than this is left out.
pub(super) const FEWEST_ROWS: usize = 256;

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
///
/// A sparse sample that is not all of X is put into two orders for as long as its start is looked for.
pub(crate) fn sample(starts: &Starts<'_>, engine: &Engine<'_>) -> Result<Vec<(Spectra, f64)>, DriverError> {
    let mut read = ReadRows::new(starts, engine)?;
    let is_sparse = starts.data.blocks().layout() == Layout::Sparse;
    let packed: Vec<bool> = (0..starts.fits.len()).map(|i| !is_sparse || read.is_whole(starts, i)).collect();
    let rungs = read.rungs(starts, &Gathered::new(&read.rows), |i| packed[i])?;
    if packed.iter().all(|&packed| packed) {
        read.rows = Vec::new();
    }
    let gathered = Gathered::new(&read.rows);
    engine.monitor().freed();
    if let ([fit], [false]) = (&starts.fits[..], &packed[..]) {
        let (draw, rows) = (&read.draws[&fit.seed], read.sizes[0]);
        let orders = TwoOrders::new(&SampleRows { draw, rows, gathered: &gathered, scale: starts.scale }, starts.data);
        // No other start needs the rows.
        drop(gathered);
        read.rows = Vec::new();
        engine.monitor().freed();
        let found = Climb { starts, fit, engine, threads: starts.threads }.on_orders(orders)?;
        engine.monitor().freed();
        return Ok(vec![found]);
    }
    let hushed = Hushed(engine.monitor());
    let quiet = engine.reporting_to(&hushed);
    let found = side_by_side_all(starts, &quiet, &|i, threads| {
        let (fit, rows) = (&starts.fits[i], read.sizes[i]);
        let climb = Climb { starts, fit, engine: &quiet, threads };
        match rungs.get(&(fit.seed, rows)) {
            Some(rung) => climb.on_rung(rung),
            None => {
                let draw = &read.draws[&fit.seed];
                let rows = SampleRows { draw, rows, gathered: &gathered, scale: starts.scale };
                climb.on_orders(TwoOrders::new(&rows, starts.data))
            }
        }
    });
    drop((rungs, gathered));
    drop(read);
    engine.monitor().freed();
    found
}

/// The start that is found for fit `i` on its sample, with so many threads.
pub(crate) type OnSample<'c, T> = dyn Fn(usize, &Rung, usize, &Engine<'_>) -> Result<T, DriverError> + Sync + 'c;

/// What `climb` makes of the packed sample of each fit, in their order.
pub(crate) fn from_samples<T: Send>(
    starts: &Starts<'_>,
    engine: &Engine<'_>,
    climb: &OnSample<'_, T>,
) -> Result<Vec<T>, DriverError> {
    let mut read = ReadRows::new(starts, engine)?;
    let rungs = read.rungs(starts, &Gathered::new(&read.rows), |_| true)?;
    read.rows = Vec::new();
    engine.monitor().freed();
    let hushed = Hushed(engine.monitor());
    let engine = engine.reporting_to(&hushed);
    side_by_side_all(starts, &engine, &|i, threads| {
        climb(i, &rungs[&(starts.fits[i].seed, read.sizes[i])], threads, &engine)
    })
}

/// Runs the starts, several at a time.
fn side_by_side_all<T: Send>(
    starts: &Starts<'_>,
    engine: &Engine<'_>,
    climb: &(dyn Fn(usize, usize) -> Result<T, DriverError> + Sync),
) -> Result<Vec<T>, DriverError> {
    // Processes add up in an order that all of them share, so there the starts follow one another.
    let (at_once, threads) = match engine.comm().size() {
        1 => side_by_side(starts.fits.len(), starts.threads),
        _ => (1, starts.threads),
    };
    if at_once == 1 {
        return (0..starts.fits.len()).map(|i| climb(i, threads)).collect();
    }
    several(starts, at_once, threads, climb)
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

/// The rows of all samples, as they were read: a draw for each seed, and the rows that each fit has of it.
struct ReadRows {
    draws: BTreeMap<u64, Draw>,
    sizes: Vec<usize>,
    rows: Vec<Rows>,
}

impl ReadRows {
    /// Draws the rows of all samples and takes them out of the data in one pass.
    fn new(starts: &Starts<'_>, engine: &Engine<'_>) -> Result<Self, DriverError> {
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
        Ok(ReadRows { draws, sizes, rows })
    }

    /// Whether the sample of fit `i` is all of the matrix.
    fn is_whole(&self, starts: &Starts<'_>, i: usize) -> bool {
        let (fit, blocks) = (&starts.fits[i], starts.data.blocks());
        let threshold = self.draws[&fit.seed].threshold(self.sizes[i]);
        threshold == f64::INFINITY && fit.caps.hold(blocks.entries(), blocks.cells())
    }

    /// Packs the samples of the fits that `of` tells, by seed and size.
    fn rungs(
        &self,
        starts: &Starts<'_>,
        gathered: &Gathered<'_>,
        of: impl Fn(usize) -> bool,
    ) -> Result<BTreeMap<(u64, usize), Rung>, DriverError> {
        let blocks = starts.data.blocks();
        let mut rungs = BTreeMap::new();
        for (seed, draw) in &self.draws {
            let fits: Vec<usize> = (0..starts.fits.len()).filter(|&i| starts.fits[i].seed == *seed && of(i)).collect();
            if fits.is_empty() {
                continue;
            }
            let sizes: Vec<usize> = fits.iter().map(|&i| self.sizes[i]).collect();
            let sample = Sample::pack(blocks.layout(), blocks.genes(), draw, &sizes, gathered);
            for (i, rows) in fits.into_iter().zip(sizes) {
                if let Entry::Vacant(place) = rungs.entry((*seed, rows)) {
                    place.insert(Rung {
                        part: sample.first(quarter(&sample, rows)).map_err(DriverError::Memory)?,
                        all: sample.first(rows).map_err(DriverError::Memory)?,
                        whole: self.is_whole(starts, i),
                    });
                }
            }
        }
        Ok(rungs)
    }
}

/// Rows of the smaller sample: a quarter of the entries of the first `all` rows, or all of them
/// where a quarter would be too few.
fn quarter(sample: &Sample<'_>, all: usize) -> usize {
    let draw = sample.draw();
    let entries = draw.entries(all) / QUARTER;
    let mut rows = 0;
    while rows < all && draw.entries(rows) < entries {
        rows += sample.tile_rows();
    }
    if rows < FEWEST_ROWS || 2 * rows > all { all } else { rows }
}
