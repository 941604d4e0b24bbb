//! Start from a fit of a weighted sample of rows, in memory.
//!
//! The [rows are read](super::read) for the samples of all fits at once. Then the fits of the samples run side by side,
//! several at a time.
//!
//! [`climb`](super::climb) says how each of them finds its start; replicates of a sweep climb from a random H
//! instead.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use partwise_storage::sampling::Caps;
use partwise_storage::store::Layout;

use super::climb::Climb;
use super::read::{DrawOf, ReadRows};
use crate::blocks::{FitData, MemoryBlocks};
use crate::engine::Engine;
use crate::error::DriverError;
use crate::monitor::Hushed;
use crate::sample::{Gathered, Sample, SampleRows, TwoOrders};
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

/// A start that was found on a sample.
pub(crate) struct Start {
    /// H.
    pub(crate) spectra: Spectra,
    /// The work on the sample in passes over X.
    pub(crate) work: f64,
    /// Reads of all of X that it took part in: none or one.
    pub(crate) reads: usize,
}

/// The start of each fit, from a fit of its sample. Uses the rules that need the fewest passes, whatever the rules of
/// the fit itself.
///
/// A sparse sample that is not all of X is put into two orders for as long as its start is looked for.
pub(crate) fn sample(starts: &Starts<'_>, engine: &Engine<'_>) -> Result<Vec<Start>, DriverError> {
    let mut read = ReadRows::new(starts, engine)?;
    let reads: Vec<usize> = read.fits.iter().map(|(of, _)| of.reads()).collect();
    let start = |((spectra, work), reads)| Start { spectra, work, reads };
    let is_sparse = starts.data.blocks().layout() == Layout::Sparse;
    let packed: Vec<bool> = (0..starts.fits.len()).map(|i| !is_sparse || read.is_whole(starts, i)).collect();
    let rungs = read.rungs(starts, &Gathered::new(&read.rows), |i| packed[i])?;
    if packed.iter().all(|&packed| packed) {
        read.rows = Vec::new();
    }
    let gathered = Gathered::new(&read.rows);
    engine.monitor().freed();
    if let ([fit], [false]) = (&starts.fits[..], &packed[..]) {
        let (of, rows) = read.fits[0];
        let draw = &read.draws[&of];
        let orders = TwoOrders::new(&SampleRows { draw, rows, gathered: &gathered, scale: starts.scale }, starts.data);
        // No other start needs the rows.
        drop(gathered);
        read.rows = Vec::new();
        engine.monitor().freed();
        let found = Climb { starts, fit, engine, threads: starts.threads }.on_orders(orders)?;
        engine.monitor().freed();
        return Ok(vec![start((found, reads[0]))]);
    }
    let hushed = Hushed(engine.monitor());
    let quiet = engine.reporting_to(&hushed);
    let found = side_by_side_all(starts, &quiet, &|i, threads| {
        let (of, rows) = read.fits[i];
        let climb = Climb { starts, fit: &starts.fits[i], engine: &quiet, threads };
        match rungs.get(&(of, rows)) {
            Some(rung) => climb.on_rung(rung),
            None => {
                let draw = &read.draws[&of];
                let rows = SampleRows { draw, rows, gathered: &gathered, scale: starts.scale };
                climb.on_orders(TwoOrders::new(&rows, starts.data))
            }
        }
    });
    drop((rungs, gathered));
    drop(read);
    engine.monitor().freed();
    Ok(found?.into_iter().zip(reads).map(start).collect())
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
    side_by_side_all(starts, &engine, &|i, threads| climb(i, &rungs[&read.fits[i]], threads, &engine))
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

impl ReadRows {
    /// Whether the sample of fit `i` is all of the matrix.
    fn is_whole(&self, starts: &Starts<'_>, i: usize) -> bool {
        let (fit, blocks) = (&starts.fits[i], starts.data.blocks());
        let (of, rows) = self.fits[i];
        let threshold = self.draws[&of].threshold(rows);
        threshold == f64::INFINITY && fit.caps.hold(blocks.entries(), blocks.cells())
    }

    /// Packs the samples of the fits that `wanted` tells, by draw and size.
    fn rungs(
        &self,
        starts: &Starts<'_>,
        gathered: &Gathered<'_>,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<BTreeMap<(DrawOf, usize), Rung>, DriverError> {
        let blocks = starts.data.blocks();
        let mut rungs = BTreeMap::new();
        for (of, draw) in &self.draws {
            let fits: Vec<usize> = (0..self.fits.len()).filter(|&i| self.fits[i].0 == *of && wanted(i)).collect();
            if fits.is_empty() {
                continue;
            }
            let sizes: Vec<usize> = fits.iter().map(|&i| self.fits[i].1).collect();
            let sample = Sample::pack(blocks.layout(), blocks.genes(), draw, &sizes, gathered);
            for (i, rows) in fits.into_iter().zip(sizes) {
                if let Entry::Vacant(place) = rungs.entry((*of, rows)) {
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
