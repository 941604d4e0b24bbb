//! Reading consecutive tiles of a block in one go.
//!
//! A **segment** lies in a reusable buffer, or in a memory map. Where it was cut does not matter to anything computed from
//! it. Filling the buffer and looking at its tiles are two steps, so that one thread can read ahead for another.

use std::fmt;
use std::ops::Range;

use aligned_vec::{AVec, ConstAlign};

use super::Store;
use super::block::TILE_ALIGN;
use super::files;
use super::layout::Layout;
use crate::error::StorageError;
use crate::tile::{DenseTile, SparseTile, Tile, TileError};

/// Memory for one segment, aligned to 64 bytes like the tiles in a file; it grows to the largest segment read and stays so.
#[derive(Clone)]
pub struct SegmentBuf {
    bytes: AVec<u8, ConstAlign<{ TILE_ALIGN as usize }>>,
    /// Block and tiles that it holds.
    holds: Option<(usize, Range<usize>)>,
}

impl SegmentBuf {
    /// An empty buffer without memory yet.
    pub fn new() -> Self {
        Self { bytes: AVec::new(TILE_ALIGN as usize), holds: None }
    }

    /// A buffer with memory for segments of up to `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: AVec::with_capacity(TILE_ALIGN as usize, bytes), holds: None }
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
        buf.bytes.resize(length, 0);
        let shard = self.shard_of(block);
        files::read_at(&shard.file, &shard.path, place.start, &mut buf.bytes)?;
        buf.holds = Some((block, tiles));
        Ok(())
    }

    /// The segment that [`read_into`](Self::read_into) has put into `buf`.
    ///
    /// # Panics
    ///
    /// When `buf` holds other tiles.
    #[track_caller]
    pub fn segment<'a>(&'a self, block: usize, tiles: Range<usize>, buf: &'a SegmentBuf) -> Segment<'a> {
        assert_eq!(buf.holds.as_ref(), Some(&(block, tiles.clone())), "the buffer holds the block and tiles asked for");
        Segment { store: self, block, tiles, bytes: &buf.bytes }
    }

    /// The tiles `tiles` of block `block`: from the map if the store is mapped ([`map`](Self::map)), else read into `buf`.
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

    /// The tiles `tiles` of block `block` where they lie in the map; `None` where the store is not mapped.
    ///
    /// # Panics
    ///
    /// When there is no such block or tile.
    #[track_caller]
    pub fn mapped(&self, block: usize, tiles: Range<usize>) -> Option<Segment<'_>> {
        let map = self.shard_of(block).map.as_ref()?;
        let place = self.segment_place(block, &tiles);
        Some(Segment { store: self, block, tiles, bytes: &map[place.start as usize..place.end as usize] })
    }

    /// Where the tiles lie in their block file, without the padding after the last one.
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
    /// When its bytes are not those that were written; the error names file, block and rows.
    ///
    /// # Panics
    ///
    /// When the segment does not hold the tile.
    #[track_caller]
    pub fn tile(&self, tile: usize) -> Result<Tile<'a>, StorageError> {
        assert!(self.tiles.contains(&tile), "tile {tile} is one of {:?}", self.tiles);
        self.parse(tile).map_err(|source| self.store.damaged_tile(self.block, tile, source))
    }

    fn parse(&self, tile: usize) -> Result<Tile<'a>, TileError> {
        let start = self.store.tile_place(self.block, self.tiles.start).start;
        let place = self.store.tile_place(self.block, tile);
        let bytes = &self.bytes[(place.start - start) as usize..(place.end - start) as usize];
        let record = self.store.tile_record(self.block, tile);
        let found = crc32c::crc32c(bytes);
        if found != record.crc {
            return Err(TileError::Checksum { expected: record.crc, found });
        }
        let (rows, genes) = (self.store.tile_rows_of(self.block, tile).len(), self.store.genes());
        Ok(match self.store.layout() {
            Layout::Sparse => Tile::Sparse(SparseTile::parse(bytes, rows, genes, record.nonzeros)?),
            Layout::Dense => Tile::Dense(DenseTile::parse(bytes, rows, genes)?),
        })
    }
}
