//! Planted data of any size, with the truth in it: for trying things out, for tests, and for
//! judging a factorization.
//!
//! Rows are made a tile at a time, tiles in parallel and written in order, so that a file far
//! larger than memory takes a few MiB. Each tile has random streams of its own, so any number of
//! threads gives the same file.
//!
//! | file       | question                                      |
//! |------------|-----------------------------------------------|
//! | `planted`  | what does a kind of planted data have to give? |
//! | `clusters` | one program a cell, Gaussian noise, dense      |
//! | `counts`   | single-cell counts, sparse                     |
//! | `stream`   | which random stream is used for what?          |
//! | `write`    | how do tiles become an AnnData file?           |

mod clusters;
mod counts;
mod planted;
mod stream;
mod write;

use std::path::Path;

use partwise_storage::store::Overwrite;
use partwise_storage::{Monitor, StorageError};

use clusters::Clusters;
use counts::Counts;
pub use counts::{DEFAULT_DEPTH, DEFAULT_DOMINANCE};
use planted::Planted;

use crate::Machine;

/// Which kind of data to make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SimulateKind {
    /// Every cell is one of p programs (m values uniform in 0 to 1) plus Gaussian noise whose
    /// standard deviation is the program itself, cut at zero. Dense; separates cleanly. Choose it
    /// to see whether clusters are found.
    Clusters,
    /// Single-cell counts: programs that share housekeeping genes, a mixture of them in every cell,
    /// log-normal library sizes, negative-binomial noise. Sparse integers. Choose it for anything
    /// about size and speed.
    Counts {
        /// Molecules a cell holds on average; [`DEFAULT_DEPTH`] makes 5 % of 20,000 genes nonzero.
        depth: f64,
        /// Part of a cell that one of its programs has on average, 0 to 1; at 0 there are no cell
        /// types but a continuum, which is hard to factorize. [`DEFAULT_DOMINANCE`] gives types
        /// that are easy to tell apart.
        dominance: f64,
    },
}

/// The data to make. Start from [`new`](Self::new) and change what differs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SimulateConfig {
    /// Which kind of data.
    pub kind: SimulateKind,
    /// Cells n.
    pub cells: usize,
    /// Genes m.
    pub genes: usize,
    /// Planted programs p.
    pub programs: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl SimulateConfig {
    /// Data of this kind and shape, seed 0.
    pub fn new(kind: SimulateKind, cells: usize, genes: usize, programs: usize) -> Self {
        SimulateConfig { kind, cells, genes, programs, seed: 0 }
    }

    /// Sets the seed.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// The data made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// Values that are not zero.
    pub nonzeros: u64,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// A setting out of range.
    #[error("{name} = {value} cannot be simulated; choose {range}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// The value given.
        value: f64,
        /// The values allowed.
        range: &'static str,
    },
    /// The budget does not hold the programs and two tiles.
    #[error(
        "a memory budget of {budget} bytes is too small for {genes} genes and {programs} programs; raise it to \
         {needed} bytes"
    )]
    Memory {
        /// The budget given, bytes.
        budget: u64,
        /// The smallest budget that suffices, bytes.
        needed: u64,
        /// Genes asked for.
        genes: usize,
        /// Programs asked for.
        programs: usize,
    },
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {message}; ask for fewer")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// The system's message.
        message: String,
    },
    /// The file could not be written, or the monitor asked for a stop.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Makes planted data as an AnnData file at `dest`, which appears whole or not at all.
///
/// | where              | what                                                                  |
/// |--------------------|-----------------------------------------------------------------------|
/// | `X`                | n × m, f32; dense for clusters, compressed sparse rows for counts       |
/// | `obs`              | `cluster`: the (dominant) program of the cell, a categorical of 0 … p − 1 |
/// |                    | `library_size`: the sum that was planted for the row (counts)           |
/// | `varm["programs"]` | m × p: the planted programs, one a column                              |
/// | `uns["simulate"]`  | the settings                                                          |
///
/// The file depends on `config` alone. Costs O(n·m) for clusters and O(molecules) for counts. Takes
/// at most the memory of the machine, 12·m·p bytes of it for the programs.
///
/// # Errors
///
/// - [`SimulateError::Setting`]: no cells, genes or programs, more genes than 2³² − 1, or a depth
///   that is not a positive number.
/// - [`SimulateError::Memory`]: the budget does not hold the programs and two tiles.
/// - [`SimulateError::Threads`]: the system starts no threads.
/// - [`SimulateError::Storage`]: `dest` exists or cannot be written, or the monitor asked for a
///   stop. Nothing is left then.
pub fn simulate(
    config: &SimulateConfig,
    dest: &Path,
    overwrite: Overwrite,
    machine: &Machine,
    monitor: &dyn Monitor,
) -> Result<Simulated, SimulateError> {
    check(config)?;
    let tiles = write::tiles_at_once(config, machine)?;
    let (genes, programs) = (config.genes, config.programs);
    let planted: Box<dyn Planted> = match config.kind {
        SimulateKind::Clusters => Box::new(Clusters::new(genes, programs, config.seed)),
        SimulateKind::Counts { depth, dominance } => {
            Box::new(Counts::new(genes, programs, depth, dominance, config.seed))
        }
    };
    write::write(&*planted, config, dest, overwrite, (machine.threads, tiles), monitor)
}

fn check(config: &SimulateConfig) -> Result<(), SimulateError> {
    let counts = [("cells", config.cells), ("genes", config.genes), ("programs", config.programs)];
    for (name, value) in counts {
        let (most, range) = match name {
            // Row pointers of the file have 63 bits, and so have sizes in bytes.
            "cells" => (1 << 40, "a number from 1 to 2^40"),
            _ => (u32::MAX as usize, "a number from 1 to 4,294,967,295"),
        };
        if value == 0 || value > most {
            return Err(SimulateError::Setting { name, value: value as f64, range });
        }
    }
    match config.kind {
        SimulateKind::Counts { depth, .. } if !(depth > 0.0 && depth <= 1e9) => Err(SimulateError::Setting {
            name: "depth",
            value: depth,
            range: "a number of molecules above 0 up to 1e9",
        }),
        SimulateKind::Counts { dominance, .. } if !(0.0..=1.0).contains(&dominance) => {
            Err(SimulateError::Setting { name: "dominance", value: dominance, range: "a number from 0 to 1" })
        }
        _ => Ok(()),
    }
}
