//! How much memory a fit takes, added up before it starts.
//!
//! A fit is a row of stages, and the memory of one is given back before the next: the peak is the largest of them, not
//! their sum. What is counted is what becomes resident:
//!
//! ```text
//! always   what the process had when the plan was made, code that it touches later, tables, lanes, the mapped store
//! start    gather the sample (buffers of the lanes, rows)  |  pack it (rows, packed tiles, an encoder)
//!          |  fit it (packed tiles, starts, a factorization)
//! passes   buffers of the lanes, a factorization, W in two generations, the blocks that stay in memory
//! result   W, H, and what the HDF5 library takes to write them; the store is mapped no more
//! ```
//!
//! Measured against `VmHWM` by the test `foresight` of the program.

use partwise_kernels::stride;
use partwise_storage::store::Layout;
use partwise_storage::tile::TILE_ROWS;

use super::caps::sample_caps;
use super::shape::{DataShape, HDF5_BYTES, Machine, RESIDENT};
use crate::compute::factorize::Local;
use crate::engine::SEGMENTS;
use crate::error::LowerBlocks;
use crate::exact::ExactSum;
use crate::init::widest;
use crate::sample::BLOCK_ROWS;
use crate::spectra::{GENE_CHUNK, gram_bytes};

/// Code that a fit touches first when it runs, the pool's threads, and what the allocator does not give back.
const LATER_BYTES: u64 = 6 << 19;
/// Stack pages, channel and allocator slack of one lane (two threads).
const LANE_BYTES: u64 = 192 << 10;
/// What the dense products pack of their operands, for each thread.
const DENSE_LANE_BYTES: u64 = 512 << 10;
/// One part in so many is added to the sum: pages of code differ from run to run, and pieces of the heap stay in use.
const MARGIN: u64 = 50;
/// A tile's entries in the block table.
const TABLE_BYTES_PER_TILE: u64 = 32;
/// Moments and squared norms of one gene.
const BYTES_PER_GENE: u64 = 56;
/// What it takes to write a small result.
const RESULT_BYTES: u64 = 5 << 19;
/// Its chunk caches and buffers grow with the columns copied, up to so much.
const COLUMNS_BYTES: u64 = 6 << 20;
const COLUMNS_BYTES_PER_CELL: u64 = 128;
/// Bytes an entry that packing a tile of the sample takes: as rows, sorted, packed.
const PACKING_BYTES: u64 = 22;

/// Sizes from which the peak is added up.
#[derive(Clone, Copy)]
pub(super) struct Sizes<'p> {
    pub(super) shape: &'p DataShape,
    pub(super) machine: &'p Machine,
    /// Components.
    pub(super) k: usize,
    /// Whether genes are scaled, which takes one more copy of H.
    pub(super) scaled: bool,
    /// Whether the fit starts from a sample.
    pub(super) sampled: bool,
    /// Full passes at most: W has one generation in the first and two from then on.
    pub(super) passes: usize,
}

/// What is in memory, and how the rest comes there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) threads: usize,
    /// Threads of loops over genes: as many, or more where there are fewer blocks than threads.
    pub(super) pool: usize,
    /// Bytes of a segment.
    pub(super) segment: u64,
    pub(super) usages: bool,
    pub(super) mapped: bool,
    /// Bytes of packed blocks that stay in memory from the first pass on.
    pub(super) pinned: u64,
}

impl Sizes<'_> {
    /// The smallest piece that can be read at once: a tile.
    pub(super) fn smallest_segment(&self) -> u64 {
        self.shape.max_tile_bytes
    }

    /// The smallest peak: one thread, one tile at a time, W on disk.
    pub(super) fn smallest(&self) -> u64 {
        let segment = self.smallest_segment();
        self.peak(Held { threads: 1, pool: 1, segment, usages: false, mapped: false, pinned: 0 })
    }

    /// The tallest blocks with which the smallest peak would be lower by a twentieth, or the lowest ones there can be, and
    /// that peak: the rows of W in hand are those of a block. `None` where that changes nothing.
    pub(super) fn lower_blocks(&self) -> Option<LowerBlocks> {
        let now = self.smallest();
        let tile = self.shape.tile_rows;
        let heights =
            std::iter::successors(Some(self.shape.block_rows / 2 / tile * tile), |rows| Some(rows / 2 / tile * tile));
        let lower = heights.take_while(|&rows| rows >= tile).map(|block_rows| {
            let shape = DataShape { block_rows, ..*self.shape };
            LowerBlocks { block_rows, needed: Sizes { shape: &shape, ..*self }.smallest() }
        });
        let lower: Vec<_> = lower.filter(|lower| lower.needed < now).collect();
        lower.iter().find(|lower| lower.needed <= now - now / 20).or(lower.last()).copied()
    }

    /// Peak resident bytes: what is always there, and the largest of start, passes and result.
    pub(super) fn peak(&self, held: Held) -> u64 {
        let shape = self.shape;
        let tables =
            TABLE_BYTES_PER_TILE * shape.cells.div_ceil(shape.tile_rows) as u64 + BYTES_PER_GENE * shape.genes as u64;
        let resident = self.machine.resident;
        // A segment does not reach beyond its block.
        let segment = held.segment.min(shape.max_block_bytes);
        let lane = match shape.layout {
            Layout::Sparse => LANE_BYTES,
            Layout::Dense => LANE_BYTES + DENSE_LANE_BYTES,
        };
        let idle = (held.pool - held.threads) as u64;
        let lanes = held.threads as u64 * lane + idle * (LANE_BYTES / 2 + self.step());
        let (mapped, buffers) = match held.mapped {
            true => (shape.own_bytes, 0),
            false => (0, (held.threads * SEGMENTS) as u64 * segment),
        };
        let generation = if held.usages { 4 * (shape.own_cells * self.k) as u64 } else { 0 };

        let generations = self.passes.clamp(1, 2) as u64;
        let passes = buffers
            + self.factorization(
                held.threads,
                shape.block_rows.min(shape.cells),
                shape.tile_rows,
                shape.max_tile_nonzeros,
            )
            + generations * generation
            + held.pinned;
        let start = if self.sampled { self.start(held.threads, buffers) } else { 0 };
        let fit = resident + mapped + lanes + passes.max(start);
        // A process that has read with the library has its code already.
        let result = resident.max(RESIDENT + HDF5_BYTES) + generation + self.result();
        let peak = LATER_BYTES + tables + fit.max(result);
        peak + peak / MARGIN
    }

    /// Bytes of blocks that can stay in memory beside what is `held`: what the passes leave of the budget.
    pub(super) fn room(&self, held: Held) -> u64 {
        let without = Sizes { sampled: false, ..*self }.peak(held);
        let free = self.machine.memory.saturating_sub(without);
        // With the margin that they add, and the rounding of two divisions.
        (free - free / MARGIN).saturating_sub(1 << 10).min(self.shape.own_bytes)
    }

    /// What a factorization holds besides W.
    fn factorization(&self, threads: usize, block_rows: usize, tile_rows: usize, tile_nonzeros: usize) -> u64 {
        let factor = 4 * (self.shape.genes * stride(self.k)) as u64;
        let factors = factor * if self.scaled { 4 } else { 3 };
        // A block without its padding, on its way from or to the disk.
        let block = 4 * (block_rows * self.k) as u64;
        let local =
            Local::bytes(self.shape.genes, block_rows, tile_rows, tile_nonzeros, self.k, stride(self.k)) + block;
        let grams = gram_bytes(self.shape.genes, self.k) + 48 * (self.k * self.k) as u64;
        factors + grams + ExactSum::bytes(self.shape.genes, stride(self.k)) + threads as u64 * (local + self.step())
    }

    /// What a thread needs in the update of H: cross products of a chunk in 64 and 32 bits, and the Gram matrix as the rules
    /// pack it.
    fn step(&self) -> u64 {
        let chunk = GENE_CHUNK.min(self.shape.genes);
        (12 * chunk * stride(self.k) + 4 * stride(self.k) * (stride(self.k) + 96)) as u64
    }

    /// The sample as gathered (gene and value), while it is packed, or packed with a factorization of it and the starts.
    fn start(&self, threads: usize, buffers: u64) -> u64 {
        let shape = self.shape;
        let caps = sample_caps(self.k, shape);
        let entries = caps.entries.min(shape.entries());
        let of_row = shape.sample_row_entries.max(1);
        let rows = ((entries / of_row) as usize + 1).min(caps.rows).min(shape.cells);
        let entries = entries.min(rows as u64 * of_row);
        let (gathered, packed, packing) = match shape.layout {
            Layout::Sparse => {
                let bytes_per_entry = shape.packed_bytes as f64 / shape.entries().max(1) as f64;
                let tile = PACKING_BYTES * (TILE_ROWS.min(rows) as u64 * of_row).min(entries) + 8 * shape.genes as u64;
                (8 * entries, (1.1 * bytes_per_entry * entries as f64) as u64, tile)
            }
            Layout::Dense => (4 * entries, 4 * entries, 0),
        };
        // Priorities, places and weights.
        let lists = 64 * rows as u64;
        let tile_nonzeros = match shape.layout {
            Layout::Sparse => (TILE_ROWS.min(rows) as u64 * of_row).min(entries) as usize,
            Layout::Dense => 0,
        };
        let whole = caps.entries >= shape.entries() && caps.rows >= shape.cells;
        let wide = Sizes { k: widest(self.k, shape.genes, whole), ..*self };
        let best = 4 * (shape.genes * stride(self.k)) as u64;
        let fit = wide.factorization(threads, BLOCK_ROWS.min(rows), TILE_ROWS, tile_nonzeros)
            + 8 * (rows * wide.k) as u64
            + best;
        lists + (gathered + buffers).max(gathered + packed + threads as u64 * packing).max(packed + fit)
    }

    /// What writing the result takes besides W.
    fn result(&self) -> u64 {
        let columns = (COLUMNS_BYTES_PER_CELL * self.shape.cells as u64).min(COLUMNS_BYTES);
        let spectra = 4 * (self.shape.genes * (stride(self.k) + self.k)) as u64;
        let block = 4 * (self.shape.block_rows * self.k) as u64;
        RESULT_BYTES + columns + spectra + block
    }
}
