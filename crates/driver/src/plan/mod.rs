//! What was decided before a byte is read: threads, buffers, waves, where W lies, and how much memory
//! all of it takes. Pure: nothing here reads or measures.
//!
//! | file   | question                              |
//! |--------|---------------------------------------|
//! | `caps` | how large may the sample of a start be? |
//! | `peak` | how much memory do fits take?         |

mod caps;
mod peak;
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

/// Bytes of a segment where the budget is ample; smaller reads cost more system calls, larger ones
/// leave the cache.
const SEGMENT_BYTES: u64 = 2 << 20;

/// How fits are carried out: none of it shows in a result.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Execution {
    /// Compute threads; fewer than wanted where the budget does not carry more.
    pub threads: usize,
    /// Threads of the loops over genes between passes; more than compute threads where there are
    /// fewer blocks than threads.
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
    /// Bytes of packed blocks after these that are left to the system's page cache. The blocks beyond
    /// are dropped from there once they are read, so that they do not push out the others.
    pub cached_bytes: u64,
    /// Where W lies.
    pub usages: UsagesPlace,
    /// Fits that share their passes, as ranges of [`Plan::models`]; several waves where all of them do
    /// not fit into the memory together.
    pub waves: Vec<Range<usize>>,
    /// Packed bytes that a pass of this process reads.
    pub pass_bytes: u64,
    /// Peak resident bytes foreseen.
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
    /// Takes scratch files for W, smaller segments and fewer threads, in that order, before it gives
    /// up. The rest of the budget holds the whole store, mapped, or as many of its blocks as fit.
    ///
    /// # Errors
    ///
    /// - [`ConfigError::Components`]: k is zero or larger than cells or genes.
    /// - [`ConfigError::Empty`]: there is nothing to factorize.
    /// - [`ConfigError::Number`], [`ConfigError::Zero`], [`ConfigError::SamplePasses`]: a setting out
    ///   of range.
    /// - [`ConfigError::Memory`]: not even one thread with the smallest buffers fits; states the
    ///   minimum.
    pub fn plan(&self, shape: &DataShape, machine: &Machine) -> Result<Plan, ConfigError> {
        FitSet::new(self.clone()).plan(shape, machine)
    }
}

impl FitSet {
    /// Decides how to carry out these fits; those that do not fit into the memory together go in
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
        check_list("k", &self.ks)?;
        check_list("seeds", &self.seeds)?;
        let configs: Vec<NmfConfig> = self.configs().collect();
        configs.iter().try_for_each(|config| config.validate(shape, machine))?;
        if configs.len() > 1 && matches!(self.config.init, InitSpec::Given(_)) {
            return Err(ConfigError::GivenForMany { fits: configs.len() });
        }
        let models: Vec<Model> =
            configs.iter().map(|config| config.model(shape)).filter(|model| !done.contains(&model.id())).collect();
        let execution = self.config.execution(&models, shape, machine)?;
        Ok(Plan { models, is_set: configs.len() > 1, execution })
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

    fn execution(&self, models: &[Model], shape: &DataShape, machine: &Machine) -> Result<Execution, ConfigError> {
        let sizes = |models: &[Model], written: bool| {
            let sampled = models.iter().any(|model| matches!(model.init, Init::Sample { .. }));
            Sizes {
                shape,
                machine,
                ks: models.iter().map(|model| model.k).collect(),
                seeds: models.iter().map(|model| model.seed).collect::<BTreeSet<_>>().len(),
                scaled: self.scale == ScaleSpec::Std,
                sampled,
                written,
                passes: self.max_passes - usize::from(sampled),
            }
        };
        let streamed =
            |threads, segment| Held { threads, pool: threads, segment, usages: false, mapped: false, pinned: 0 };
        let scratch = self.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let wanted = machine.threads.min(shape.own_blocks().max(1));
        let smallest = shape.max_tile_bytes;

        // All threads with W on disk come before fewer threads with W in memory: W moves once a pass,
        // in order. The fit that needs most decides, also in a later wave.
        let several = models.len() > 1;
        let mut threads = wanted;
        for model in models {
            let alone = sizes(std::slice::from_ref(model), several);
            let fits = |&threads: &usize| alone.peak(streamed(threads, smallest)) <= machine.memory;
            threads = (1..=threads).rev().find(fits).ok_or_else(|| {
                let all = models.iter().map(|model| sizes(std::slice::from_ref(model), several));
                let hungriest = all.max_by_key(Sizes::smallest).unwrap_or(alone);
                let (needed, lower_blocks) = (hungriest.smallest(), hungriest.lower_blocks());
                ConfigError::Memory { budget: machine.memory, needed, lower_blocks }
            })?;
        }
        // More waves come before fewer threads: they cost reads, threads cost time.
        let of_wave = |wave: &Range<usize>| sizes(&models[wave.clone()], wave.start > 0);
        let together = |wave: &Range<usize>| of_wave(wave).peak(streamed(threads, smallest)) <= machine.memory;
        let mut waves: Vec<Range<usize>> = Vec::new();
        for i in 0..models.len() {
            match waves.last_mut() {
                Some(wave) if together(&(wave.start..i + 1)) => wave.end = i + 1,
                _ => waves.push(i..i + 1),
            }
        }
        let of_waves: Vec<Sizes<'_>> = waves.iter().map(of_wave).collect();
        let peak = |held: Held| of_waves.iter().map(|wave| wave.peak(held)).max().unwrap_or(0);
        let fits = |held: Held| peak(held) <= machine.memory;

        let segment_choices = [SEGMENT_BYTES, SEGMENT_BYTES / 4, 0].map(|bytes| bytes.max(smallest));
        let segment_bytes =
            segment_choices.into_iter().find(|&segment| fits(streamed(threads, segment))).unwrap_or(smallest);
        let held = streamed(threads, segment_bytes);
        // Threads without a block to fold can help with the genes, as long as there are chunks of them.
        let useful = machine.threads.min(shape.genes.div_ceil(GENE_CHUNK)).max(threads);
        let pool = match threads == wanted {
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

        Ok(Execution {
            threads,
            pool_threads: held.pool,
            threads_wanted: machine.threads,
            segment_bytes,
            map_store,
            pinned_bytes: pinned,
            cached_bytes: machine.cache,
            usages: if in_memory { UsagesPlace::Memory } else { UsagesPlace::Disk(scratch) },
            waves,
            pass_bytes: shape.own_bytes,
            peak_bytes: peak(held),
            memory: machine.memory,
        })
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
