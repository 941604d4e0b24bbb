//! Reads consecutive tiles of a block at once.
//!
//! A **segment** is in a reusable buffer or in a memory map. Its bounds do not influence results.
//! Filling the buffer and using its tiles are two steps, so that one thread can read ahead for
//! another.

use std::fmt;
use std::ops::Range;

use aligned_vec::{AVec, ConstAlign};

use super::Store;
use super::block::TILE_ALIGN;
use super::cut::Layout;
use super::files;
use crate::error::StorageError;
use crate::tile::{DenseTile, SparseTile, Tile, TileError};

/// Memory for one segment, aligned to 64 bytes like the tiles in a file. It grows to the largest
/// segment read and never shrinks.
#[derive(Clone)]
pub struct SegmentBuf {
    bytes: AVec<u8, ConstAlign<{ TILE_ALIGN as usize }>>,
    /// Bytes of the last segment read.
    filled: usize,
    /// The block and tiles in the buffer.
    holds: Option<(usize, Range<usize>)>,
}

impl SegmentBuf {
    /// An empty buffer without memory yet.
    pub fn new() -> Self {
        Self { bytes: AVec::new(TILE_ALIGN as usize), filled: 0, holds: None }
    }

    /// A buffer with memory for segments of up to `bytes`. Touches the memory now, not in the first
    /// read.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buf = Self::new();
        buf.hold(bytes);
        buf
    }

    /// Bytes of its segment; 0 if it holds none.
    pub fn filled(&self) -> usize {
        if self.holds.is_some() { self.filled } else { 0 }
    }

    /// Makes room for exactly `length` bytes: a vector that grows by itself takes more than the
    /// plan has. Never shrinks, so that reads do not fill the buffer with zeros first.
    fn hold(&mut self, length: usize) {
        if length > self.bytes.len() {
            self.bytes.reserve_exact(length - self.bytes.len());
            self.bytes.resize(length, 0);
        }
    }
}

impl Default for SegmentBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SegmentBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentBuf").field("capacity", &self.bytes.capacity()).field("holds", &self.holds).finish()
    }
}

/// Consecutive tiles of one block, in memory.
#[derive(Clone)]
pub struct Segment<'a> {
    store: &'a Store,
    block: usize,
    tiles: Range<usize>,
    bytes: &'a [u8],
}

impl fmt::Debug for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("block", &self.block).field("tiles", &self.tiles).finish_non_exhaustive()
    }
}

impl Store {
    /// Reads the tiles `tiles` of block `block` into `buf`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or has become shorter. The buffer then holds nothing.
    ///
    /// # Panics
    ///
    /// When there is no such block or tile.
    #[track_caller]
    pub fn read_into(&self, block: usize, tiles: Range<usize>, buf: &mut SegmentBuf) -> Result<(), StorageError> {
        let place = self.segment_place(block, &tiles);
        let length = (place.end - place.start) as usize;
        buf.holds = None;
        buf.hold(length);
        buf.filled = length;
        let block_file = self.block_file_of(block);
        files::read_at(&block_file.file, &block_file.path, place.start, &mut buf.bytes[..length])?;
        buf.holds = Some((block, tiles));
        Ok(())
    }

    /// Drops the tiles `tiles` of block `block` from the system's page cache, as far as they fill
    /// whole pages. This is a hint, which the system may ignore.
    ///
    /// # Panics
    ///
    /// When there is no such block or tile.
    #[track_caller]
    pub fn forget(&self, block: usize, tiles: Range<usize>) {
        let place = self.segment_place(block, &tiles);
        files::forget(&self.block_file_of(block).file, place.start, place.end - place.start);
    }

    /// Reads the tiles `tiles` of block `block` of a mapped store into memory, many pages at once.
    /// A thread that uses them later waits neither for the disk nor for the system at each page.
    /// This is a hint, which the system may ignore. Does nothing if the store is not mapped.
    ///
    /// # Panics
    ///
    /// When there is no such block or tile.
    #[track_caller]
    pub fn populate(&self, block: usize, tiles: Range<usize>) {
        let place = self.segment_place(block, &tiles);
        if let Some(map) = &self.block_file_of(block).map {
            files::populate(map, place.start as usize, (place.end - place.start) as usize);
        }
    }

    /// The segment that [`read_into`](Self::read_into) has read into `buf`.
    ///
    /// # Panics
    ///
    /// When `buf` holds other tiles.
    #[track_caller]
    pub fn segment<'a>(&'a self, block: usize, tiles: Range<usize>, buf: &'a SegmentBuf) -> Segment<'a> {
        assert_eq!(buf.holds.as_ref(), Some(&(block, tiles.clone())), "the buffer holds the block and tiles asked for");
        Segment { store: self, block, tiles, bytes: &buf.bytes[..buf.filled] }
    }

    /// The tiles `tiles` of block `block`: from the map if the store is mapped
    /// ([`map`](Self::map)), otherwise read into `buf`.
    ///
    /// # Errors
    ///
    /// As for [`read_into`](Self::read_into).
    ///
    /// # Panics
    ///
    /// When there is no such block or tile.
    #[track_caller]
    pub fn read<'a>(
        &'a self,
        block: usize,
        tiles: Range<usize>,
        buf: &'a mut SegmentBuf,
    ) -> Result<Segment<'a>, StorageError> {
        if let Some(segment) = self.mapped(block, tiles.clone()) {
            return Ok(segment);
        }
        self.read_into(block, tiles.clone(), buf)?;
        Ok(self.segment(block, tiles, buf))
    }

    /// The tiles `tiles` of block `block` in the map; `None` if the store is not mapped.
    ///
    /// # Panics
    ///
    /// When there is no such block or tile.
    #[track_caller]
    pub fn mapped(&self, block: usize, tiles: Range<usize>) -> Option<Segment<'_>> {
        let map = self.block_file_of(block).map.as_ref()?;
        let place = self.segment_place(block, &tiles);
        Some(Segment { store: self, block, tiles, bytes: &map[place.start as usize..place.end as usize] })
    }

    /// The byte range of the tiles in their block file, without the padding after the last one.
    #[track_caller]
    fn segment_place(&self, block: usize, tiles: &Range<usize>) -> Range<u64> {
        let there = self.block(block).tiles;
        assert!(tiles.start <= tiles.end && tiles.end <= there, "block {block} has tiles 0..{there}, not {tiles:?}");
        if tiles.is_empty() {
            return 0..0;
        }
        let start = self.tile_place(block, tiles.start).start;
        start..self.tile_place(block, tiles.end - 1).end
    }
}

impl<'a> Segment<'a> {
    /// The block it belongs to.
    pub fn block(&self) -> usize {
        self.block
    }

    /// The tiles it holds, counted from the start of the block.
    pub fn tiles(&self) -> Range<usize> {
        self.tiles.clone()
    }

    /// The tile `tile`, counted from the start of the block, its checksum verified.
    ///
    /// Costs a pass over its bytes (about a tenth of decoding them) and allocates nothing.
    ///
    /// # Errors
    ///
    /// When its bytes have changed since they were written. The error names file, block and rows.
    ///
    /// # Panics
    ///
    /// When the segment does not hold the tile.
    #[track_caller]
    pub fn tile(&self, tile: usize) -> Result<Tile<'a>, StorageError> {
        assert!(self.tiles.contains(&tile), "tile {tile} is one of {:?}", self.tiles);
        self.parse(tile).map_err(|source| self.store.damaged_tile(self.block, tile, source))
    }

    /// The packed bytes of the tile `tile`, its rows and its nonzeros. Does not verify the
    /// checksum.
    ///
    /// # Panics
    ///
    /// When the segment does not hold the tile.
    #[track_caller]
    pub fn packed(&self, tile: usize) -> (&'a [u8], usize, u64) {
        assert!(self.tiles.contains(&tile), "tile {tile} is one of {:?}", self.tiles);
        let start = self.store.tile_place(self.block, self.tiles.start).start;
        let place = self.store.tile_place(self.block, tile);
        let bytes = &self.bytes[(place.start - start) as usize..(place.end - start) as usize];
        (bytes, self.store.tile_rows_of(self.block, tile).len(), self.store.tile_record(self.block, tile).nonzeros)
    }

    fn parse(&self, tile: usize) -> Result<Tile<'a>, TileError> {
        let (bytes, rows, nonzeros) = self.packed(tile);
        let record = self.store.tile_record(self.block, tile);
        let found = crc32c::crc32c(bytes);
        if found != record.crc {
            return Err(TileError::Checksum { expected: record.crc, found });
        }
        let genes = self.store.genes();
        Ok(match self.store.layout() {
            Layout::Sparse => Tile::Sparse(SparseTile::parse(bytes, rows, genes, nonzeros)?),
            Layout::Dense => Tile::Dense(DenseTile::parse(bytes, rows, genes)?),
        })
    }
}
