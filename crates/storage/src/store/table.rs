//! The table of a store: the place of each block; the length, nonzeros and checksum of each tile.
//!
//! It has 64 bytes of header, 32 for each block and 24 for each tile. The start of a tile follows
//! from the lengths before it.

use std::ops::Range;
use std::path::Path;

use super::block::{self, TILE_ALIGN, TileRecord};
use super::cut::{Cut, Layout};
use super::files::Fields;
use crate::error::StorageError;

const MAGIC: &[u8; 8] = b"PWTABLE1";
const HEADER: usize = 64;

/// The record of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockRecord {
    /// The number of the block file, and the byte in it.
    pub(super) file: u32,
    pub(super) offset: u64,
    /// Bytes from the header to the end of the padding.
    pub(super) bytes: u64,
    pub(super) nonzeros: u64,
}

impl BlockRecord {
    const BYTES: usize = 32;
}

/// The table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) blocks: Vec<BlockRecord>,
    pub(super) tiles: Vec<TileRecord>,
}

impl Table {
    /// Bytes of the table of a store with this cut.
    pub(super) fn bytes(cut: &Cut) -> u64 {
        (HEADER + cut.blocks() * BlockRecord::BYTES + cut.tiles() * TileRecord::BYTES) as u64
    }

    /// The table as a file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&(self.blocks.len() as u64).to_le_bytes());
        out.extend_from_slice(&(self.tiles.len() as u64).to_le_bytes());
        out.resize(HEADER, 0);
        for block in &self.blocks {
            out.extend_from_slice(&block.file.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&block.offset.to_le_bytes());
            out.extend_from_slice(&block.bytes.to_le_bytes());
            out.extend_from_slice(&block.nonzeros.to_le_bytes());
        }
        self.tiles.iter().for_each(|tile| tile.write(&mut out));
        out
    }

    /// Parses the table `content` of a store with the cut `cut` and block files of `block_files`
    /// bytes.
    ///
    /// Checks everything: blocks follow each other without a gap and fill the files exactly, tiles
    /// fill their blocks, and nothing overflows.
    pub(super) fn parse(content: &[u8], path: &Path, cut: &Cut, block_files: &[u64]) -> Result<Self, StorageError> {
        let damaged = |what: String, expected: u64, found: u64| StorageError::damaged(path, what, expected, found);
        let expected = Self::bytes(cut);
        if content.len() as u64 != expected {
            return Err(damaged("the number of bytes".into(), expected, content.len() as u64));
        }
        let (header, records) = content.split_at(HEADER);
        if &header[..8] != MAGIC {
            let found = header[..8].escape_ascii();
            return Err(StorageError::damaged(path, "the first bytes", MAGIC.escape_ascii(), found));
        }
        for (at, count, what) in [(8, cut.blocks(), "the number of blocks"), (16, cut.tiles(), "the number of tiles")] {
            if header.u64_at(at) != count as u64 {
                return Err(damaged(what.into(), count as u64, header.u64_at(at)));
            }
        }
        let (blocks, tiles) = records.split_at(cut.blocks() * BlockRecord::BYTES);
        let table = Self {
            blocks: blocks
                .chunks_exact(BlockRecord::BYTES)
                .map(|record| BlockRecord {
                    file: record.u32_at(0),
                    offset: record.u64_at(8),
                    bytes: record.u64_at(16),
                    nonzeros: record.u64_at(24),
                })
                .collect(),
            tiles: tiles.chunks_exact(TileRecord::BYTES).map(TileRecord::read).collect(),
        };
        table.check_places(block_files, &damaged)?;
        table.check_tiles(cut, &damaged)?;
        Ok(table)
    }

    /// Checks that blocks follow each other and fill the block files.
    fn check_places(
        &self,
        block_files: &[u64],
        damaged: &dyn Fn(String, u64, u64) -> StorageError,
    ) -> Result<(), StorageError> {
        let (mut file, mut end) = (0u32, 0u64);
        for (number, block) in self.blocks.iter().enumerate() {
            if block.file != file && block_files.get(file as usize) == Some(&end) {
                (file, end) = (file + 1, 0);
            }
            if block.file != file {
                return Err(damaged(format!("the file of block {number}"), file.into(), block.file.into()));
            }
            if block.offset != end {
                return Err(damaged(format!("the place of block {number}"), end, block.offset));
            }
            let room = block_files.get(file as usize).copied().unwrap_or(0) - end;
            if block.bytes > room {
                return Err(damaged(format!("the size of block {number} (at most)"), room, block.bytes));
            }
            end += block.bytes;
        }
        let used = if self.blocks.is_empty() { 0 } else { file as usize + 1 };
        if used != block_files.len() {
            return Err(damaged("the number of block files".into(), block_files.len() as u64, used as u64));
        }
        match block_files.last() {
            Some(&last) if last != end => Err(damaged("the end of the last block".into(), last, end)),
            _ => Ok(()),
        }
    }

    /// Checks that tiles fill their blocks and have their nonzeros.
    fn check_tiles(&self, cut: &Cut, damaged: &dyn Fn(String, u64, u64) -> StorageError) -> Result<(), StorageError> {
        for (number, block) in self.blocks.iter().enumerate() {
            let tiles = &self.tiles[cut.block_tiles(number)];
            let size = block::size(tiles).unwrap_or(u64::MAX);
            if size != block.bytes {
                return Err(damaged(format!("the size of the tiles of block {number}"), block.bytes, size));
            }
            let mut nonzeros = 0u64;
            for (tile, record) in cut.block_tiles(number).zip(tiles) {
                let values = cut.tile_rows_of(tile).len() as u64 * cut.genes as u64;
                if record.nonzeros > values {
                    return Err(damaged(format!("the nonzeros of tile {tile} (at most)"), values, record.nonzeros));
                }
                if cut.layout == Layout::Dense && record.bytes != 4 * values {
                    return Err(damaged(format!("the size of tile {tile}"), 4 * values, record.bytes));
                }
                nonzeros += record.nonzeros;
            }
            if nonzeros != block.nonzeros {
                return Err(damaged(format!("the nonzeros of block {number}"), nonzeros, block.nonzeros));
            }
        }
        Ok(())
    }

    /// The bytes of a tile, counted over the whole store, in its block file. The table has been checked: nothing
    /// overflows.
    pub(super) fn tile_place(&self, cut: &Cut, tile: usize) -> Range<u64> {
        let block = cut.block_of_tile(tile);
        let tiles = cut.block_tiles(block);
        let before: u64 =
            self.tiles[tiles.start..tile].iter().map(|tile| tile.bytes.next_multiple_of(TILE_ALIGN)).sum();
        let start = self.blocks[block].offset + block::first_tile(tiles.len()) + before;
        start..start + self.tiles[tile].bytes
    }

    /// Nonzeros of all blocks.
    pub(super) fn nonzeros(&self) -> u64 {
        self.blocks.iter().map(|block| block.nonzeros).sum()
    }
}
