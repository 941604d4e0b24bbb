//! The codec of tiles: a few rows of the matrix, packed in gene order.
//!
//! A **tile** holds up to [`TILE_ROWS`] consecutive rows. Its nonzeros are in gene order: the
//! nonzeros of one gene are a **run**, rows ascending. In this order both products of a pass keep
//! the gene's factors in registers and the tile's rows in L1. A row is one byte, and the values of
//! a gene are similar, so that they need few bits.
//!
//! # Sections of a tile
//!
//! | section    | holds                                                                                    |
//! |------------|------------------------------------------------------------------------------------------|
//! | header     | value mode, rows, runs, nonzeros, the lengths of the sections below                      |
//! | genes      | a bitmap of the genes that have a run                                                    |
//! | counts     | a byte for each run: its nonzeros, less one                                              |
//! | widths     | half a byte for each run: how many bits a value code of it takes                         |
//! | rows       | for each run its rows: a list of bytes, a map of 256 bits, or packed                     |
//! | patches    | for the few runs with outliers: where they are and their high bits                       |
//! | dictionary | for each row its distinct values, if the mode asks for it                                |
//! | values     | the value codes of all runs, bit after bit (or plain floats)                             |
//! | padding    | 64 bytes of zero, so that wide loads never leave the tile                                |
//!
//! The **mode** defines the codes. In *counts* a code is the value less one. In *dictionary* it is
//! the place of the value among the distinct values of its row (library-size normalised rows have
//! 20–30 of them). In *raw* the codes are the floats themselves. Integers from 1 to 2²⁴ are counts;
//! other values use the smaller of the other two modes. All three preserve every bit of every
//! value. `docs/format.md` specifies the bytes.
//!
//! Skipping a run takes only its count, its width and, if it is patched, two bytes of its patch: a
//! reader need not decode all genes.

mod batch;
mod decode;
mod dense;
mod dictionary;
mod encode;
mod error;
mod header;
mod moments;
mod pack;
mod patch;
mod row_code;
mod rows;
mod sheet;
mod simd;
mod sparse;
mod take;
#[cfg(test)]
mod tests;
mod width;

pub use batch::{BATCH_NONZEROS, RunBatch};
pub use decode::RunDecoder;
pub use dense::{DenseTile, encode_dense};
pub use encode::{CsrRows, TileEncoder};
pub use error::TileError;
pub use moments::{CellMoments, GeneShare, GeneSums, TileMoments};
pub(crate) use row_code::packs_rows;
pub(crate) use rows::Rows;
pub use sheet::SHEET_NONZEROS;
pub use sparse::SparseTile;
pub use take::{ChosenRow, TakeScratch, TakenRows};

/// Rows of a sparse tile: as many as one byte distinguishes.
pub const TILE_ROWS: usize = 256;

/// The longest run whose rows are listed, a byte each. Longer runs have a map of 256 bits. (A tile of
/// short runs packs the rows of some of both.)
pub const LISTED_ROWS: usize = 32;

/// Zero bytes at the end of each sparse tile.
pub const TILE_PADDING: usize = 64;

/// The largest value that the mode *counts* holds: 2²⁴, up to which `f32` holds every integer.
pub const MAX_COUNT: f32 = 16_777_216.0;

/// A tile in the bytes of a block.
#[derive(Clone, Copy, Debug)]
pub enum Tile<'a> {
    /// Runs in gene order, packed.
    Sparse(SparseTile<'a>),
    /// All values, row-major.
    Dense(DenseTile<'a>),
}

/// Whether `value` is an integer that the mode *counts* holds.
fn is_count(value: f32) -> bool {
    (1.0..=MAX_COUNT).contains(&value) && value == (value as u32) as f32
}
