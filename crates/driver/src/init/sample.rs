//! Start from a fit of a weighted sample of rows, in memory.
//!
//! A ladder of samples, each a prefix of the next, is climbed by several starts; at every rung the better ones go on
//! and only the best reaches the top. On real word counts (18,774 documents x 55,911 words, k = 10) the loss on the
//! smallest rung hardly tells which of eight starts ends best, that on the next one does: hence more than one survivor.
//!
//! All of it together may cost at most the work of [`WORK_PASSES`] passes over X, counted in stored entries; what a
//! rung does not use goes to the next. Inputs so small that the sample is all of X may use [`SMALL_WORK`] entries, a
//! fraction of a second, because there a better start costs nobody anything.

use partwise_storage::Unit;
use partwise_storage::store::{Layout, Store};

use super::random::means_of_rows;
use crate::compute::gather::{Gather, Local};
use crate::data::{Blocks, StoreBlocks};
use crate::engine::{Direction, Engine, Hushed};
use crate::error::DriverError;
use crate::sample::{Caps, Sample, SampleView, Share, draw};
use crate::scale::GeneScale;
use crate::solve::{Factorization, Limits, Rules};
use crate::spectra::Spectra;
use crate::usages::{Usages, UsagesPlace, UsagesStart};

/// Most work on the sample, in passes over X.
const WORK_PASSES: f64 = 5.0;
/// Stored entries that may be gone through where the sample is all of X.
const SMALL_WORK: f64 = 40e6;
/// Part of what is left that a rung below the top may use.
const RUNG_PART: f64 = 0.4;
/// Starts on the smallest rung, where each can have at least [`FEWEST_PASSES`] passes.
pub(crate) const STARTS: usize = 8;
/// Passes without which a start is not worth comparing with others.
const FEWEST_PASSES: f64 = 6.0;
/// Each rung of the ladder has this many times the entries of the one below.
const GROWTH: u64 = 4;
/// A rung ends when two passes in a row decrease its loss by less than this: the next rung changes H by more. The top
/// one goes on for longer, since passes over a sample are cheaper than those over X that they save.
const RUNG_TOL: f64 = 3e-4;
const TOP_TOL: f64 = 3e-5;

/// Settings of the start.
pub(crate) struct SampleStart<'s> {
    pub(crate) store: &'s Store,
    pub(crate) scale: &'s GeneScale,
    pub(crate) k: usize,
    pub(crate) seed: u64,
    pub(crate) caps: Caps,
    pub(crate) threads: usize,
}

/// H from a fit of a sample, and the work on it in passes over X. Always by the rules that need the fewest passes,
/// whatever the fit goes on with.
pub(crate) fn sample(start: &SampleStart<'_>, engine: &Engine<'_>) -> Result<(Spectra, f64), DriverError> {
    let sample = read(start, engine)?;
    engine.monitor().freed();
    let hushed = Hushed(engine.monitor());
    let engine = engine.hushed(&hushed);
    let total = StoreBlocks::new(start.store).entries() as f64;
    let budget = if sample.is_everything() { SMALL_WORK.max(WORK_PASSES * total) } else { WORK_PASSES * total };
    let mut spent = 0.0;

    let ladder = ladder(&sample);
    let mut starts: Vec<Spectra> = Vec::new();
    for (rung, &rows) in ladder.iter().enumerate() {
        let view = SampleView::new(&sample, rows).map_err(DriverError::Sample)?;
        let entries = view.entries() as f64;
        let top = rung + 1 == ladder.len();
        let allowance = (budget - spent) * if top { 1.0 } else { RUNG_PART };
        let affordable = ((allowance / (FEWEST_PASSES * entries)) as usize).max(1);
        if rung == 0 {
            starts = random_starts(start, &view, affordable.min(STARTS))?;
        } else {
            let survivors = if top { 1 } else { affordable.min(starts.len().div_ceil(2)) };
            starts.truncate(survivors);
        }
        let passes = (allowance / (entries * starts.len() as f64)) as usize;
        if passes == 0 {
            continue;
        }
        let mut climbed = Vec::with_capacity(starts.len());
        for spectra in starts.drain(..) {
            let usages = Usages::new(rows, start.k, view.block_rows(), &UsagesPlace::Memory, UsagesStart::Zero)?;
            let mut fit = Factorization::new(&view, start.scale, Rules::EXTRAPOLATED, spectra, usages, start.threads);
            fit.run(&engine, Limits { passes, tol: if top { TOP_TOL } else { RUNG_TOL } }, 1, &mut |_| {
                spent += entries
            })?;
            climbed.push((fit.loss().unwrap_or(f64::INFINITY), fit.into_spectra()));
        }
        climbed.sort_by(|a, b| a.0.total_cmp(&b.0));
        starts = climbed.into_iter().map(|(_, spectra)| spectra).collect();
    }
    let best = starts.into_iter().next().expect("a ladder has a rung and a rung a start");
    Ok((best, spent / total))
}

/// Draws the rows and takes them out of the store in one pass.
fn read(start: &SampleStart<'_>, engine: &Engine<'_>) -> Result<Sample, DriverError> {
    let store = start.store;
    let share = if start.scale.factors().is_some() { Share::Mixed } else { Share::SquaredNorm };
    let genes = store.genes();
    let layout = store.layout();
    let (drawn, threshold) = draw(
        store.cells(),
        store.sq_norm(),
        share,
        start.caps,
        start.seed,
        &mut |rows| store.cell_moments(rows),
        &|moments| match layout {
            Layout::Sparse => u64::from(moments.nonzeros),
            Layout::Dense => genes as u64,
        },
    )?;
    let mut chosen: Vec<usize> = drawn.iter().map(|row| row.cell).collect();
    chosen.sort_unstable();
    let data = StoreBlocks::new(store);
    let gather = Gather::new(&chosen, data.blocks());
    let mut locals: Vec<Local> = (0..start.threads).map(|_| Local::default()).collect();
    engine.monitor().start("sample", store.cells() as u64, Unit::Rows);
    engine.pass(&data, &gather, &mut locals, Direction::Forward)?;
    engine.monitor().finish();
    drop(locals);
    engine.monitor().freed();
    Ok(Sample::pack(layout, genes, drawn, threshold, gather.into_rows()))
}

/// Rows of each rung, the last one all.
fn ladder(sample: &Sample) -> Vec<usize> {
    let all = sample.rows();
    let mut rungs = vec![all];
    let mut entries = sample.entries(all);
    loop {
        entries /= GROWTH;
        let mut rows = 0;
        while rows < all && sample.entries(rows) < entries {
            rows += sample.tile_rows();
        }
        if rungs.len() == 3 || rows < sample.tile_rows().max(256) || 2 * rows > rungs[rungs.len() - 1] {
            break;
        }
        rungs.push(rows);
    }
    rungs.reverse();
    rungs
}

/// So many random starts, each from a stream of its own.
fn random_starts(start: &SampleStart<'_>, view: &SampleView<'_>, count: usize) -> Result<Vec<Spectra>, DriverError> {
    (0..count as u64)
        .map(|stream| means_of_rows(view, start.scale, start.k, start.seed, stream).map_err(DriverError::Sample))
        .collect()
}
