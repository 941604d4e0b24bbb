//! How much memory a fit takes, added up before it starts.

use partwise_kernels::stride;
use partwise_storage::store::Layout;
use partwise_storage::tile::TILE_ROWS;

use super::caps::sample_caps;
use super::shape::DataShape;
use crate::compute::factorize::Local;
use crate::engine::SEGMENTS;
use crate::exact::ExactSum;
use crate::init::widest;
use crate::sample::BLOCK_ROWS;
use crate::spectra::{GENE_CHUNK, gram_bytes};

/// What the program itself takes: its code, the HDF5 library, allocator slack, stacks.
const BASE_BYTES: u64 = 18 << 20;
/// Stack pages, channel and allocator slack of one lane (two threads).
const LANE_BYTES: u64 = 512 << 10;
/// A tile's entries in the block table.
const TABLE_BYTES_PER_TILE: u64 = 32;
/// Moments and names of one gene.
const BYTES_PER_GENE: u64 = 64;

/// Sizes from which the peak is added up.
pub(super) struct Sizes<'p> {
    pub(super) shape: &'p DataShape,
    /// Components.
    pub(super) k: usize,
    /// Whether genes are scaled, which takes one more copy of H.
    pub(super) scaled: bool,
    /// Whether the fit starts from a sample.
    pub(super) sampled: bool,
}

impl Sizes<'_> {
    /// The smallest piece that can be read at once: a tile.
    pub(super) fn smallest_segment(&self) -> u64 {
        self.shape.max_tile_bytes
    }

    /// Peak resident bytes: what is always there, and the larger of the start and the passes.
    pub(super) fn peak(&self, threads: usize, segment: u64, usages_in_memory: bool, mapped: bool) -> u64 {
        let shape = self.shape;
        let tables =
            TABLE_BYTES_PER_TILE * shape.cells.div_ceil(shape.tile_rows) as u64 + BYTES_PER_GENE * shape.genes as u64;
        let reading = if mapped { shape.packed_bytes } else { threads as u64 * SEGMENTS as u64 * segment };
        let lanes = threads as u64 * LANE_BYTES;

        let usages = if usages_in_memory { 8 * (shape.cells * self.k) as u64 } else { 0 };
        let passes = self.factorization(threads, shape.block_rows, shape.tile_rows) + usages;
        let start = if self.sampled { self.start(threads) } else { 0 };
        BASE_BYTES + tables + reading + lanes + passes.max(start)
    }

    /// What a factorization holds besides W.
    fn factorization(&self, threads: usize, block_rows: usize, tile_rows: usize) -> u64 {
        let factor = 4 * (self.shape.genes * stride(self.k)) as u64;
        let factors = factor * if self.scaled { 4 } else { 3 };
        // A block without its padding, on its way from or to the disk.
        let block = 4 * (block_rows * self.k) as u64;
        let local = Local::bytes(self.shape.genes, block_rows, tile_rows, self.k, stride(self.k)) + block;
        // The update of H: cross products of a chunk in 64 and 32 bits, and the Gram matrix as the rules pack it.
        let step = (12 * GENE_CHUNK * stride(self.k) + 4 * stride(self.k) * (stride(self.k) + 96)) as u64;
        let grams = gram_bytes(self.shape.genes, self.k) + 48 * (self.k * self.k) as u64;
        factors + grams + ExactSum::bytes(self.shape.genes, stride(self.k)) + threads as u64 * (local + step)
    }

    /// The sample as gathered (gene and value) and as packed, or packed with a factorization of it and the starts.
    fn start(&self, threads: usize) -> u64 {
        let caps = sample_caps(self.k, self.shape);
        let entries = caps.entries.min(self.shape.entries());
        let bytes_per_entry = self.shape.packed_bytes as f64 / self.shape.entries().max(1) as f64;
        let packed = (1.3 * bytes_per_entry * entries as f64) as u64;
        let gathered = match self.shape.layout {
            Layout::Sparse => 8 * entries,
            Layout::Dense => 4 * entries,
        };
        // Rows of a sample hold more than the average row, since they are drawn by their norm; twice as many is ample.
        let rows = (2.0 * entries as f64 * self.shape.cells as f64 / self.shape.entries().max(1) as f64) as usize;
        let rows = rows.min(caps.rows).min(self.shape.cells);
        let wide = Sizes { k: widest(self.k, self.shape.genes, entries == self.shape.entries()), ..*self };
        let best = 4 * (self.shape.genes * stride(self.k)) as u64;
        let fit = wide.factorization(threads, BLOCK_ROWS, TILE_ROWS) + 8 * (rows * wide.k) as u64 + best;
        packed + gathered.max(fit) + 64 * rows as u64
    }
}
