//! The rows of the samples that starts are found on, read from the sample of the store or from the matrix.
//!
//! A store that keeps a sample of its rows has it ready: each seed draws from it, and a start costs no read of X. That
//! is so if rows count by their norms alone, genes unscaled and none left out, and if the sample is larger by half than
//! what a fit draws from it. The other fits draw from all of X, which is read once for them. Which way a fit goes does
//! not depend on the fits beside it. The samples of one seed and one way are parts of the largest.

use std::collections::BTreeMap;

use partwise_storage::sampling::{self, Caps, Draw, Population, RowWeight};
use partwise_storage::store::{KeptSample, Layout};
use partwise_storage::tile::{CellMoments, ChosenRow, RunBatch, TakeScratch, TakenRows};
use partwise_storage::{StorageError, Unit};
use rayon::prelude::*;
use tracing::info_span;

use super::sample::{StartOf, Starts};
use crate::comm::agree;
use crate::compute::take_rows::{Chosen, Local, TakeRows};
use crate::engine::{Direction, Engine, Worker};
use crate::error::DriverError;

/// Which draw a fit has its rows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DrawOf {
    seed: u64,
    /// From the sample of the store, and not from all rows.
    from_kept: bool,
}

impl DrawOf {
    /// Reads of all of X that the fit takes part in.
    pub(super) fn reads(self) -> usize {
        usize::from(!self.from_kept)
    }
}

/// The rows of all samples: the draws, and for each fit which of them it has, and how many rows of it.
pub(super) struct ReadRows {
    pub(super) draws: BTreeMap<DrawOf, Draw>,
    pub(super) fits: Vec<(DrawOf, usize)>,
    pub(super) rows: Vec<TakenRows>,
}

impl ReadRows {
    /// Draws the rows of all samples and reads them.
    pub(super) fn new(starts: &Starts<'_>, engine: &Engine<'_>) -> Result<Self, DriverError> {
        let _span = info_span!("reading of the sample").entered();
        let by_norm = starts.scale.factors().is_none();
        let sample = if by_norm { starts.data.kept_sample().map_err(DriverError::from) } else { Ok(None) };
        let sample = agree(engine.comm(), sample)?;
        let of = |fit: &StartOf| {
            let from_kept = sample.as_ref().is_some_and(|sample| sample.suffices(fit.caps));
            DrawOf { seed: fit.seed, from_kept }
        };
        let mut draws = BTreeMap::new();
        for (key, caps) in largest(&starts.fits, of) {
            let kept = sample.as_ref().filter(|_| key.from_kept);
            draws.insert(
                key,
                match kept {
                    Some(sample) => sampling::draw_again(sample.rows(), starts.data.sq_norm(), caps, key.seed),
                    None => draw(starts, caps, key.seed)?,
                },
            );
        }
        let fits = starts.fits.iter().map(|fit| (of(fit), draws[&of(fit)].within(fit.caps))).collect();
        let mut rows = Vec::new();
        let (kept, others) = [true, false].map(|from_kept| chosen(&draws, from_kept)).into();
        if let Some(sample) = sample.filter(|_| !kept.is_empty()) {
            rows = agree(engine.comm(), take_kept(&sample, &kept, engine))?;
        }
        if draws.keys().any(|of| !of.from_kept) {
            rows.append(&mut take(starts, &others, engine)?);
        }
        engine.monitor().finish();
        engine.monitor().freed();
        Ok(ReadRows { draws, fits, rows })
    }
}

/// The largest sample of each draw.
fn largest(fits: &[StartOf], of: impl Fn(&StartOf) -> DrawOf) -> BTreeMap<DrawOf, Caps> {
    let mut largest: BTreeMap<DrawOf, Caps> = BTreeMap::new();
    for fit in fits {
        let caps = largest.entry(of(fit)).or_insert(fit.caps);
        *caps = Caps { entries: caps.entries.max(fit.caps.entries), rows: caps.rows.max(fit.caps.rows) };
    }
    largest
}

/// The draw of one seed from all rows.
fn draw(starts: &Starts<'_>, caps: Caps, seed: u64) -> Result<Draw, StorageError> {
    let (data, blocks) = (starts.data, starts.data.blocks());
    let weight = if starts.scale.factors().is_some() { RowWeight::Mixed } else { RowWeight::SquaredNorm };
    let (genes, layout) = (blocks.genes() as u32, blocks.layout());
    let population = Population {
        cells: blocks.cells(),
        sq_norm: data.sq_norm(),
        moments: &mut |rows| data.cell_moments(rows),
        entries: &|moments: &CellMoments| match layout {
            Layout::Sparse => moments.nonzeros,
            Layout::Dense => genes,
        },
    };
    sampling::draw(population, weight, caps, seed)
}

/// The rows of all draws that go one way, ascending, each once.
fn chosen(draws: &BTreeMap<DrawOf, Draw>, from_kept: bool) -> Vec<Chosen> {
    let rows = draws.iter().filter(|(of, _)| of.from_kept == from_kept).flat_map(|(_, draw)| &draw.rows);
    let mut chosen: Vec<Chosen> = rows.map(|row| Chosen { cell: row.cell, entries: row.entries as usize }).collect();
    chosen.sort_unstable_by_key(|row| row.cell);
    chosen.dedup_by_key(|row| row.cell);
    chosen
}

/// Takes rows out of the matrix, in one pass.
fn take(starts: &Starts<'_>, chosen: &[Chosen], engine: &Engine<'_>) -> Result<Vec<TakenRows>, DriverError> {
    let blocks = starts.data.blocks();
    let take = TakeRows::new(chosen, blocks);
    let mut workers: Vec<Worker<Local>> = (0..starts.threads).map(|_| Worker::default()).collect();
    engine.announce("sample", blocks);
    engine.pass(blocks, &take, &mut workers, Direction::Forward)?;
    Ok(take.into_rows())
}

/// Takes rows out of the sample of the store, tile by tile. Every process reads them for itself: they are few.
fn take_kept(sample: &KeptSample, chosen: &[Chosen], engine: &Engine<'_>) -> Result<Vec<TakenRows>, DriverError> {
    let monitor = engine.monitor();
    monitor.start("sample", sample.rows().len() as u64, Unit::Rows);
    let scratch = || (Vec::new(), RunBatch::new(), TakeScratch::default());
    let of_tile = |(bytes, batch, scratch): &mut (Vec<u8>, RunBatch, TakeScratch), tile: usize| {
        if monitor.cancelled() {
            return Err(DriverError::Cancelled);
        }
        let rows = sample.rows_of(tile);
        let cells = sample.rows()[rows.clone()].iter().map(|row| row.cell);
        let wanted = cells.enumerate().filter_map(|(row, cell)| {
            let place = chosen.binary_search_by_key(&cell, |row| row.cell).ok()?;
            Some(ChosenRow { row, cell, entries: chosen[place].entries })
        });
        let wanted: Vec<ChosenRow> = wanted.collect();
        let mut taken = TakenRows::default();
        if !wanted.is_empty() {
            let packed = sample.read(tile, bytes)?;
            taken.take(&packed, &wanted, batch, scratch).map_err(|error| sample.damaged_tile(tile, &error))?;
        }
        monitor.advance(rows.len() as u64);
        Ok(taken)
    };
    let _span = info_span!("taking of rows", tasks = sample.tiles()).entered();
    (0..sample.tiles()).into_par_iter().map_init(scratch, of_tile).collect()
}
