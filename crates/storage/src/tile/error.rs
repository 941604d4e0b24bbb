//! Damage in the bytes of a tile.

/// Damage in the bytes of a tile. Callers that know the file add path, block and rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// A length, count or code in the tile contradicts another one.
    #[error("{what} should be {expected}, found {found}")]
    Mismatch {
        /// The length, count or code.
        what: &'static str,
        /// The value that the rest of the tile or of the store requires.
        expected: u64,
        /// The value found.
        found: u64,
    },
    /// The checksum differs from that of the table.
    #[error("its checksum should be {expected:08x}, found {found:08x}")]
    Checksum {
        /// The checksum in the table.
        expected: u32,
        /// The checksum of the bytes.
        found: u32,
    },
}
