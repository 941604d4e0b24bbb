//! How long a pass will take: a few tiles go through the real kernels, on the plan's threads.
//!
//! A pass is the tiles of all blocks on all lanes, then the update of H on its own:
//!
//! ```text
//! seconds = max(folding · entries of X / entries of the probe, bytes read / rate of the disk) + update of H
//! ```
//!
//! with the first quotient rounded up to whole blocks a lane where there are few of them. What the probe cannot see:
//! other load later, a disk that slows down, and how many entries of W end at zero.

use std::ops::Range;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aligned_vec::{AVec, ConstAlign};
use partwise_storage::convert::Excerpt;
use partwise_storage::store::{BlockInfo, Layout, SegmentBuf, Store};
use partwise_storage::tile::{DenseTile, RunBatch, SparseTile, Tile, TileError};
use partwise_storage::{Monitor, Unit};

use super::{DataShape, Plan};
use crate::config::ScaleSpec;
use crate::data::Blocks;
use crate::engine::Engine;
use crate::error::DriverError;
use crate::init;
use crate::scale::GeneScale;
use crate::solve::{Factorization, Limits, Standing};
use crate::usages::{Usages, UsagesPlace, UsagesStart};

/// Entries of a probe for each thread, times k: so many take about 20 ms.
const WORK: u64 = 60_000_000;
/// Entries of a probe for each thread at most: 2 MiB or so of counts.
const ENTRIES: u64 = 2_000_000;
/// Passes over the probe are timed for so long, and their mean counts: the fastest one would be one that no other work on
/// the machine interrupted, and a pass over all of X is interrupted for sure.
const TIMED: Duration = Duration::from_millis(150);
/// So many passes at least.
const PASSES: usize = 3;

/// Some tiles of a matrix, in memory, as a matrix of their own.
#[derive(Debug)]
pub struct Probe {
    layout: Layout,
    genes: usize,
    tile_rows: usize,
    /// Tiles of a block.
    height: usize,
    tiles: Vec<ProbeTile>,
    gene_sq_norms: Vec<f64>,
    /// Bytes a second at which the tiles were read; `None` where they were not read from a store.
    rate: Option<f64>,
}

#[derive(Debug)]
struct ProbeTile {
    bytes: AVec<u8, ConstAlign<64>>,
    rows: usize,
    nonzeros: u64,
}

/// What a pass is foreseen to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PassTime {
    /// All of it, seconds.
    pub seconds: f64,
    /// Arithmetic on the blocks, decoding included, seconds.
    pub folding: f64,
    /// Reading what is not kept in memory, at the rate that the probe was read with, seconds.
    pub reading: f64,
    /// The update of H after it, seconds.
    pub update: f64,
    /// Bytes a second that the probe was read with; `None` where it was not read from a store.
    pub rate: Option<f64>,
}

impl Probe {
    /// Reads tiles of `store`, spread over its blocks: a few MiB for each thread of the plan.
    ///
    /// # Errors
    ///
    /// When a tile cannot be read or is damaged.
    pub fn of_store(store: &Store, plan: &Plan) -> Result<Self, DriverError> {
        let shape = DataShape::from(store);
        let tile_entries = (shape.entries() / shape.tiles().max(1)).max(1);
        let blocks = plan.threads.min(store.blocks());
        let wanted = (WORK / plan.k.max(1) as u64).min(ENTRIES) / tile_entries;
        let height = (wanted as usize).clamp(1, (store.block_rows() / store.tile_rows()).max(1));
        let (mut tiles, mut bytes) = (Vec::new(), 0);
        let mut buf = SegmentBuf::with_capacity(height * store.max_tile_bytes());
        let mut reading = Duration::ZERO;
        for lane in 0..blocks {
            // The middle of its share of the blocks; the last block may be shorter than the others.
            let block = ((2 * lane + 1) * store.blocks() / (2 * blocks)).min(store.blocks().saturating_sub(2));
            let range = 0..height.min(store.block(block).tiles);
            let began = Instant::now();
            store.read_into(block, range.clone(), &mut buf)?;
            reading += began.elapsed();
            let segment = store.segment(block, range.clone(), &buf);
            for tile in range {
                let (packed, rows, nonzeros) = segment.packed(tile);
                bytes += packed.len();
                tiles.push(ProbeTile { bytes: aligned(packed), rows, nonzeros });
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
            .map(|tile| ProbeTile { bytes: tile.bytes, rows: tile.rows, nonzeros: tile.nonzeros })
            .collect();
        let most = (excerpt.block_rows / excerpt.tile_rows).max(1);
        Probe::new(&shape, (tiles.len() / plan.threads).clamp(1, most), tiles, None)
    }

    /// Tiles of a lower height, such as the last one of a matrix, are left out where there are others, and so are blocks of
    /// a lower one.
    fn new(
        shape: &DataShape,
        height: usize,
        mut tiles: Vec<ProbeTile>,
        rate: Option<f64>,
    ) -> Result<Self, DriverError> {
        if tiles.iter().any(|tile| tile.rows == shape.tile_rows) {
            tiles.retain(|tile| tile.rows == shape.tile_rows);
        } else {
            tiles.truncate(1);
        }
        let height = height.min(tiles.len());
        tiles.truncate(tiles.len() / height.max(1) * height);
        let (layout, genes, tile_rows) = (shape.layout, shape.genes, shape.tile_rows);
        let mut probe = Probe { layout, genes, tile_rows, height, tiles, gene_sq_norms: Vec::new(), rate };
        probe.gene_sq_norms = probe.square_genes()?;
        Ok(probe)
    }

    /// Σ x_ij² over the rows of the probe, which the sums need for their bounds.
    fn square_genes(&self) -> Result<Vec<f64>, DriverError> {
        let mut squares = vec![0.0; self.genes];
        let mut batch = RunBatch::new();
        for tile in &self.tiles {
            match self.parse(tile).map_err(DriverError::Sample)? {
                Tile::Sparse(tile) => {
                    let mut runs = tile.runs();
                    while runs.next_batch(&mut batch).map_err(DriverError::Sample)? {
                        let starts = std::iter::once(&0).chain(&batch.ends);
                        for ((&gene, &start), &end) in batch.genes.iter().zip(starts).zip(&batch.ends) {
                            let values = &batch.values[start as usize..end as usize];
                            squares[gene as usize] += values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
                        }
                    }
                }
                Tile::Dense(tile) => {
                    for row in tile.values.chunks_exact(self.genes) {
                        squares.iter_mut().zip(row).for_each(|(square, &x)| *square += f64::from(x).powi(2));
                    }
                }
            }
        }
        Ok(squares)
    }

    fn parse<'a>(&self, tile: &'a ProbeTile) -> Result<Tile<'a>, TileError> {
        Ok(match self.layout {
            Layout::Sparse => Tile::Sparse(SparseTile::parse(&tile.bytes, tile.rows, self.genes, tile.nonzeros)?),
            Layout::Dense => Tile::Dense(DenseTile::parse(&tile.bytes, tile.rows, self.genes)?),
        })
    }

    /// Runs passes over the probe and tells how long one over a matrix of this shape will take.
    ///
    /// Costs a fifth of a second, more where k is large, and the memory of a fit of the probe.
    ///
    /// # Errors
    ///
    /// When the tiles do not decode, or the system gives no threads.
    pub fn pass_time(&self, plan: &Plan, shape: &DataShape) -> Result<PassTime, DriverError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(plan.pool_threads)
            .build()
            .map_err(|error| DriverError::Threads { message: error.to_string() })?;
        let (folding, update) = pool.install(|| self.run(plan))?;
        // Lanes take whole blocks: with few of them, some lanes stand still at the end.
        let uneven = uneven(shape.blocks(), plan.threads);
        // Fewer blocks than lanes in the probe: it ran on that many.
        let lanes = plan.threads as f64;
        let idle = (self.blocks() as f64).min(lanes) / lanes;
        let folding = folding * idle * uneven * shape.entries() as f64 / self.entries().max(1) as f64;
        let reading = self.rate.map_or(0.0, |rate| plan.read_bytes() as f64 / rate);
        Ok(PassTime { seconds: folding.max(reading) + update, folding, reading, update, rate: self.rate })
    }

    /// Seconds of the fold and of the update of H in a pass, on average.
    fn run(&self, plan: &Plan) -> Result<(f64, f64), DriverError> {
        let watch = Stopwatch::default();
        let engine = Engine::new(plan.segment_bytes as usize, &watch);
        let scale = GeneScale::new(ScaleSpec::None, &[], self.cells());
        let spectra = init::random(self.genes, plan.k, 1.0, plan.seed);
        let start = UsagesStart::Uniform { scale: 1.0, seed: plan.seed };
        let usages = Usages::new(self.cells(), plan.k, self.block_rows(), &UsagesPlace::Memory, start)?;
        let standing = Standing::start(spectra, plan.rules.extrapolate);
        let mut fit = Factorization::new(self, &scale, plan.rules, standing, usages, plan.threads);
        let (mut folding, mut all, mut timed) = (0.0, 0.0, 0);
        let began = Instant::now();
        let mut trace = Vec::new();
        for passes in 1.. {
            fit.run(&engine, Limits { passes, tol: 0.0, residual: true }, 0, &mut trace, &mut |_, trace| {
                // The first one finds cold buffers.
                if let [_, .., row] = trace {
                    folding += watch.last().as_secs_f64();
                    all += row.seconds;
                    timed += 1;
                }
                Ok(())
            })?;
            if timed >= PASSES && began.elapsed() >= TIMED {
                break;
            }
        }
        let mean = |sum: f64| sum / timed as f64;
        Ok((mean(folding), mean(all - folding).max(0.0)))
    }
}

/// How much longer the blocks take than if every lane were busy to the end: lanes take whole blocks.
pub(super) fn uneven(blocks: usize, lanes: usize) -> f64 {
    let blocks = blocks.max(1);
    (blocks.div_ceil(lanes) * lanes) as f64 / blocks as f64
}

fn aligned(bytes: &[u8]) -> AVec<u8, ConstAlign<64>> {
    let mut copy = AVec::with_capacity(64, bytes.len());
    copy.extend_from_slice(bytes);
    copy
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

impl Blocks for Probe {
    fn cells(&self) -> usize {
        self.tiles.iter().map(|tile| tile.rows).sum()
    }
    fn genes(&self) -> usize {
        self.genes
    }
    fn entries(&self) -> u64 {
        match self.layout {
            Layout::Sparse => self.tiles.iter().map(|tile| tile.nonzeros).sum(),
            Layout::Dense => (self.cells() * self.genes) as u64,
        }
    }
    fn layout(&self) -> Layout {
        self.layout
    }
    fn blocks(&self) -> usize {
        self.tiles.len() / self.height.max(1)
    }
    fn block_rows(&self) -> usize {
        self.height * self.tile_rows
    }
    fn tile_rows(&self) -> usize {
        self.tile_rows
    }
    fn block(&self, block: usize) -> BlockInfo {
        let tiles = &self.tiles[block * self.height..(block + 1) * self.height];
        BlockInfo {
            first_row: block * self.block_rows(),
            rows: tiles.iter().map(|tile| tile.rows).sum(),
            tiles: tiles.len(),
            bytes: tiles.iter().map(|tile| tile.bytes.len()).sum(),
            nonzeros: tiles.iter().map(|tile| tile.nonzeros).sum(),
        }
    }
    fn tile_bytes(&self, block: usize, tile: usize) -> usize {
        self.tiles[block * self.height + tile].bytes.len()
    }
    fn gene_sq_norms(&self) -> &[f64] {
        &self.gene_sq_norms
    }
    fn row_weights(&self, _block: usize) -> Option<&[f32]> {
        None
    }
    fn resident(&self) -> bool {
        true
    }
    fn fetch(&self, _block: usize, _tiles: Range<usize>, _buf: &mut SegmentBuf) -> Result<(), DriverError> {
        Ok(())
    }
    fn tile<'a>(
        &'a self,
        block: usize,
        _tiles: Range<usize>,
        tile: usize,
        _buf: &'a SegmentBuf,
    ) -> Result<Tile<'a>, DriverError> {
        self.parse(&self.tiles[block * self.height + tile]).map_err(DriverError::Sample)
    }
    fn damaged(&self, _block: usize, _tile: usize, error: TileError) -> DriverError {
        DriverError::Sample(error)
    }
}
