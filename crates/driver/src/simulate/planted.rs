//! The common interface of all kinds of planted data: rows, a tile at a time.

use partwise_storage::source::RowChunk;

/// A generator of rows whose truth is known. Everything is a pure function of the generator and the
/// tile's number, so tiles may be made in any order, by any thread, and twice.
///
/// To write a new one, add a file beside `clusters.rs`, a variant of
/// [`SimulateKind`](super::SimulateKind), and its line in [`simulate`](super::simulate()).
pub(super) trait Planted: Sync {
    /// Genes m.
    fn genes(&self) -> usize;

    /// Rows of every tile but the last; a function of the shape only.
    fn tile_rows(&self) -> usize;

    /// The planted programs, m × p row-major.
    fn profiles(&self) -> &[f32];

    /// The truth in the first `rows` rows of tile `tile`. Cheap: makes nothing of the rows
    /// themselves.
    fn truth(&self, tile: usize, rows: usize) -> Truth;

    /// The first `rows` rows of tile `tile`: sorted and free of zeros where sparse.
    fn rows(&self, tile: usize, rows: usize) -> RowChunk;
}

/// The truth in the rows of a tile.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// The dominant program of each row.
    pub(super) clusters: Vec<u32>,
    /// The expected sum of each row, if the kind of data has one; empty otherwise.
    pub(super) library_sizes: Vec<f32>,
}
