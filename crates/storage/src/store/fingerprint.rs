//! The fingerprint of a store's content.

use super::Store;
use super::cut::Layout;

/// Offset and prime of 128-bit FNV-1a.
const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

impl Store {
    /// A hash of the shape, the cut and the length, nonzeros and checksum of every tile, as 32
    /// hexadecimal digits. Stores of the same matrix with the same cut have the same one, at any
    /// place and time. It does not protect against forgery.
    ///
    /// Costs O(tiles); reads nothing.
    pub fn fingerprint(&self) -> String {
        let cut = &self.cut;
        let shape = [cut.cells, cut.genes, cut.block_rows, cut.tile_rows, usize::from(cut.layout == Layout::Dense)];
        let shape = shape.into_iter().map(|number| number as u64);
        let tiles = self.table.tiles.iter().flat_map(|tile| [tile.bytes, tile.nonzeros, u64::from(tile.crc)]);
        let bytes = shape.chain(tiles).flat_map(u64::to_le_bytes);
        let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
        format!("{hash:032x}")
    }
}
