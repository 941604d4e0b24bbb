//! Why the bytes of a tile make no sense.

/// What is wrong with the bytes of a tile. Whoever knows the file adds path, block and rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// A length, count or code in the tile contradicts another one.
    #[error("{what} should be {expected}, found {found}")]
    Mismatch {
        /// Which of them.
        what: &'static str,
        /// What the rest of the tile or of the store says.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// The checksum is not the one that the table has.
    #[error("its checksum should be {expected:08x}, found {found:08x}")]
    Checksum {
        /// The checksum in the table.
        expected: u32,
        /// The checksum of the bytes.
        found: u32,
    },
}
