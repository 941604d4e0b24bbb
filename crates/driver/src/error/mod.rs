//! Why a fit cannot be planned, and why it ends without a result.
//!
//! Errors carry data. Only the program knows which option is the remedy.

mod checkpoint;
mod hvg;

use std::ops::RangeInclusive;
use std::path::PathBuf;

use partwise_storage::StorageError;

use crate::comm::{CommError, Elsewhere};

pub use checkpoint::CheckpointError;
pub use hvg::HvgError;

/// Blocks of fewer rows, with which a fit needs less memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowerBlocks {
    /// Rows of a block.
    pub block_rows: usize,
    /// The smallest budget that suffices with them, bytes.
    pub needed: u64,
}

/// A setting that cannot be carried out, found before any block is read.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `k` is zero or larger than the matrix allows.
    #[error("k = {k} components do not fit {cells} cells x {genes} genes; choose 1 ≤ k ≤ {most}")]
    Components {
        /// The k asked for.
        k: usize,
        /// Cells of the data.
        cells: usize,
        /// Genes of the data.
        genes: usize,
        /// The largest k possible here.
        most: usize,
    },
    /// The matrix has no nonzero entry.
    #[error("the matrix has no nonzero entry among {cells} cells x {genes} genes: nothing to factorize")]
    Empty {
        /// Cells of the data.
        cells: usize,
        /// Genes of the data.
        genes: usize,
    },
    /// The genes and cells that are kept have no nonzero entry.
    #[error("no nonzero entry is left in {cells} cells x {genes} genes; keep more of them")]
    NothingKept {
        /// Cells that are kept.
        cells: usize,
        /// Genes that are kept.
        genes: usize,
    },
    /// The memory budget is too small for one block in flight.
    #[error("a memory budget of {budget} bytes is too small for this run; the smallest is {needed} bytes")]
    Memory {
        /// The budget given, bytes.
        budget: u64,
        /// The smallest budget that suffices, bytes.
        needed: u64,
        /// Lower blocks, if they need less.
        lower_blocks: Option<LowerBlocks>,
    },
    /// A start from a sample takes a pass, and the fit needs at least one more.
    #[error(
        "a start from a sample reads the data once and needs at least one more pass; allow two, or start at random"
    )]
    SamplePasses,
    /// A number that must be finite and not negative.
    #[error("{name} must be a finite number ≥ 0, not {value}")]
    Number {
        /// Name of the setting.
        name: &'static str,
        /// The value given.
        value: f64,
    },
    /// A list of k or of seeds has a value twice, or no value.
    #[error("the list of {name} {problem}")]
    List {
        /// Name of the list.
        name: &'static str,
        /// The problem with it.
        problem: String,
    },
    /// Fewer than two replicates of a k.
    #[error("a sweep needs two replicates or more of each k, not {replicates}")]
    Replicates {
        /// How many were asked for.
        replicates: usize,
    },
    /// An earlier result can start only one fit, and there are several.
    #[error("an earlier result is a start for one k and one seed, not for {fits} fits")]
    GivenForMany {
        /// How many fits there are.
        fits: usize,
    },
    /// Zero passes or zero threads.
    #[error("{name} must be at least 1")]
    Zero {
        /// Name of the setting.
        name: &'static str,
    },
}

/// Why a fit ended without a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// Reading the store, or writing a result, failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The scratch file for usages that do not fit in memory failed.
    #[error("scratch file for the usages in {folder}: {source}", folder = folder.display())]
    Scratch {
        /// Where the scratch file lies.
        folder: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The start from an earlier result does not fit the data.
    #[error("{path}: {found}, but the data and settings need {expected}", path = path.display())]
    Start {
        /// The earlier result.
        path: PathBuf,
        /// The shape that the fit needs.
        expected: String,
        /// The content of the file.
        found: String,
    },
    /// Products with the values of the earlier result to start from overflow 32-bit floats.
    #[error(
        "{}: products with its values overflow 32-bit floats: obsm[\"X_nmf\"] has values from {:e} to {:e}, \
         varm[\"spectra\"] from {:e} to {:e}; start from a result of these data, or from another start",
        path.display(), usages.start(), usages.end(), spectra.start(), spectra.end()
    )]
    StartRange {
        /// The earlier result.
        path: PathBuf,
        /// The smallest and the largest value of W above zero.
        usages: RangeInclusive<f32>,
        /// The same of H.
        spectra: RangeInclusive<f32>,
    },
    /// Values so small or large that their products leave the range of 32-bit floats.
    #[error(
        "the nonzeros of this matrix are about {size:e}, too small or too large for products of 32-bit floats; multiply \
         it by a power of ten that brings them near one"
    )]
    Magnitude {
        /// Root mean square of the nonzeros, genes scaled.
        size: f64,
    },
    /// Products of these rows overflow 32-bit floats.
    #[error(
        "rows {first_row} to {last_row}: the products of the pass overflow 32-bit floats; divide the matrix by a power \
         of ten, its values are too large or too far apart"
    )]
    Range {
        /// First row of the block.
        first_row: usize,
        /// Last row of the block.
        last_row: usize,
    },
    /// All cells are alike.
    #[error("the {cells} cells x {genes} genes do not vary: there are no principal components")]
    Constant {
        /// Cells.
        cells: usize,
        /// Genes.
        genes: usize,
    },
    /// Genes cannot be selected as asked.
    #[error(transparent)]
    Hvg(#[from] HvgError),
    /// The system did not start a thread.
    #[error("cannot start a thread: {message}; try fewer threads")]
    Threads {
        /// The system's message.
        message: String,
    },
    /// A packed tile in memory does not decode: a defect of this crate.
    #[error("a tile in memory is damaged: {0}")]
    Memory(partwise_storage::tile::TileError),
    /// The folder cannot hold checkpoints, or the fit cannot resume from those in it.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The processes have been given different settings.
    #[error("process {rank} and process 0 have different settings: {differences}")]
    Settings {
        /// The process that differs.
        rank: usize,
        /// The differences.
        differences: String,
    },
    /// Another process has failed, and reports the reason itself.
    #[error(transparent)]
    Elsewhere(#[from] Elsewhere),
    /// Another process is lost.
    #[error(transparent)]
    Comm(#[from] CommError),
    /// The user asked to stop.
    #[error("interrupted")]
    Cancelled,
}
