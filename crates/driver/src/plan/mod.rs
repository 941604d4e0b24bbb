//! What was decided before a byte is read: threads, buffers, where W lies, and how much memory all of it takes.
//!
//! | file    | question                                        |
//! |---------|-------------------------------------------------|
//! | `shape` | what is a plan made for?                         |
//! | `caps`  | how large may the sample of the start be?        |
//! | `peak`  | how much memory does a fit take?                 |
//! | `probe` | how long does a pass take?                       |
//! | `nodes` | how much shorter is it on many nodes?            |

mod caps;
pub mod nodes;
mod peak;
mod probe;
mod shape;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::config::{InitSpec, NmfConfig, ScaleSpec, SolverSpec};
use crate::error::ConfigError;
use crate::solve::Rules;
use crate::spectra::GENE_CHUNK;
use crate::usages::UsagesPlace;
use caps::sample_caps;
use peak::{Held, Sizes};

pub use probe::{PassTime, Probe};
pub use shape::{DataShape, Machine};

/// Bytes of a segment where the budget is ample; smaller reads cost more system calls, larger ones leave the cache.
const SEGMENT_BYTES: u64 = 2 << 20;

/// How W and H start, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Init {
    /// A fit of a weighted sample of at most so many entries and rows.
    Sample {
        /// Stored entries at most.
        entries: u64,
        /// Rows at most.
        rows: usize,
    },
    /// Random.
    Random,
    /// An earlier result.
    Given(PathBuf),
}

/// A fit, decided. Made by [`NmfConfig::plan`]; the driver takes nothing else.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    /// Components k.
    pub k: usize,
    /// Update rules.
    pub rules: Rules,
    /// Start.
    pub init: Init,
    /// Scaling of genes.
    pub scale: ScaleSpec,
    /// Most reads of all of X.
    pub max_passes: usize,
    /// Relative decrease that counts as none.
    pub tol: f64,
    /// Seed.
    pub seed: u64,
    /// Compute threads; fewer than wanted where the budget does not carry more.
    pub threads: usize,
    /// Threads of what is done gene by gene between passes; more than compute threads where there are fewer blocks than
    /// threads.
    pub pool_threads: usize,
    /// Compute threads wanted.
    pub threads_wanted: usize,
    /// Bytes read at once.
    pub segment_bytes: u64,
    /// Whether the store is small enough to be mapped into memory as a whole.
    pub map_store: bool,
    /// Bytes of packed blocks, the first ones of the store, that are read in the first pass and stay in memory; the rest is
    /// read in every pass.
    pub pinned_bytes: u64,
    /// Bytes of packed blocks after these that are left to the system's page cache; what is beyond is dropped from there
    /// once it is read, so that it does not push them out.
    pub cached_bytes: u64,
    /// Where W lies.
    pub usages: UsagesPlace,
    /// Packed bytes that a pass of this process reads.
    pub pass_bytes: u64,
    /// Peak resident bytes foreseen.
    pub peak_bytes: u64,
    /// The budget.
    pub memory: u64,
}

impl Plan {
    /// Bytes that each pass after the first has to read because they are not kept in memory.
    pub fn read_bytes(&self) -> u64 {
        if self.map_store { 0 } else { self.pass_bytes - self.pinned_bytes }
    }
}

impl NmfConfig {
    /// Decides how to carry out these settings on a matrix of this shape with this machine. Pure: reads nothing.
    ///
    /// Takes scratch files for W, smaller segments and fewer threads, in that order, before it gives up. What then remains of
    /// the budget holds the whole store, mapped, or as many of its blocks as fit.
    ///
    /// # Errors
    ///
    /// - [`ConfigError::Components`]: k is zero or larger than cells or genes.
    /// - [`ConfigError::Empty`]: there is nothing to factorize.
    /// - [`ConfigError::Number`], [`ConfigError::Zero`], [`ConfigError::SamplePasses`]: a setting out of range.
    /// - [`ConfigError::Memory`]: not even one thread with the smallest buffers fits; says what would.
    pub fn plan(&self, shape: &DataShape, machine: &Machine) -> Result<Plan, ConfigError> {
        self.validate(shape, machine)?;
        let (rules, init) = self.resolve(shape);
        let sizes = Sizes {
            shape,
            machine,
            k: self.k,
            scaled: self.scale == ScaleSpec::Std,
            sampled: matches!(init, Init::Sample { .. }),
            passes: self.max_passes - usize::from(matches!(init, Init::Sample { .. })),
        };
        let streamed =
            |threads, segment| Held { threads, pool: threads, segment, usages: false, mapped: false, pinned: 0 };
        let scratch = self.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let wanted = machine.threads.min(shape.own_blocks().max(1));

        // All threads with W on disk come before fewer threads with W in memory: W moves once a pass, in order.
        let segment_choices = [SEGMENT_BYTES, SEGMENT_BYTES / 4, 0].map(|bytes| bytes.max(sizes.smallest_segment()));
        let (threads, segment_bytes) = (1..=wanted)
            .rev()
            .flat_map(|threads| segment_choices.map(|segment| (threads, segment)))
            .find(|&(threads, segment)| sizes.peak(streamed(threads, segment)) <= machine.memory)
            .ok_or_else(|| ConfigError::Memory {
                budget: machine.memory,
                needed: sizes.smallest(),
                lower_blocks: sizes.lower_blocks(),
            })?;
        let held = streamed(threads, segment_bytes);
        // What has no block to fold can help with the genes, as long as there are chunks of them.
        let useful = machine.threads.min(shape.genes.div_ceil(GENE_CHUNK)).max(threads);
        let pool = match threads == wanted {
            true => (threads..=useful).rev().find(|&pool| sizes.peak(Held { pool, ..held }) <= machine.memory),
            false => None,
        };
        let held = Held { pool: pool.unwrap_or(threads), ..held };
        let in_memory = sizes.peak(Held { usages: true, ..held }) <= machine.memory;
        let held = Held { usages: in_memory, ..held };
        let map_store = sizes.peak(Held { mapped: true, ..held }) <= machine.memory;
        let held = Held { mapped: map_store, ..held };
        let pinned = if map_store { 0 } else { sizes.room(held) };
        let held = Held { pinned, ..held };

        Ok(Plan {
            k: self.k,
            rules,
            init,
            scale: self.scale,
            max_passes: self.max_passes,
            tol: self.tol,
            seed: self.seed,
            threads,
            pool_threads: held.pool,
            threads_wanted: machine.threads,
            segment_bytes,
            map_store,
            pinned_bytes: pinned,
            cached_bytes: machine.cache,
            usages: if in_memory { UsagesPlace::Memory } else { UsagesPlace::Disk(scratch) },
            pass_bytes: shape.own_bytes,
            peak_bytes: sizes.peak(held),
            memory: machine.memory,
        })
    }

    fn validate(&self, shape: &DataShape, machine: &Machine) -> Result<(), ConfigError> {
        let DataShape { cells, genes, nonzeros, .. } = *shape;
        if nonzeros == 0 {
            return Err(ConfigError::Empty { cells, genes });
        }
        let most = cells.min(genes);
        if self.k == 0 || self.k > most {
            return Err(ConfigError::Components { k: self.k, cells, genes, most });
        }
        if !self.tol.is_finite() || self.tol < 0.0 {
            return Err(ConfigError::Number { name: "tol", value: self.tol });
        }
        if self.init == InitSpec::Sample && self.max_passes == 1 {
            return Err(ConfigError::SamplePasses);
        }
        for (name, value) in [("max-passes", self.max_passes), ("threads", machine.threads)] {
            if value == 0 {
                return Err(ConfigError::Zero { name });
            }
        }
        Ok(())
    }

    fn resolve(&self, shape: &DataShape) -> (Rules, Init) {
        let rules = match self.solver {
            SolverSpec::Auto => Rules::EXTRAPOLATED,
            SolverSpec::Hals => Rules::PLAIN,
            SolverSpec::Mu => Rules::MULTIPLICATIVE,
            SolverSpec::Bpp => Rules::EXACT,
        };
        let caps = sample_caps(self.k, shape);
        let sample = Init::Sample { entries: caps.entries, rows: caps.rows };
        let init = match (&self.init, self.solver) {
            (InitSpec::Given(path), _) => Init::Given(path.clone()),
            (InitSpec::Sample, _) => sample,
            (InitSpec::Random, _) => Init::Random,
            // As published; and a sample takes a pass of its own.
            (InitSpec::Auto, SolverSpec::Mu) => Init::Random,
            (InitSpec::Auto, _) => {
                if self.max_passes > 1 {
                    sample
                } else {
                    Init::Random
                }
            }
        };
        (rules, init)
    }
}
