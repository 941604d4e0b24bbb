//! The bytes of a block in a block file: header, directory of its tiles, tiles, zeros up to a
//! multiple of 4 KiB.
//!
//! The directory equals the block's part of the table, so that the blocks alone suffice to check a
//! file or to rebuild a lost table. Tiles start at multiples of [`TILE_ALIGN`] from the start of
//! the block.

use super::cut::{Cut, Layout};
use super::files::Fields;

/// Blocks start and end at multiples of this.
pub(super) const BLOCK_ALIGN: u64 = 4096;

/// Tiles start at multiples of this.
pub(super) const TILE_ALIGN: u64 = 64;

/// Bytes of the header of a block.
pub(super) const HEADER: usize = 64;

const MAGIC: &[u8; 8] = b"PWBLOCK1";

/// The record of a tile in the table and in the directory of its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TileRecord {
    pub(super) bytes: u64,
    pub(super) nonzeros: u64,
    pub(super) crc: u32,
}

impl TileRecord {
    pub(super) const BYTES: usize = 24;

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.extend_from_slice(&self.nonzeros.to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
    }

    pub(super) fn read(record: &[u8]) -> Self {
        Self { bytes: record.u64_at(0), nonzeros: record.u64_at(8), crc: record.u32_at(16) }
    }

    /// The bytes up to the next tile; `None` if that overflows.
    pub(super) fn padded(&self) -> Option<u64> {
        self.bytes.checked_next_multiple_of(TILE_ALIGN)
    }
}

/// The position of the first tile in a block of `tiles` tiles.
pub(super) fn first_tile(tiles: usize) -> u64 {
    ((HEADER + tiles * TileRecord::BYTES) as u64).next_multiple_of(TILE_ALIGN)
}

/// Bytes of a block with these tiles; `None` if that overflows.
pub(super) fn size(tiles: &[TileRecord]) -> Option<u64> {
    let end = tiles.iter().try_fold(first_tile(tiles.len()), |end, tile| end.checked_add(tile.padded()?))?;
    end.checked_next_multiple_of(BLOCK_ALIGN)
}

/// Header and directory of block `block`, with the zeros before its first tile.
pub(super) fn head(cut: &Cut, block: usize, tiles: &[TileRecord]) -> Vec<u8> {
    let rows = cut.block_rows_of(block);
    let mut directory = Vec::new();
    tiles.iter().for_each(|tile| tile.write(&mut directory));
    let mut head = Vec::with_capacity(first_tile(tiles.len()) as usize);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&(block as u64).to_le_bytes());
    head.extend_from_slice(&(rows.start as u64).to_le_bytes());
    head.extend_from_slice(&(rows.len() as u32).to_le_bytes());
    head.extend_from_slice(&(tiles.len() as u32).to_le_bytes());
    head.extend_from_slice(&tiles.iter().map(|tile| tile.nonzeros).sum::<u64>().to_le_bytes());
    head.extend_from_slice(&size(tiles).expect("the size of a block that is there").to_le_bytes());
    head.extend_from_slice(&(cut.tile_rows as u32).to_le_bytes());
    head.extend_from_slice(&u32::from(cut.layout == Layout::Dense).to_le_bytes());
    head.extend_from_slice(&crc32c::crc32c(&directory).to_le_bytes());
    head.extend_from_slice(&crc32c::crc32c(&head).to_le_bytes());
    debug_assert_eq!(head.len(), HEADER);
    head.append(&mut directory);
    head.resize(first_tile(tiles.len()) as usize, 0);
    head
}
