//! The decisions before a byte is read: threads, buffers, waves, the place of W, and the memory
//! that all of it takes. Pure: nothing here reads or measures.
//!
//! | file   | question                              |
//! |--------|---------------------------------------|
//! | `caps` | how large may the sample of a start be? |
//! | `peak` | how much memory do fits take?         |
//! | `rows` | how is a pass planned that computes numbers for each row? |

mod caps;
pub(crate) mod peak;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Range;

use crate::config::{FitSet, InitSpec, NmfConfig, ScaleSpec, SolverSpec};
use crate::error::ConfigError;
use crate::model::{Init, Limits, Model, Rules};
use crate::monitor::FitId;
use crate::shape::{DataShape, Machine};
use crate::spectra::GENE_CHUNK;
use crate::usages::UsagesPlace;
use caps::sample_caps;
use peak::{Held, Sizes};
pub use rows::RowsPlan;

/// Bytes of a segment if the budget is ample. Smaller reads cost more system calls, larger ones
/// leave the cache.
pub(crate) const SEGMENT_BYTES: u64 = 2 << 20;

/// Most fits of a wave: each may have two scratch files, and a process may open about a thousand files.
const MOST_FITS_OF_A_WAVE: usize = 200;

/// How fits are carried out; none of it shows in a result.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Execution {
    /// Compute threads; fewer than wanted if the budget does not carry more.
    pub threads: usize,
    /// Threads of the loops over genes between passes; more than compute threads if there are fewer
    /// blocks than threads.
    pub pool_threads: usize,
    /// Compute threads wanted.
    pub threads_wanted: usize,
    /// Bytes read at once.
    pub segment_bytes: u64,
    /// Whether the store is small enough to be mapped into memory as a whole.
    pub map_store: bool,
    /// Bytes of packed blocks, the first ones of the store, that the first pass reads and keeps in
    /// memory; every pass reads the rest.
    pub pinned_bytes: u64,
    /// Bytes of packed blocks after these that are left to the system's page cache. The reader
    /// drops the blocks beyond from the cache once they are read, so that they do not push out the
    /// others.
    pub cached_bytes: u64,
    /// Where W lies.
    pub usages: UsagesPlace,
    /// Whether genes are scored after the passes.
    pub scores: bool,
    /// Fits that share their passes, as ranges of [`Plan::models`]; several waves if not all of
    /// them fit into the memory together.
    pub waves: Vec<Range<usize>>,
    /// Packed bytes that a pass of this process reads.
    pub pass_bytes: u64,
    /// Predicted peak of resident bytes.
    pub peak_bytes: u64,
    /// The budget.
    pub memory: u64,
}

impl Execution {
    /// Bytes that each pass after the first has to read because they are not kept in memory.
    pub fn read_bytes(&self) -> u64 {
        if self.map_store { 0 } else { self.pass_bytes - self.pinned_bytes }
    }
}

/// One fit or several, decided. Made by [`NmfConfig::plan`] and [`FitSet::plan`]; the driver takes
/// nothing else.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    /// The fits: all that shapes their bits.
    pub models: Vec<Model>,
    /// Whether they are a set, with a folder of checkpoints for each.
    pub is_set: bool,
    /// How they are carried out.
    pub execution: Execution,
}

impl Plan {
    /// The only fit, or the first of several.
    ///
    /// # Panics
    ///
    /// When all fits of a set were left out.
    pub fn model(&self) -> &Model {
        &self.models[0]
    }
}

impl NmfConfig {
    /// Decides how to carry out these settings on a matrix of this shape with this machine. Pure:
    /// reads nothing.
    ///
    /// Takes scratch files for W, smaller segments and fewer threads, in that order, before it
    /// gives up. The rest of the budget holds the whole store, mapped, or as many of its blocks as
    /// fit.
    ///
    /// # Errors
    ///
    /// - [`ConfigError::Components`]: k is zero or larger than cells or genes.
    /// - [`ConfigError::Empty`]: there is nothing to factorize.
    /// - [`ConfigError::Number`], [`ConfigError::Zero`], [`ConfigError::SamplePasses`]: a setting
    ///   out of range.
    /// - [`ConfigError::Memory`]: not even one thread with the smallest buffers fits; states the
    ///   minimum.
    pub fn plan(&self, shape: &DataShape, machine: &Machine) -> Result<Plan, ConfigError> {
        FitSet::new(self.clone()).plan(shape, machine)
    }
}

impl FitSet {
    /// Decides how to carry out these fits; those that do not fit into the memory together run in
    /// waves. As [`NmfConfig::plan`] otherwise.
    ///
    /// # Errors
    ///
    /// As [`NmfConfig::plan`], and:
    ///
    /// - [`ConfigError::List`]: a k or a seed comes twice, or there is none.
    /// - [`ConfigError::GivenForMany`]: an earlier result is to be the start of several fits.
    pub fn plan(&self, shape: &DataShape, machine: &Machine) -> Result<Plan, ConfigError> {
        self.plan_without(&[], shape, machine)
    }

    /// [`plan`](Self::plan) without the fits that are `done`.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan).
    pub fn plan_without(&self, done: &[FitId], shape: &DataShape, machine: &Machine) -> Result<Plan, ConfigError> {
        let models = self.models_without(done, shape, machine)?;
        let ends = self.wave_ends(&models, shape, machine)?;
        self.plan_in_waves(models, &ends, shape, machine)
    }

    /// The fits that are not `done`: all that shapes their bits. Needs no memory budget.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan), but for the memory.
    pub fn models_without(
        &self,
        done: &[FitId],
        shape: &DataShape,
        machine: &Machine,
    ) -> Result<Vec<Model>, ConfigError> {
        check_list("k", &self.ks)?;
        check_list("seeds", &self.seeds)?;
        let configs: Vec<NmfConfig> = self.configs().collect();
        configs.iter().try_for_each(|config| config.validate(shape, machine))?;
        if configs.len() > 1 && matches!(self.config.init, InitSpec::Given(_)) {
            return Err(ConfigError::GivenForMany { fits: configs.len() });
        }
        let models = configs.iter().map(|config| config.model(shape));
        Ok(models.filter(|model| !done.contains(&model.id())).collect())
    }

    /// For each of `models` the end of the longest wave that begins with it and fits into the memory of
    /// this machine. Processes with different memory take the least of theirs.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Memory`]: one of the fits does not even fit alone.
    pub fn wave_ends(&self, models: &[Model], shape: &DataShape, machine: &Machine) -> Result<Vec<usize>, ConfigError> {
        let budget = Budget::of(&self.config, models, shape, machine)?;
        let together = |first: usize, end: usize| {
            end - first <= MOST_FITS_OF_A_WAVE
                && budget.sizes(&models[first..end], first > 0).peak(budget.streamed(budget.smallest)) <= machine.memory
        };
        let mut end = 0;
        let ends = (0..models.len()).map(|first| {
            end = end.max(first + 1);
            while end < models.len() && together(first, end + 1) {
                end += 1;
            }
            end
        });
        Ok(ends.collect())
    }

    /// The plan of `models`, in waves that end at the latest where `ends` says for their first fit.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Memory`]: one of the fits does not even fit alone.
    ///
    /// # Panics
    ///
    /// When there is not an end for every model, or one that leaves it out.
    pub fn plan_in_waves(
        &self,
        models: Vec<Model>,
        ends: &[usize],
        shape: &DataShape,
        machine: &Machine,
    ) -> Result<Plan, ConfigError> {
        assert_eq!(models.len(), ends.len(), "an end for every fit");
        let mut waves: Vec<Range<usize>> = Vec::new();
        while let Some(first) = Some(waves.last().map_or(0, |wave| wave.end)).filter(|&first| first < models.len()) {
            assert!(ends[first] > first, "a wave has a fit");
            waves.push(first..ends[first]);
        }
        let budget = Budget::of(&self.config, &models, shape, machine)?;
        let execution = budget.execution(&models, waves);
        Ok(Plan { models, is_set: self.is_several(), execution })
    }
}

impl NmfConfig {
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

    fn model(&self, shape: &DataShape) -> Model {
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
        Model {
            k: self.k,
            seed: self.seed,
            solver: self.solver,
            rules: Rules::from(self.solver),
            init,
            scale: self.scale,
            limits: Limits { max_passes: self.max_passes, tol: self.tol },
        }
    }
}

/// What the memory allows to some fits: threads, and then buffers.
struct Budget<'b> {
    config: &'b NmfConfig,
    shape: &'b DataShape,
    machine: &'b Machine,
    /// Threads that would be used if the memory allowed.
    wanted: usize,
    threads: usize,
    /// Bytes of the smallest segment.
    smallest: u64,
}

impl<'b> Budget<'b> {
    /// All threads with W on disk come before fewer threads with W in memory: W moves once a pass, in
    /// order. The fit that needs most decides.
    fn of(
        config: &'b NmfConfig,
        models: &[Model],
        shape: &'b DataShape,
        machine: &'b Machine,
    ) -> Result<Self, ConfigError> {
        let wanted = machine.threads.min(shape.own_blocks().max(1));
        let smallest = shape.max_tile_bytes;
        let mut budget = Budget { config, shape, machine, wanted, threads: wanted, smallest };
        // Any of several fits may be in a later wave.
        let written = models.len() > 1;
        for model in models {
            let alone = budget.sizes(std::slice::from_ref(model), written);
            let fits = |&threads: &usize| {
                alone.peak(Held { threads, pool: threads, ..budget.streamed(smallest) }) <= machine.memory
            };
            let threads = (1..=budget.threads).rev().find(fits);
            budget.threads = threads.ok_or_else(|| {
                let all = models.iter().map(|model| budget.sizes(std::slice::from_ref(model), written));
                let hungriest = all.max_by_key(Sizes::smallest).unwrap_or(alone);
                let (needed, lower_blocks) = (hungriest.smallest(), hungriest.lower_blocks());
                ConfigError::Memory { budget: machine.memory, needed, lower_blocks }
            })?;
        }
        Ok(budget)
    }

    /// The sizes of fits side by side; `written` says whether results of earlier fits are written by then.
    fn sizes(&self, models: &[Model], written: bool) -> Sizes<'b> {
        let sampled = models.iter().any(|model| matches!(model.init, Init::Sample { .. }));
        // A sample that is kept may serve or not: then W has one generation more.
        let read_first = sampled && !self.shape.keeps_sample;
        // A start from a file fills one generation of W before the first pass, which fills the other.
        let filled = models.iter().any(|model| matches!(model.init, Init::Given(_)));
        Sizes {
            shape: self.shape,
            machine: self.machine,
            ks: models.iter().map(|model| model.k).collect(),
            seeds: models.iter().map(|model| model.seed).collect::<BTreeSet<_>>().len(),
            scaled: self.config.scale == ScaleSpec::Std || self.shape.leaves_out_genes,
            sampled: sampled.then_some(sample_caps),
            given: models.iter().any(|model| matches!(model.init, Init::Given(_))),
            scored: self.config.scores,
            passes: (self.config.max_passes - usize::from(read_first)).saturating_add(usize::from(filled)),
            written,
        }
    }

    /// The least that is held: W on disk, and segments of this size.
    fn streamed(&self, segment: u64) -> Held {
        let threads = self.threads;
        Held { threads, pool: threads, segment, usages: false, mapped: false, pinned: 0 }
    }

    /// Takes larger segments, W in memory and blocks in memory, as far as all waves allow.
    fn execution(&self, models: &[Model], waves: Vec<Range<usize>>) -> Execution {
        let (shape, machine, threads) = (self.shape, self.machine, self.threads);
        let of_waves: Vec<Sizes<'_>> =
            waves.iter().map(|wave| self.sizes(&models[wave.clone()], wave.start > 0)).collect();
        let peak = |held: Held| of_waves.iter().map(|wave| wave.peak(held)).max().unwrap_or(0);
        let fits = |held: Held| peak(held) <= machine.memory;

        let segment_choices = [SEGMENT_BYTES, SEGMENT_BYTES / 4, 0].map(|bytes| bytes.max(self.smallest));
        let segment_bytes =
            segment_choices.into_iter().find(|&segment| fits(self.streamed(segment))).unwrap_or(self.smallest);
        let held = self.streamed(segment_bytes);
        // Threads without a block to fold can help with the genes, as long as there are chunks of them.
        let useful = machine.threads.min(shape.genes.div_ceil(GENE_CHUNK)).max(threads);
        let pool = match threads == self.wanted {
            true => (threads..=useful).rev().find(|&pool| fits(Held { pool, ..held })),
            false => None,
        };
        let held = Held { pool: pool.unwrap_or(threads), ..held };
        let in_memory = fits(Held { usages: true, ..held });
        let held = Held { usages: in_memory, ..held };
        let map_store = machine.maps && fits(Held { mapped: true, ..held });
        let held = Held { mapped: map_store, ..held };
        let pinned = match map_store {
            true => 0,
            false => of_waves.iter().map(|wave| wave.room(held)).min().unwrap_or(0),
        };
        let held = Held { pinned, ..held };
        let scratch = self.config.scratch.clone().unwrap_or_else(std::env::temp_dir);

        Execution {
            threads,
            pool_threads: held.pool,
            threads_wanted: machine.threads,
            segment_bytes,
            map_store,
            pinned_bytes: pinned,
            cached_bytes: machine.cache,
            usages: if in_memory { UsagesPlace::Memory } else { UsagesPlace::Disk(scratch) },
            scores: self.config.scores,
            waves,
            pass_bytes: shape.own_bytes,
            peak_bytes: peak(held),
            memory: machine.memory,
        }
    }
}

fn check_list<T: Ord + std::fmt::Display>(name: &'static str, list: &[T]) -> Result<(), ConfigError> {
    let refuse = |problem: String| Err(ConfigError::List { name, problem });
    if list.is_empty() {
        return refuse("is empty".into());
    }
    let mut seen = BTreeSet::new();
    match list.iter().find(|&value| !seen.insert(value)) {
        Some(twice) => refuse(format!("has {twice} more than once")),
        None => Ok(()),
    }
}
