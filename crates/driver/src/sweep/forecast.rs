//! A sweep foreseen, from a few rows of the matrix.
//!
//! The rows, with the selected genes alone, are packed as the copy of these genes will be. A sweep of some replicates
//! of these rows tells how many passes a replicate makes, and passes of the first wave over them how long one is:
//!
//! ```text
//! seconds of a wave = (folding of all its components + update of their H) · passes of a replicate
//! ```
//!
//! or the reads of its longest replicate, if these take longer. The forecast cannot see other load later, nor how many
//! replicates will meet; it leaves out the clustering of the spectra.

use std::sync::Arc;
use std::time::Instant;

use fixedbitset::FixedBitSet;
use partwise_storage::convert::{Excerpt, ExcerptTile};
use partwise_storage::store::{GeneMoments, Layout, PerMillion, SegmentBuf, copy_block_rows};
use partwise_storage::tile::TileError;
use partwise_storage::{Quiet, Store};

use super::{Cohort, Progress, Run, SweepConfig, SweepPlan, Watch, Wave};
use crate::blocks::{Blocks, Cut, FitData, Matrix, MemoryBlocks, PackedTile};
use crate::config::ScaleSpec;
use crate::engine::Engine;
use crate::error::DriverError;
use crate::hvg::{Overdispersion, highest};
use crate::nodes::summed_bytes;
use crate::probe::{PassTime, entries_of, time_passes, uneven};
use crate::scale::GeneScale;
use crate::shape::DataShape;

/// The most tiles that are taken from a store, and the entries after which no further tile is.
const TILES: usize = 8;
const ENTRIES: u64 = 2_000_000;
/// Replicates of a k that are made of the rows at hand, and the most different k.
const REPLICATES: usize = 6;
const KS: usize = 3;
/// The most components whose pass is timed; more are as much longer.
const TIMED: usize = 1024;

/// The time of a sweep, predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Forecast {
    /// Passes that a replicate makes, on average.
    pub passes: f64,
    /// Passes of the longest one.
    pub longest: usize,
    /// A pass of the first wave while all of its replicates go on.
    pub pass: PassTime,
    /// Bytes that each process gives to the sums of such a pass.
    pub summed_bytes: u64,
    /// Seconds of all waves.
    pub seconds: f64,
}

/// A few rows of the copy of the selected genes that a sweep makes.
pub struct CopiedRows {
    rows: Matrix,
    shape: DataShape,
    rate: Option<f64>,
    seconds: f64,
}

/// A few rows of a matrix.
pub struct Rows {
    blocks: MemoryBlocks,
    /// Of all rows.
    shape: DataShape,
    /// Sums of values per million over all rows, if they are known.
    sums: Option<Vec<PerMillion>>,
    /// Bytes a second at which they were read; `None` if they were not read from a store.
    rate: Option<f64>,
}

impl Rows {
    /// Some tiles of `store`, spread over its blocks.
    ///
    /// # Errors
    ///
    /// When a tile cannot be read or is damaged.
    pub fn of_store(store: &Store) -> Result<Self, DriverError> {
        let shape = DataShape::of_store(store)?;
        let count = TILES.min(store.blocks());
        let per_block = (TILES / count).min(store.block(0).tiles).max(1);
        let (mut tiles, mut entries, mut bytes) = (Vec::new(), 0, 0);
        let mut buf = SegmentBuf::new();
        let began = Instant::now();
        for at in 0..count {
            let block = (2 * at + 1) * store.blocks() / (2 * count);
            let range = 0..per_block.min(store.block(block).tiles);
            store.read_into(block, range.clone(), &mut buf)?;
            let segment = store.segment(block, range.clone(), &buf);
            for tile in range {
                let (packed, rows, nonzeros) = segment.packed(tile);
                (entries, bytes) = (entries + entries_of(&shape, rows, nonzeros), bytes + packed.len());
                tiles.push(PackedTile::copy(packed, rows, entries_of(&shape, rows, nonzeros)));
            }
            if entries >= ENTRIES {
                break;
            }
        }
        let rate = Some(bytes as f64 / began.elapsed().as_secs_f64().max(1e-9));
        let sums =
            if store.summary().integer { store.gene_per_million()? } else { Some(sums_of(store.gene_moments())) };
        Ok(Rows { blocks: blocks_of(&shape, tiles)?, shape, sums, rate })
    }

    /// The tiles of an excerpt.
    ///
    /// # Errors
    ///
    /// When a tile does not decode, which is a defect of the encoder.
    pub fn of_excerpt(excerpt: Excerpt) -> Result<Self, DriverError> {
        let shape = DataShape::from(&excerpt);
        let packed =
            |tile: ExcerptTile| PackedTile::new(tile.bytes, tile.rows, entries_of(&shape, tile.rows, tile.nonzeros));
        let tiles = excerpt.tiles.into_iter().map(packed).collect();
        Ok(Rows { blocks: blocks_of(&shape, tiles)?, shape, sums: None, rate: None })
    }

    /// The shape of the matrix.
    pub fn shape(&self) -> &DataShape {
        &self.shape
    }

    /// The rows of the copy of the `count` most overdispersed genes: of all rows where their sums are known,
    /// otherwise of these. `None` if no gene has a score, as where all values are zero.
    ///
    /// # Errors
    ///
    /// When a tile does not decode.
    pub fn copied(&self, count: usize) -> Result<Option<CopiedRows>, DriverError> {
        let kept = self.overdispersed(count).map_err(DriverError::Memory)?;
        if kept.is_clear() {
            return Ok(None);
        }
        let began = Instant::now();
        let rows = self.select(&kept).map_err(DriverError::Memory)?;
        let parts = self.shape.entries() as f64 / self.blocks.entries().max(1) as f64;
        let seconds = began.elapsed().as_secs_f64() * parts;
        let shape = shape_of_copy(&DataShape::of_data(&rows)?, &self.shape);
        Ok(Some(CopiedRows { rows, shape, rate: self.rate, seconds }))
    }

    /// The rows with the genes `kept` alone.
    fn select(&self, kept: &FixedBitSet) -> Result<Matrix, TileError> {
        let (rows, genes) = (self.blocks.cells(), kept.count_ones(..));
        let mut places = vec![None; kept.len()];
        kept.ones().enumerate().for_each(|(place, gene)| places[gene] = Some(place));
        if self.shape.layout == Layout::Dense {
            let mut values = vec![0.0; rows * genes];
            self.blocks.entries_of_all(|row, gene, value| {
                if let Some(place) = places[gene] {
                    values[row * genes + place] = value;
                }
            })?;
            return Ok(Matrix::from_dense(genes, &values).expect("values of a matrix"));
        }
        let mut indptr = vec![0; rows + 1];
        self.blocks.entries_of_all(|row, gene, _| indptr[row + 1] += usize::from(places[gene].is_some()))?;
        for row in 0..rows {
            indptr[row + 1] += indptr[row];
        }
        let (mut next, entries) = (indptr.clone(), indptr[rows]);
        let (mut indices, mut values) = (vec![0; entries], vec![0.0; entries]);
        self.blocks.entries_of_all(|row, gene, value| {
            if let Some(place) = places[gene] {
                (indices[next[row]], values[next[row]]) = (place as u32, value);
                next[row] += 1;
            }
        })?;
        Ok(Matrix::from_csr(genes, &indptr, &indices, &values).expect("rows of a matrix"))
    }

    fn overdispersed(&self, count: usize) -> Result<FixedBitSet, TileError> {
        let (sums, cells) = match &self.sums {
            Some(sums) => (sums.clone(), self.shape.cells),
            None => {
                let mut all = FixedBitSet::with_capacity(self.shape.genes);
                all.insert_range(..);
                let rows = self.select(&all)?;
                let sums =
                    if rows.holds_counts() { rows.sums_per_million().to_vec() } else { sums_of(rows.gene_moments()) };
                (sums, rows.cells())
            }
        };
        let mut kept = FixedBitSet::with_capacity(self.shape.genes);
        let found = Overdispersion::of(&sums, cells, None, true);
        highest(&found.scores, count).into_iter().for_each(|gene| kept.insert(gene));
        Ok(kept)
    }
}

/// The sums of values that are no counts, which are taken as they are.
fn sums_of(genes: &[GeneMoments]) -> Vec<PerMillion> {
    genes.iter().map(|gene| PerMillion { sum: gene.sum, sum_sq: gene.sum_sq }).collect()
}

fn blocks_of(shape: &DataShape, tiles: Vec<PackedTile>) -> Result<MemoryBlocks, DriverError> {
    // A lower tile can only be the last of a matrix.
    let (whole, lower): (Vec<_>, Vec<_>) = tiles.into_iter().partition(|tile| tile.rows() == shape.tile_rows);
    let tiles = if whole.is_empty() { lower } else { whole };
    let cut = Cut { layout: shape.layout, genes: shape.genes, tile_rows: shape.tile_rows, tiles_per_block: 1 };
    MemoryBlocks::new(cut, tiles.into_iter().map(Arc::new).collect(), None).map_err(DriverError::Memory)
}

impl CopiedRows {
    /// The whole copy, predicted. It has fewer genes than asked for if only so many have values.
    pub fn shape(&self) -> &DataShape {
        &self.shape
    }

    /// Seconds in which `threads` threads make the copy.
    pub fn seconds(&self, threads: usize) -> f64 {
        self.seconds / threads.max(1) as f64
    }

    /// Predicts the sweep `config`, whose cohorts the `plan` is of.
    ///
    /// Costs a second or so, and the memory of the first wave.
    ///
    /// # Errors
    ///
    /// As a sweep, and when the system gives no threads.
    pub fn forecast(mut self, config: &SweepConfig, plan: &SweepPlan) -> Result<Forecast, DriverError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(plan.threads).build();
        let pool = pool.map_err(|error| DriverError::Threads { message: error.to_string() })?;
        let tiles = self.rows.cells().div_ceil(self.rows.blocks().tile_rows());
        self.rows = self.rows.cut_into(tiles.div_ceil(plan.threads));
        let (rows, copy) = (&self.rows, &self.shape);
        let made = pool.install(|| made(rows, config, plan))?;
        let passes = made.iter().sum::<usize>() as f64 / made.len().max(1) as f64;
        let longest = made.into_iter().max().unwrap_or(0);

        let cohorts: Vec<Cohort> = config.cohorts().collect();
        let first = &cohorts[plan.waves[0].clone()];
        let timed = timed(first);
        let (folding, update) = pool.install(|| time_wave(rows, timed, config, plan))?;
        let more = components(first) / components(timed);
        // Workers take whole blocks: of the rows at hand, there may be fewer than workers.
        let idle = rows.blocks().blocks().min(plan.threads) as f64 / plan.threads as f64;
        let parts = copy.entries() as f64 / rows.blocks().entries().max(1) as f64;
        let (folding, update) = (folding * more * idle * parts * uneven(copy.blocks(), plan.threads), update * more);
        let reading = self.rate.map_or(0.0, |rate| plan.read_bytes(copy) as f64 / rate);
        let pass = PassTime { seconds: folding.max(reading) + update, folding, reading, update, rate: self.rate };

        let computing = passes * (folding + update) * components(&cohorts) / components(first);
        let reading = longest as f64 * reading * plan.waves.len() as f64;
        let ks = first.iter().flat_map(|cohort| std::iter::repeat_n(cohort.k, cohort.len));
        let summed_bytes = summed_bytes(copy.genes, ks);
        Ok(Forecast { passes, longest, pass, summed_bytes, seconds: computing.max(reading) })
    }
}

/// How the copy of the selected genes of a matrix of this `shape` will look, of which there is a `sample`.
fn shape_of_copy(sample: &DataShape, shape: &DataShape) -> DataShape {
    let scaled = |of_rows: u64| (of_rows as f64 * shape.cells as f64 / sample.cells.max(1) as f64).ceil() as u64;
    let block_rows = copy_block_rows(shape.cells, shape.tile_rows);
    let tiles = block_rows.min(shape.cells).div_ceil(shape.tile_rows) as u64;
    let packed_bytes = scaled(sample.packed_bytes);
    DataShape {
        cells: shape.cells,
        nonzeros: scaled(sample.nonzeros),
        tile_rows: shape.tile_rows,
        block_rows,
        packed_bytes,
        max_block_bytes: (tiles * sample.max_tile_bytes).min(packed_bytes),
        own_cells: shape.cells,
        own_bytes: packed_bytes,
        ..*sample
    }
}

/// Passes of each replicate of a small sweep: of the least, the middle and the largest k.
fn made(sample: &Matrix, config: &SweepConfig, plan: &SweepPlan) -> Result<Vec<usize>, DriverError> {
    let most = sample.cells().min(sample.genes());
    let mut ks: Vec<usize> = config.ks.iter().copied().filter(|&k| k <= most).collect();
    ks.sort_unstable();
    let at = |part: usize| ks.get(part * ks.len().saturating_sub(1) / (KS - 1)).copied();
    let mut chosen: Vec<usize> = (0..KS).filter_map(at).collect();
    chosen.dedup();
    let cohorts: Vec<Cohort> = chosen.iter().map(|&k| Cohort::new(k, 0, config.replicates.min(REPLICATES))).collect();
    let found = wave(sample, &cohorts, config, &quiet(plan), plan).run()?;
    Ok(found.iter().flatten().map(|replicate| replicate.passes).collect())
}

/// Seconds of the fold and of the update of H in a pass of all replicates of `cohorts`.
fn time_wave(
    sample: &Matrix,
    cohorts: &[Cohort],
    config: &SweepConfig,
    plan: &SweepPlan,
) -> Result<(f64, f64), DriverError> {
    let endless = SweepConfig { max_passes: usize::MAX, tol: 0.0, ..config.clone() };
    let scale = GeneScale::new(ScaleSpec::Std, sample.gene_moments(), sample.cells());
    let mut solvers = wave(sample, cohorts, &endless, &quiet(plan), plan).begin(&scale)?.1;
    time_passes(sample.blocks(), plan.segment_bytes, plan.threads, &mut solvers)
}

fn wave<'w>(
    sample: &'w Matrix,
    cohorts: &'w [Cohort],
    config: &'w SweepConfig,
    engine: &'w Engine<'w>,
    plan: &'w SweepPlan,
) -> Wave<'w> {
    Wave { data: sample, cohorts, config, run: Run { engine, plan, checkpoint: None, watch: &Unwatched } }
}

/// Nobody is shown a sample.
struct Unwatched;

impl Watch for Unwatched {
    fn stage(&self, _: Progress) -> String {
        String::new()
    }
}

fn quiet(plan: &SweepPlan) -> Engine<'static> {
    Engine::new(plan.segment_bytes as usize, &Quiet)
}

/// The first cohorts of a wave whose passes are timed.
fn timed(wave: &[Cohort]) -> &[Cohort] {
    let fits = |&end: &usize| end == 1 || components(&wave[..end]) <= TIMED as f64;
    &wave[..(1..=wave.len()).take_while(fits).last().unwrap_or(wave.len())]
}

fn components(cohorts: &[Cohort]) -> f64 {
    cohorts.iter().map(|cohort| cohort.k * cohort.len).sum::<usize>() as f64
}
