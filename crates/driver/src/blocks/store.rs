//! The blocks of a store on disk.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use partwise_storage::StorageError;
use partwise_storage::store::{BlockInfo, GeneMoments, KeptSample, Layout, PerMillion, SegmentBuf, Store};
use partwise_storage::tile::{CellMoments, Tile, TileError};

use super::{Blocks, FitData};
use crate::error::DriverError;

/// A store as the engine sees it.
///
/// If the store is mapped, the first pass brings its pages into memory and later passes find them
/// there. Otherwise its first blocks may stay in memory once they are read, the next ones are left
/// to the system's page cache, and the reader drops the rest from the cache behind itself. A cyclic
/// scan through a cache that holds only a part of the data finds nothing there in the next round.
/// Blocks that stay are found in every pass, in either direction.
#[derive(Debug)]
pub struct StoreBlocks<'s> {
    store: &'s Store,
    gene_sq_norms: Vec<f64>,
    /// The blocks that this process reads.
    own: Range<usize>,
    /// The first of them stay, each filled when it is first read.
    pinned: Vec<OnceLock<SegmentBuf>>,
    /// First block that is dropped from the page cache.
    dropped_from: usize,
    /// Bytes read so far.
    read: AtomicU64,
    /// Tiles of a mapped store that have been brought into memory.
    populated: AtomicUsize,
    tiles: usize,
}

impl<'s> StoreBlocks<'s> {
    /// All blocks of `store`; none stays in memory, the page cache is left alone.
    pub fn new(store: &'s Store) -> Self {
        let gene_sq_norms = store.gene_moments().iter().map(|gene| gene.sum_sq).collect();
        StoreBlocks {
            store,
            gene_sq_norms,
            own: 0..store.blocks(),
            pinned: Vec::new(),
            dropped_from: store.blocks(),
            read: AtomicU64::new(0),
            populated: AtomicUsize::new(0),
            tiles: (0..store.blocks()).map(|block| store.block(block).tiles).sum(),
        }
    }

    /// For a process that reads the blocks `own` and no others: keeps as many of the first of them
    /// as fit into `pinned` bytes, and leaves as many of the next ones to the page cache as fit
    /// into `cached` bytes.
    pub fn keeping(mut self, own: Range<usize>, pinned: u64, cached: u64) -> Self {
        let (first, end) = (own.start, own.end);
        self.tiles = own.clone().map(|block| self.store.block(block).tiles).sum();
        self.own = own;
        // A buffer takes the next multiple of a page.
        let take = |from: usize, bytes: u64| {
            let mut left = bytes;
            let fits = |&block: &usize| {
                let needed = (self.store.block(block).bytes as u64).next_multiple_of(4096) + 64;
                left.checked_sub(needed).is_some_and(|rest| {
                    left = rest;
                    true
                })
            };
            from + (from..end).take_while(fits).count()
        };
        let kept = if self.store.is_mapped() { first } else { take(first, pinned) };
        self.dropped_from = take(kept, cached);
        self.pinned = (first..kept).map(|_| OnceLock::new()).collect();
        self
    }

    /// The slot of a block that stays in memory.
    fn kept(&self, block: usize) -> Option<&OnceLock<SegmentBuf>> {
        self.pinned.get(block.checked_sub(self.own.start)?)
    }

    fn read(&self, block: usize, tiles: Range<usize>, buf: &mut SegmentBuf) -> Result<(), DriverError> {
        self.store.read_into(block, tiles.clone(), buf)?;
        self.read.fetch_add(buf.filled() as u64, Ordering::Relaxed);
        if block >= self.dropped_from {
            self.store.forget(block, tiles);
        }
        Ok(())
    }
}

impl Blocks for StoreBlocks<'_> {
    fn cells(&self) -> usize {
        self.store.cells()
    }
    fn genes(&self) -> usize {
        self.store.genes()
    }
    fn entries(&self) -> u64 {
        match self.store.layout() {
            Layout::Sparse => self.store.nonzeros(),
            Layout::Dense => self.store.cells() as u64 * self.store.genes() as u64,
        }
    }
    fn layout(&self) -> Layout {
        self.store.layout()
    }
    fn blocks(&self) -> usize {
        self.store.blocks()
    }
    fn block_rows(&self) -> usize {
        self.store.block_rows()
    }
    fn tile_rows(&self) -> usize {
        self.store.tile_rows()
    }
    fn block(&self, block: usize) -> BlockInfo {
        self.store.block(block)
    }
    fn tile_bytes(&self, block: usize, tile: usize) -> usize {
        self.store.tile_bytes(block, tile)
    }
    fn gene_sq_norms(&self) -> &[f64] {
        &self.gene_sq_norms
    }
    fn resident(&self) -> bool {
        self.store.is_mapped() && self.populated.load(Ordering::Relaxed) >= self.tiles
    }
    fn fetch(&self, block: usize, tiles: Range<usize>, buf: &mut SegmentBuf) -> Result<(), DriverError> {
        if self.store.is_mapped() {
            self.populated.fetch_add(tiles.len(), Ordering::Relaxed);
            self.store.populate(block, tiles);
            return Ok(());
        }
        let Some(slot) = self.kept(block) else { return self.read(block, tiles, buf) };
        if slot.get().is_none() {
            let mut kept = SegmentBuf::new();
            self.read(block, 0..self.store.block(block).tiles, &mut kept)?;
            // A block has one reader at a time; two would have read the same.
            let _ = slot.set(kept);
        }
        Ok(())
    }
    fn tile<'a>(
        &'a self,
        block: usize,
        tiles: Range<usize>,
        tile: usize,
        buf: &'a SegmentBuf,
    ) -> Result<Tile<'a>, DriverError> {
        let segment = match (self.store.mapped(block, tiles.clone()), self.kept(block).and_then(OnceLock::get)) {
            (Some(segment), _) => segment,
            (None, Some(kept)) => self.store.segment(block, 0..self.store.block(block).tiles, kept),
            (None, None) => self.store.segment(block, tiles, buf),
        };
        Ok(segment.tile(tile)?)
    }
    fn damaged(&self, block: usize, tile: usize, error: TileError) -> DriverError {
        self.store.damaged_tile(block, tile, error).into()
    }
}

impl FitData for StoreBlocks<'_> {
    fn blocks(&self) -> &dyn Blocks {
        self
    }
    fn nonzeros(&self) -> u64 {
        self.store.nonzeros()
    }
    fn sq_norm(&self) -> f64 {
        self.store.sq_norm()
    }
    fn gene_moments(&self) -> &[GeneMoments] {
        self.store.gene_moments()
    }
    fn holds_counts(&self) -> bool {
        self.store.summary().integer
    }
    fn per_million(&self) -> Result<Option<Vec<PerMillion>>, StorageError> {
        self.store.gene_per_million()
    }
    fn cell_moments(&self, cells: Range<usize>) -> Result<Vec<CellMoments>, StorageError> {
        self.store.cell_moments(cells)
    }
    fn kept_sample(&self) -> Result<Option<KeptSample>, StorageError> {
        let sample = self.store.sample()?;
        let bytes = sample.as_ref().map_or(0, KeptSample::bytes);
        self.read.fetch_add(bytes, Ordering::Relaxed);
        Ok(sample)
    }
    fn fingerprint(&self) -> String {
        self.store.fingerprint()
    }
    fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}
