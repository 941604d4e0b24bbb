//! The time of a pass, predicted: a few tiles go through the real kernels, on the plan's threads.
//!
//! A pass is the tiles of all blocks on all workers, then the update of H on its own:
//!
//! ```text
//! seconds = max(folding · entries of X / entries of the probe, bytes read / rate of the disk) + update of H
//! ```
//!
//! with the first quotient rounded up to whole blocks a worker if there are few of them. The probe
//! cannot see other load later, a disk that slows down, and how many entries of W end at zero.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use partwise_storage::convert::Excerpt;
use partwise_storage::store::{Layout, SegmentBuf, Store};
use partwise_storage::{Monitor, Unit};

use crate::blocks::{Blocks, Cut, MemoryBlocks, PackedTile};
use crate::config::ScaleSpec;
use crate::engine::Engine;
use crate::error::DriverError;
use crate::init;
use crate::plan::Plan;
use crate::scale::GeneScale;
use crate::shape::DataShape;
use crate::solve::{Assembly, Solver, Standing, State, Until};
use crate::usages::{Usages, UsagesPlace, UsagesStart};

/// Entries of a probe for each thread, times k: they take about 20 ms.
const WORK: u64 = 60_000_000;
/// Most entries of a probe for each thread: 2 MiB or so of counts.
const ENTRIES: u64 = 2_000_000;
/// The time for which passes over the probe run. Their mean counts: no other work on the machine
/// interrupted the fastest one, and it interrupts a pass over all of X for sure.
const TIMED: Duration = Duration::from_millis(150);
/// At least this many passes.
const PASSES: usize = 3;

/// Some tiles of a matrix, in memory, as a matrix of their own.
#[derive(Debug)]
pub struct Probe {
    blocks: MemoryBlocks,
    /// Bytes a second at which the tiles were read; `None` if they were not read from a store.
    rate: Option<f64>,
}

/// The predicted time of a pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PassTime {
    /// All of it, seconds.
    pub seconds: f64,
    /// Arithmetic on the blocks, decoding included, seconds.
    pub folding: f64,
    /// Reading of the part that is not kept in memory, at the rate of the probe, seconds.
    pub reading: f64,
    /// The update of H after it, seconds.
    pub update: f64,
    /// Bytes a second at which the probe was read; `None` if it was not read from a store.
    pub rate: Option<f64>,
}

impl Probe {
    /// Reads tiles of `store`, spread over its blocks: a few MiB for each thread of the plan.
    ///
    /// # Errors
    ///
    /// When a tile cannot be read or is damaged.
    pub fn of_store(store: &Store, plan: &Plan) -> Result<Self, DriverError> {
        let shape = DataShape::of_store(store)?;
        let tile_entries = (shape.entries() / shape.tiles().max(1)).max(1);
        let blocks = plan.execution.threads.min(store.blocks());
        let k: usize = plan.models[plan.execution.waves[0].clone()].iter().map(|model| model.k).sum();
        let wanted = (WORK / k.max(1) as u64).min(ENTRIES) / tile_entries;
        let height = (wanted as usize).clamp(1, (store.block_rows() / store.tile_rows()).max(1));
        let (mut tiles, mut bytes) = (Vec::new(), 0);
        let mut buf = SegmentBuf::with_capacity(height * store.max_tile_bytes());
        let mut reading = Duration::ZERO;
        for worker in 0..blocks {
            // The middle of its part of the blocks; the last block may be shorter than the others.
            let block = ((2 * worker + 1) * store.blocks() / (2 * blocks)).min(store.blocks().saturating_sub(2));
            let range = 0..height.min(store.block(block).tiles);
            let began = Instant::now();
            store.read_into(block, range.clone(), &mut buf)?;
            reading += began.elapsed();
            let segment = store.segment(block, range.clone(), &buf);
            for tile in range {
                let (packed, rows, nonzeros) = segment.packed(tile);
                bytes += packed.len();
                tiles.push(PackedTile::copy(packed, rows, entries_of(&shape, rows, nonzeros)));
            }
        }
        let rate = bytes as f64 / reading.as_secs_f64().max(1e-9);
        Probe::new(&shape, height, tiles, Some(rate))
    }

    /// Takes the tiles of an excerpt.
    ///
    /// # Errors
    ///
    /// When a tile does not decode, which is a defect of the encoder.
    pub fn of_excerpt(excerpt: Excerpt, plan: &Plan) -> Result<Self, DriverError> {
        let shape = DataShape::from(&excerpt);
        let tiles: Vec<_> = excerpt
            .tiles
            .into_iter()
            .map(|tile| PackedTile::new(tile.bytes, tile.rows, entries_of(&shape, tile.rows, tile.nonzeros)))
            .collect();
        let most = (excerpt.block_rows / excerpt.tile_rows).max(1);
        Probe::new(&shape, (tiles.len() / plan.execution.threads).clamp(1, most), tiles, None)
    }

    /// Tiles of a lower height, such as the last one of a matrix, are left out if there are others,
    /// and so are lower blocks.
    fn new(
        shape: &DataShape,
        height: usize,
        mut tiles: Vec<PackedTile>,
        rate: Option<f64>,
    ) -> Result<Self, DriverError> {
        if tiles.iter().any(|tile| tile.rows() == shape.tile_rows) {
            tiles.retain(|tile| tile.rows() == shape.tile_rows);
        } else {
            tiles.truncate(1);
        }
        let height = height.min(tiles.len());
        tiles.truncate(tiles.len() / height.max(1) * height);
        let (layout, genes, tile_rows) = (shape.layout, shape.genes, shape.tile_rows);
        let cut = Cut { layout, genes, tile_rows, tiles_per_block: height.max(1) };
        let blocks = MemoryBlocks::new(cut, tiles.into_iter().map(Arc::new).collect(), None);
        Ok(Probe { blocks: blocks.map_err(DriverError::Memory)?, rate })
    }

    /// Runs passes over the probe and predicts the time of one over a matrix of this shape.
    ///
    /// Costs a fifth of a second, more where k is large, and the memory of a fit of the probe.
    ///
    /// # Errors
    ///
    /// When the tiles do not decode, or the system gives no threads.
    pub fn pass_time(&self, plan: &Plan, shape: &DataShape) -> Result<PassTime, DriverError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(plan.execution.pool_threads)
            .build()
            .map_err(|error| DriverError::Threads { message: error.to_string() })?;
        let (folding, update) = pool.install(|| self.run(plan))?;
        // Workers take whole blocks: with few of them, some workers are idle at the end.
        let uneven = uneven(shape.blocks(), plan.execution.threads);
        // Fewer blocks than workers in the probe: it ran on that many.
        let workers = plan.execution.threads as f64;
        let idle = (self.blocks.blocks() as f64).min(workers) / workers;
        let folding = folding * idle * uneven * shape.entries() as f64 / self.blocks.entries().max(1) as f64;
        let reading = self.rate.map_or(0.0, |rate| plan.execution.read_bytes() as f64 / rate);
        Ok(PassTime { seconds: folding.max(reading) + update, folding, reading, update, rate: self.rate })
    }

    /// Seconds of the fold and of the update of H in a pass, on average.
    fn run(&self, plan: &Plan) -> Result<(f64, f64), DriverError> {
        let blocks = &self.blocks;
        let scale = GeneScale::new(ScaleSpec::None, &[], blocks.cells());
        let models = &plan.models[plan.execution.waves[0].clone()];
        let mut solvers = Vec::with_capacity(models.len());
        for model in models {
            let spectra = init::random(blocks.genes(), model.k, 1.0, model.seed, 0);
            let start = UsagesStart::Uniform { scale: 1.0, seed: model.seed };
            let usages = Usages::new(blocks.cells(), model.k, blocks.block_rows(), &UsagesPlace::Memory, start)?;
            let standing = Standing::start(spectra, model.rules.extrapolate);
            let until = Until { passes: usize::MAX, tol: 0.0, residual: true };
            let state = State { standing, usages, before: 0, trace: Vec::new() };
            solvers.push(Solver::new(blocks, &scale, model.rules, until, state));
        }
        time_passes(blocks, plan.execution.segment_bytes, plan.execution.threads, &mut solvers)
    }
}

/// Seconds of the fold and of the update of H in a pass of `solvers` over `blocks`, on average.
pub(crate) fn time_passes(
    blocks: &dyn Blocks,
    segment_bytes: u64,
    threads: usize,
    solvers: &mut [Solver<'_>],
) -> Result<(f64, f64), DriverError> {
    let watch = Stopwatch::default();
    let engine = Engine::new(segment_bytes as usize, &watch);
    let all_of_them: Vec<usize> = (0..solvers.len()).collect();
    let mut assembly = Assembly::new(blocks, solvers, &all_of_them, threads);
    // The first pass finds cold buffers.
    assembly.pass("pass", &engine, blocks, solvers)?;
    let (mut folding, mut all, mut timed) = (0.0, 0.0, 0);
    let began = Instant::now();
    while timed < PASSES || began.elapsed() < TIMED {
        assembly.pass("pass", &engine, blocks, solvers)?;
        folding += watch.last().as_secs_f64();
        all += solvers[0].trace().last().map_or(0.0, |row| row.seconds);
        timed += 1;
    }
    let mean = |sum: f64| sum / timed as f64;
    Ok((mean(folding), mean(all - folding).max(0.0)))
}

/// Stored entries of a tile.
pub(crate) fn entries_of(shape: &DataShape, rows: usize, nonzeros: u64) -> u64 {
    match shape.layout {
        Layout::Sparse => nonzeros,
        Layout::Dense => (rows * shape.genes) as u64,
    }
}

/// How much longer the blocks take than if every worker were busy to the end, because workers take
/// whole blocks.
pub(crate) fn uneven(blocks: usize, workers: usize) -> f64 {
    let blocks = blocks.max(1);
    (blocks.div_ceil(workers) * workers) as f64 / blocks as f64
}

/// Times a stage from its start to its end.
#[derive(Default)]
struct Stopwatch(Mutex<(Option<Instant>, Duration)>);

impl Stopwatch {
    fn last(&self) -> Duration {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).1
    }
}

impl Monitor for Stopwatch {
    fn start(&self, _stage: &str, _total: u64, _unit: Unit) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).0 = Some(Instant::now());
    }

    fn finish(&self) {
        let mut times = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        times.1 = times.0.map_or(Duration::ZERO, |began| began.elapsed());
    }
}
