//! The memory that fits take, added up before they start.
//!
//! Fits go through stages, and each stage gives its memory back before the next: the peak is the
//! largest of them, not their sum. The count is of memory that becomes resident:
//!
//! ```text
//! always   the process when the plan is made, code that it touches later, tables, workers, the mapped store
//! start    gather the samples (buffers of the workers, rows)
//!          |  pack them (rows, packed tiles, an encoder)  |  fit them (packed tiles, a factorization of each start
//!          that runs)
//!          or  |  fit them in two orders (rows; both orders and a factorization of each start that runs)
//! passes   buffers of the workers, the factorizations, W in two generations, the blocks that stay in memory
//! result   W, H, and the buffers of the HDF5 library that writes them; the store is mapped no more
//! ```
//!
//! The test `foresight` of the program measures it against `VmHWM`.

use std::collections::BTreeSet;

use partwise_kernels::{FactorBuf, stride};
use partwise_storage::sampling::Caps;
use partwise_storage::store::Layout;
use partwise_storage::tile::TILE_ROWS;

use crate::compute::factorize::{Local, PanelShape, PanelSums};
use crate::engine::SEGMENTS;
use crate::error::LowerBlocks;
use crate::init::{side_by_side, widest};
use crate::sample::{BLOCK_ROWS, TURNING_BYTES};
use crate::shape::{DataShape, HDF5_BYTES, Machine, RESIDENT};
use crate::spectra::{GENE_CHUNK, gram_bytes};

/// Code that a fit touches first when it runs, the pool's threads, and memory that the allocator
/// does not give back. A build with assertions has more code.
pub(crate) const LATER_BYTES: u64 = (if cfg!(debug_assertions) { 25 } else { 17 }) << 18;
/// The part of that code which a process has touched already when it has converted a file.
const TOUCHED_BYTES: u64 = 1 << 20;
/// What reading an earlier result leaves in memory.
const GIVEN_BYTES: u64 = 1 << 20;
/// The same for several fits: more code, and lists of fits.
const SET_BYTES: u64 = 1 << 20;
/// Pieces of the heap that waves before this one leave, which no later buffer fits into.
const LEFT_BYTES: u64 = 2 << 20;
/// Stack pages, channel and allocator slack of one worker (two threads).
pub(crate) const WORKER_BYTES: u64 = 192 << 10;
/// Packed operands of the dense products, for each thread.
pub(crate) const DENSE_WORKER_BYTES: u64 = 512 << 10;
/// One part in this many is added to the sum, at least [`LEAST_MARGIN`]: pages of code differ from run
/// to run, and pieces of the heap stay in use.
pub(crate) const MARGIN: u64 = 50;
pub(crate) const LEAST_MARGIN: u64 = 1 << 20;
/// A tile's entries in the block table.
pub(crate) const TABLE_BYTES_PER_TILE: u64 = 32;
/// Squared norms and factors of one gene. Its moments are in memory when the plan is made.
pub(crate) const BYTES_PER_GENE: u64 = 32;
/// Memory to score genes and to write a small result, whose names may be as long as any that are read.
pub(crate) const RESULT_BYTES: u64 = 15 << 18;
/// Chunk caches and buffers of a result grow with the columns copied, up to this.
pub(crate) const COLUMNS_BYTES: u64 = 4 << 20;
pub(crate) const COLUMNS_BYTES_PER_CELL: u64 = 128;
/// Bytes an entry that packing a tile of the sample takes: as rows, sorted, packed.
const PACKING_BYTES: u64 = 22;

/// Sizes from which the peak is added up.
#[derive(Clone)]
pub(crate) struct Sizes<'p> {
    pub(crate) shape: &'p DataShape,
    pub(crate) machine: &'p Machine,
    /// Components of each fit.
    pub(crate) ks: Vec<usize>,
    /// How many different seeds the fits have: each draws a sample of its own.
    pub(crate) seeds: usize,
    /// Whether genes are scaled or left out, which takes one more copy of H.
    pub(crate) scaled: bool,
    /// The size of the sample that a fit of so many components starts from; `None`: from none.
    pub(crate) sampled: Option<fn(usize, &DataShape) -> Caps>,
    /// Whether a fit starts from an earlier result.
    pub(crate) given: bool,
    /// Whether genes are scored.
    pub(crate) scored: bool,
    /// Whether the process has written results of an earlier wave, and so has the code of the HDF5
    /// library in memory.
    pub(crate) written: bool,
    /// Full passes at most: W has one generation in the first and two from then on.
    pub(crate) passes: usize,
}

/// The parts that are in memory, and the buffers for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) threads: usize,
    /// Threads of loops over genes: as many, or more where there are fewer blocks than threads.
    pub(crate) pool: usize,
    /// Bytes of a segment.
    pub(crate) segment: u64,
    pub(crate) usages: bool,
    pub(crate) mapped: bool,
    /// Bytes of packed blocks that stay in memory from the first pass on.
    pub(crate) pinned: u64,
}

impl Sizes<'_> {
    /// The smallest peak: one thread, one tile at a time, W on disk.
    pub(super) fn smallest(&self) -> u64 {
        let segment = self.shape.max_tile_bytes;
        self.peak(Held { threads: 1, pool: 1, segment, usages: false, mapped: false, pinned: 0 })
    }

    /// The tallest blocks with which the smallest peak would be lower by a twentieth, or the lowest
    /// possible ones, and that peak. Lower blocks help because the rows of W in hand are those of a
    /// block. `None` if they change nothing.
    pub(super) fn lower_blocks(&self) -> Option<LowerBlocks> {
        let now = self.smallest();
        let tile = self.shape.tile_rows;
        let heights =
            std::iter::successors(Some(self.shape.block_rows / 2 / tile * tile), |rows| Some(rows / 2 / tile * tile));
        let lower = heights.take_while(|&rows| rows >= tile).map(|block_rows| {
            let shape = DataShape { block_rows, ..*self.shape };
            LowerBlocks { block_rows, needed: Sizes { shape: &shape, ..self.clone() }.smallest() }
        });
        let lower: Vec<_> = lower.filter(|lower| lower.needed < now).collect();
        lower.iter().find(|lower| lower.needed <= now - now / 20).or(lower.last()).copied()
    }

    fn largest_k(&self) -> usize {
        self.ks.iter().copied().max().unwrap_or(0)
    }

    /// Peak resident bytes: the parts that are always there, and the largest of start, passes and
    /// result.
    pub(crate) fn peak(&self, held: Held) -> u64 {
        let shape = self.shape;
        let tables =
            TABLE_BYTES_PER_TILE * shape.cells.div_ceil(shape.tile_rows) as u64 + BYTES_PER_GENE * shape.genes as u64;
        // A process that has read or written with the HDF5 library has its code already.
        let with_hdf5 = self.machine.resident.max(RESIDENT + HDF5_BYTES);
        let resident = if self.written { with_hdf5 + LEFT_BYTES } else { self.machine.resident };
        // A segment does not reach beyond its block.
        let segment = held.segment.min(shape.max_block_bytes);
        let worker = match shape.layout {
            Layout::Sparse => WORKER_BYTES,
            Layout::Dense => WORKER_BYTES + DENSE_WORKER_BYTES,
        };
        let idle = (held.pool - held.threads) as u64;
        let workers = held.threads as u64 * worker + idle * (WORKER_BYTES / 2 + self.step(self.largest_k()));
        let (mapped, buffers) = match held.mapped {
            true => (shape.own_bytes, 0),
            false => (0, (held.threads * SEGMENTS) as u64 * segment),
        };
        let components: usize = self.ks.iter().sum();
        let generation = if held.usages { 4 * (shape.own_cells * components) as u64 } else { 0 };

        let generations = self.passes.clamp(1, 2) as u64;
        let cut = Cut {
            block_rows: shape.block_rows.min(shape.cells),
            tile_rows: shape.tile_rows,
            tile_nonzeros: shape.max_tile_nonzeros,
        };
        let passes =
            buffers + self.factorizations(&self.ks, held.threads, cut) + generations * generation + held.pinned;
        let start = self.sampled.map_or(0, |caps| self.start(held.threads, buffers, caps));
        let fit = resident + mapped + workers + passes.max(start);
        let result = resident.max(with_hdf5) + generation + self.result(held.threads);
        let of_set = if self.ks.len() > 1 { SET_BYTES } else { 0 };
        let has_converted = self.machine.resident > RESIDENT + HDF5_BYTES;
        let later = LATER_BYTES + of_set;
        let later = match (self.given, has_converted) {
            (true, _) => later + GIVEN_BYTES,
            (false, true) => later - TOUCHED_BYTES,
            (false, false) => later,
        };
        let peak = later + tables + fit.max(result);
        peak + (peak / MARGIN).max(LEAST_MARGIN)
    }

    /// Bytes of blocks that can stay in memory beside the parts `held`: the rest of the budget
    /// during the passes.
    pub(super) fn room(&self, held: Held) -> u64 {
        let without = Sizes { sampled: None, ..self.clone() }.peak(held);
        let free = self.machine.memory.saturating_sub(without);
        // With the margin that they add, and the rounding of two divisions.
        (free - free / MARGIN).saturating_sub(1 << 10).min(self.shape.own_bytes)
    }

    /// What factorizations of `ks` components side by side hold besides W.
    fn factorizations(&self, ks: &[usize], threads: usize, cut: Cut) -> u64 {
        let genes = self.shape.genes;
        let panels = PanelShape::cut(ks, self.shape.layout);
        // H, H before it and the trial.
        let factors: u64 = ks.iter().map(|&k| 3 * FactorBuf::bytes(genes, k)).sum();
        let copied = |panel: &&PanelShape| self.scaled || panel.members.len() > 1;
        let copies: u64 = panels.iter().filter(copied).map(|panel| FactorBuf::bytes(genes, panel.ld)).sum();
        let largest = ks.iter().copied().max().unwrap_or(0);
        let grams = gram_bytes(genes, largest) + ks.iter().map(|&k| 48 * (k * k) as u64).sum::<u64>();
        let sums: u64 = panels.iter().map(|panel| PanelSums::bytes(genes, panel)).sum();
        // A block without its padding, on its way from or to the disk.
        let block = 4 * (cut.block_rows * largest) as u64;
        let local = Local::bytes(genes, cut.block_rows, cut.tile_rows, cut.tile_nonzeros, &panels) + block;
        factors + copies + grams + sums + threads as u64 * (local + self.step(largest))
    }

    /// The memory of a thread in the update of H: cross products of a chunk in 64 and 32 bits, and
    /// the Gram matrix as the rules pack it.
    fn step(&self, k: usize) -> u64 {
        let chunk = GENE_CHUNK.min(self.shape.genes);
        (12 * chunk * stride(k) + 4 * stride(k) * (stride(k) + 96)) as u64
    }

    /// The samples, and the starts that are found on them.
    fn start(&self, threads: usize, buffers: u64, caps_of: fn(usize, &DataShape) -> Caps) -> u64 {
        let (shape, k) = (self.shape, self.largest_k());
        let sample = SampleSize::of(caps_of(k, shape), shape);
        let whole = caps_of(k, shape).hold(shape.entries(), shape.cells);
        // A row that several samples have is gathered once. Small samples may come from one that the store keeps, and
        // large ones from all rows.
        let ways = if shape.keeps_sample && self.sizes(caps_of) > self.seeds as u64 { 2 } else { 1 };
        let seeds = ways * self.seeds as u64;
        let of_entry = if shape.layout == Layout::Sparse { 8 } else { 4 };
        let gathered = (seeds * of_entry * sample.entries).min(of_entry * shape.entries());
        // Priorities, places and weights.
        let lists = 64 * sample.rows as u64 * seeds;
        let found: u64 = self.ks.iter().map(|&k| FactorBuf::bytes(shape.genes, k)).sum();
        // Alone they run side by side, among other processes one after the other.
        let (at_once, each) = side_by_side(self.ks.len(), threads);
        let side_by_side = |one: &dyn Fn(usize) -> u64| match self.ks.len() {
            1 => one(threads),
            _ => (at_once as u64 * one(each)).max(one(threads)) + found,
        };
        let held = match shape.layout {
            // The rows of a single fit are freed once it has them by row.
            Layout::Sparse if !whole && self.ks.len() == 1 => {
                (gathered + 8 * sample.entries).max(self.start_in_two_orders(&sample))
            }
            Layout::Sparse if !whole => gathered + side_by_side(&|_| self.start_in_two_orders(&sample)),
            _ => {
                let (packed, packing) = self.packed(&sample, caps_of);
                let fit = side_by_side(&|threads| self.start_on_packed(&sample, whole, threads));
                (gathered + packed + threads as u64 * packing).max(packed + fit)
            }
        };
        lists + (gathered + buffers).max(held)
    }

    /// One start on a sample in two orders.
    fn start_in_two_orders(&self, sample: &SampleSize) -> u64 {
        let shape = self.shape;
        let k = self.largest_k();
        let (genes, part) = match self.scaled {
            // Scaled genes hold alike.
            true => (shape.genes, 1.0),
            false => (shape.leading_genes, shape.leading_nonzeros as f64 / shape.entries().max(1) as f64),
        };
        let wide = widest(k, genes, false).max(k);
        let (rows, all) = (sample.rows, shape.genes);
        // Gene or row, and value: all by row, the leading genes by gene, in the end the others by gene.
        let all_by_row = 8 * sample.entries;
        let leading = (8.0 * part * sample.entries as f64) as u64;
        let others = all_by_row - leading.min(all_by_row);
        // H, H before it, the trial and the cross products; W, the next and X·Hᵀ.
        let fit = |k: usize| 4 * FactorBuf::bytes(genes, k) + 3 * FactorBuf::bytes(rows, k);
        let best = FactorBuf::bytes(genes, k) + FactorBuf::bytes(rows, k);
        // The cross products of the other genes; then turning the others, or their H and all of H.
        let complete = FactorBuf::bytes(all, k) + (2 * FactorBuf::bytes(all, k)).max(TURNING_BYTES * all as u64);
        let lists = (16 * all + 48 * rows) as u64;
        lists + best + (all_by_row + leading + fit(wide)).max(2 * others + complete)
    }

    /// Bytes of the packed samples, and of packing a tile.
    fn packed(&self, sample: &SampleSize, caps_of: fn(usize, &DataShape) -> Caps) -> (u64, u64) {
        let shape = self.shape;
        let (packed, packing) = match shape.layout {
            Layout::Sparse => {
                let bytes_per_entry = shape.packed_bytes as f64 / shape.entries().max(1) as f64;
                let tile = PACKING_BYTES * sample.tile_entries() + 8 * shape.genes as u64;
                ((1.1 * bytes_per_entry * sample.entries as f64) as u64, tile)
            }
            Layout::Dense => (4 * sample.entries, 0),
        };
        // Every seed has a sample of its own, and each size of it a last tile and norms of its own.
        let sizes = self.sizes(caps_of);
        let last_tiles = sizes * packed / (sample.rows as u64).div_ceil(TILE_ROWS as u64).max(1);
        (self.seeds as u64 * packed + last_tiles + 16 * shape.genes as u64 * sizes, packing)
    }

    /// How many samples of different sizes or seeds there are; none that counts if there is one fit.
    fn sizes(&self, caps_of: fn(usize, &DataShape) -> Caps) -> u64 {
        let different: BTreeSet<u64> = self.ks.iter().map(|&k| caps_of(k, self.shape).entries).collect();
        if self.ks.len() > 1 { self.seeds as u64 * different.len() as u64 } else { 0 }
    }

    /// One start on a packed sample.
    fn start_on_packed(&self, sample: &SampleSize, whole: bool, threads: usize) -> u64 {
        let (shape, k) = (self.shape, self.largest_k());
        let wide = widest(k, shape.genes, whole);
        let tile_nonzeros = match shape.layout {
            Layout::Sparse => sample.tile_entries() as usize,
            Layout::Dense => 0,
        };
        let cut = Cut { block_rows: BLOCK_ROWS.min(sample.rows), tile_rows: TILE_ROWS, tile_nonzeros };
        let best = FactorBuf::bytes(shape.genes, k);
        self.factorizations(&[wide], threads, cut) + 8 * (sample.rows * wide) as u64 + best
    }

    /// The memory to write a result besides W, and the other fits that wait for it.
    fn result(&self, threads: usize) -> u64 {
        let (genes, k) = (self.shape.genes, self.largest_k());
        let columns = (COLUMNS_BYTES_PER_CELL * self.shape.cells as u64).min(COLUMNS_BYTES);
        // H and the scores.
        let tables = if self.scored { 2 } else { 1 };
        let spectra: u64 =
            tables * self.ks.iter().map(|&k| FactorBuf::bytes(genes, k)).sum::<u64>() + 4 * (genes * k) as u64;
        // Rows of W on their way to the file: as they are kept, as they are written, and shares of some of them.
        let block = 4 * (3 * self.shape.block_rows.min(self.shape.cells) * k) as u64;
        RESULT_BYTES + columns + spectra + threads as u64 * (WORKER_BYTES / 2 + block)
    }
}

/// The entries and rows of a sample.
struct SampleSize {
    entries: u64,
    rows: usize,
    /// Entries of a row.
    of_row: u64,
}

impl SampleSize {
    fn of(caps: Caps, shape: &DataShape) -> Self {
        let entries = caps.entries.min(shape.entries());
        let of_row = shape.sample_row_entries.max(1);
        let rows = ((entries / of_row) as usize + 1).min(caps.rows).min(shape.cells);
        SampleSize { entries: entries.min(rows as u64 * of_row), rows, of_row }
    }

    /// Entries of a tile of it.
    fn tile_entries(&self) -> u64 {
        (TILE_ROWS.min(self.rows) as u64 * self.of_row).min(self.entries)
    }
}

/// How a matrix in hand is cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    block_rows: usize,
    tile_rows: usize,
    /// Nonzeros of the fullest tile; 0 where tiles are dense.
    tile_nonzeros: usize,
}
