//! The decisions before a byte is read: directions, threads, buffers, and the memory of all of it.
//!
//! Directions follow from the settings and the shape of the data alone, because they shape the bits. The
//! rest follows from the machine as well. The count is of memory that becomes resident:
//!
//! ```text
//! always   the process when the plan is made, code that it touches later, tables, workers, the mapped
//!          store or the blocks that stay in memory
//! axes     buffers of the workers, the Krylov space, the sums and shares of a product; or the sum of the
//!          Gram matrix with its shares, or with the covariance
//! scores   buffers of the workers, the axes, and the HDF5 library, which copies names and columns
//! ```

use partwise_kernels::{FactorBuf, stride};
use partwise_storage::store::Layout;

use super::cost::Work;
use super::{MethodSpec, PcaConfig, PcaModel, TargetSum, basis, gram};
use crate::compute::centred::{self, CentredSums};
use crate::compute::{logarithms, row_table};
use crate::config::ScaleSpec;
use crate::engine::SEGMENTS;
use crate::error::{ConfigError, LowerBlocks};
use crate::plan::SEGMENT_BYTES;
use crate::plan::peak::{
    BYTES_PER_GENE, COLUMNS_BYTES, COLUMNS_BYTES_PER_CELL, DENSE_WORKER_BYTES, LATER_BYTES, LEAST_MARGIN, MARGIN,
    RESULT_BYTES, TABLE_BYTES_PER_TILE, WORKER_BYTES,
};
use crate::products::Decoder;
use crate::shape::{DataShape, HDF5_BYTES, Machine, RESIDENT};
use crate::subset::Subset;

/// Reads of all of X at most, with those for a subset, for logarithms and for the scores.
const PASSES: usize = 8;
/// Products with the covariance at most.
const STEPS: usize = 6;
/// Products at least.
const LEAST_STEPS: usize = 3;
/// Directions of all products together, unless that leaves too few products: the eigenvectors of a
/// matrix of this size take seconds.
const DIRECTIONS: usize = 1536;
/// Directions beyond the components, or half as many as components if that is more.
const SPARE: usize = 24;
/// Genes up to which all of them are directions.
const EXACT_GENES: usize = 512;
/// Values of such directions at most, over all genes of the data.
const EXACT_VALUES: usize = 1 << 20;
/// Means and factors of one gene, and its sums in logarithms with their shares.
const BYTES_PER_GENE_HERE: u64 = 112;

/// How components are computed; none of it shows in a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PcaExecution {
    /// Compute threads.
    pub threads: usize,
    /// Compute threads wanted.
    pub threads_wanted: usize,
    /// Bytes read at once.
    pub segment_bytes: u64,
    /// Whether the store is small enough to be mapped into memory as a whole.
    pub map_store: bool,
    /// Bytes of packed blocks that the first pass reads and keeps in memory.
    pub pinned_bytes: u64,
    /// Bytes of packed blocks after these that are left to the system's page cache.
    pub cached_bytes: u64,
    /// Predicted peak of resident bytes.
    pub peak_bytes: u64,
    /// The budget.
    pub memory: u64,
}

/// Principal components, decided. Made by [`PcaConfig::plan`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PcaPlan {
    /// All that shapes their bits.
    pub model: PcaModel,
    /// How they are computed.
    pub execution: PcaExecution,
}

impl PcaConfig {
    /// Decides how to carry out these settings on a matrix of this shape with this machine, for all of
    /// it or a part. Pure: reads nothing.
    ///
    /// # Errors
    ///
    /// - [`ConfigError::Components`]: there are none, or more than cells or genes.
    /// - [`ConfigError::Empty`]: all values are zero.
    /// - [`ConfigError::Number`], [`ConfigError::Zero`]: a setting out of range.
    /// - [`ConfigError::Memory`]: not even one thread with the smallest buffers fits; states the
    ///   minimum.
    pub fn plan(&self, shape: &DataShape, subset: Option<&Subset>, machine: &Machine) -> Result<PcaPlan, ConfigError> {
        let (cells, genes) =
            subset.map_or((shape.cells, shape.genes), |subset| (subset.cell_count(), subset.gene_count()));
        match (shape.nonzeros, subset) {
            (0, _) => return Err(ConfigError::Empty { cells, genes }),
            (_, Some(subset)) if subset.nonzeros() == 0 => return Err(ConfigError::NothingKept { cells, genes }),
            _ => (),
        }
        let most = cells.min(genes);
        if self.components == 0 || self.components > most {
            return Err(ConfigError::Components { k: self.components, cells, genes, most });
        }
        if let Some(TargetSum::Sum(sum)) = self.log1p
            && !(sum.is_finite() && sum > 0.0)
        {
            return Err(ConfigError::Number { name: "the sum that cells are scaled to", value: sum });
        }
        if machine.threads == 0 {
            return Err(ConfigError::Zero { name: "threads" });
        }
        let nonzeros = subset.map_or(shape.nonzeros, Subset::nonzeros);
        let model = self.model(shape, (cells, genes), nonzeros, subset.map_or(0, Subset::reads));
        let execution = execution(&Sizes { shape, machine, model: &model, kept: genes })?;
        Ok(PcaPlan { model, execution })
    }

    fn model(&self, shape: &DataShape, (cells, genes): (usize, usize), nonzeros: u64, reads: usize) -> PcaModel {
        let c = self.components;
        // Lanes that are there anyway are used. More directions than cells find nothing.
        let wide = stride(c + SPARE.max(c / 2)).min(genes).min(cells).max(c);
        let exact = genes <= wide || (genes <= EXACT_GENES && genes * shape.genes <= EXACT_VALUES);
        let directions = if exact { genes } else { wide };
        let others = 1 + reads + usize::from(self.log1p.is_some());
        let most = (DIRECTIONS / directions).clamp(LEAST_STEPS, STEPS).min(PASSES - others.min(PASSES - 1));
        let steps = if exact { 1 } else { most };
        let gram = match self.method {
            MethodSpec::Gram => true,
            MethodSpec::Krylov => false,
            MethodSpec::Auto => Work { shape, genes, nonzeros, directions, steps }.gram_is_faster(),
        };
        PcaModel { config: self.clone(), gram, directions, exact, steps }
    }
}

/// Sizes from which the peak is added up.
#[derive(Clone, Copy)]
struct Sizes<'p> {
    shape: &'p DataShape,
    machine: &'p Machine,
    model: &'p PcaModel,
    /// Genes that are kept.
    kept: usize,
}

/// The parts that are in memory, and the buffers for the others.
#[derive(Debug, Clone, Copy)]
struct Held {
    threads: usize,
    segment: u64,
    mapped: bool,
    pinned: u64,
}

fn execution(sizes: &Sizes<'_>) -> Result<PcaExecution, ConfigError> {
    let Sizes { shape, machine, .. } = *sizes;
    let smallest = shape.max_tile_bytes;
    let fits = |held: Held| sizes.peak(held) <= machine.memory;
    let wanted = machine.threads.min(shape.own_blocks().max(1));
    let streamed = |threads, segment| Held { threads, segment, mapped: false, pinned: 0 };
    let threads = (1..=wanted).rev().find(|&threads| fits(streamed(threads, smallest)));
    let threads = threads.ok_or_else(|| ConfigError::Memory {
        budget: machine.memory,
        needed: sizes.smallest(),
        lower_blocks: sizes.lower_blocks(),
    })?;
    let segments = [SEGMENT_BYTES, SEGMENT_BYTES / 4, 0].map(|bytes| bytes.max(smallest));
    let segment = segments.into_iter().find(|&segment| fits(streamed(threads, segment))).unwrap_or(smallest);
    let held = streamed(threads, segment);
    let mapped = machine.maps && fits(Held { mapped: true, ..held });
    let held = Held { mapped, ..held };
    let free = machine.memory.saturating_sub(sizes.peak(held));
    // With the margin that they add, and the rounding of two divisions.
    let pinned = (free - free / MARGIN).saturating_sub(1 << 10).min(shape.own_bytes);
    let held = Held { pinned: if mapped { 0 } else { pinned }, ..held };
    Ok(PcaExecution {
        threads,
        threads_wanted: machine.threads,
        segment_bytes: segment,
        map_store: mapped,
        pinned_bytes: held.pinned,
        cached_bytes: machine.cache,
        peak_bytes: sizes.peak(held),
        memory: machine.memory,
    })
}

impl Sizes<'_> {
    fn smallest(&self) -> u64 {
        self.peak(Held { threads: 1, segment: self.shape.max_tile_bytes, mapped: false, pinned: 0 })
    }

    /// The tallest blocks with which the smallest peak would be lower by a twentieth, or the lowest
    /// possible ones, and that peak: the scores in hand are those of a block.
    fn lower_blocks(&self) -> Option<LowerBlocks> {
        let (now, tile) = (self.smallest(), self.shape.tile_rows);
        let halved = |rows: usize| rows / 2 / tile * tile;
        let heights = std::iter::successors(Some(halved(self.shape.block_rows)), |&rows| Some(halved(rows)));
        let lower = heights.take_while(|&rows| rows >= tile).map(|block_rows| {
            let shape = DataShape { block_rows, ..*self.shape };
            LowerBlocks { block_rows, needed: Sizes { shape: &shape, ..*self }.smallest() }
        });
        let lower: Vec<_> = lower.filter(|lower| lower.needed + LEAST_MARGIN <= now).collect();
        lower.iter().find(|lower| lower.needed <= now - now / 20).or(lower.last()).copied()
    }

    fn peak(&self, held: Held) -> u64 {
        let (shape, model) = (self.shape, self.model);
        let (genes, c, l) = (shape.genes, model.config.components, model.directions);
        let threads = held.threads as u64;
        let tables = TABLE_BYTES_PER_TILE * shape.tiles() + (BYTES_PER_GENE + BYTES_PER_GENE_HERE) * genes as u64;
        // Digests of the blocks.
        let tables = tables + 32 * shape.blocks() as u64;
        let segment = held.segment.min(shape.max_block_bytes);
        let (mapped, buffers) = match held.mapped {
            true => (shape.own_bytes, 0),
            false => (held.pinned, (held.threads * SEGMENTS) as u64 * segment),
        };
        let block_rows = shape.block_rows.min(shape.cells);
        let mut worker = WORKER_BYTES + Decoder::bytes(genes, shape.max_tile_nonzeros);
        if shape.layout == Layout::Dense {
            worker += DENSE_WORKER_BYTES;
        }
        if model.config.log1p.is_some() {
            worker += logarithms::bytes(block_rows) + Decoder::logarithm_bytes(shape.tile_rows, genes, shape.layout);
        }
        let scaled = model.config.scale == ScaleSpec::Std || shape.leaves_out_genes;
        let factor = |columns: usize| FactorBuf::bytes(genes, columns);
        let axes = basis::bytes(genes, l, model.steps, held.threads)
            + CentredSums::bytes(genes, l)
            + if scaled { factor(l) } else { 0 }
            + threads * centred::Local::bytes(genes, shape.tile_rows, l);
        let tile = match shape.layout {
            Layout::Sparse => shape.max_tile_nonzeros,
            Layout::Dense => shape.tile_rows * self.kept,
        };
        let axes = match model.gram {
            true => axes.max(gram::bytes((self.kept, genes), (block_rows, tile), model, held.threads)),
            false => axes,
        };
        // The axes, those of the genes that are kept, those scaled, and a copy without padding.
        let columns = (COLUMNS_BYTES_PER_CELL * shape.cells as u64).min(COLUMNS_BYTES);
        // The scores of a block, once more if some are left out.
        let local = row_table::Local::bytes(block_rows, shape.tile_rows, c) + 4 * (block_rows * c) as u64;
        let scores = RESULT_BYTES + columns + 4 * factor(c) + 16 * (c * c) as u64 + threads * local;
        let resident = self.machine.resident;
        let with_hdf5 = resident.max(RESIDENT + HDF5_BYTES);
        let stage = (resident + axes).max(with_hdf5 + scores);
        let peak = LATER_BYTES + tables + mapped + buffers + threads * worker + stage;
        peak + (peak / MARGIN).max(LEAST_MARGIN)
    }
}
