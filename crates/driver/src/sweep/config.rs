//! Which replicates a sweep has, and in which groups they run.

use std::collections::BTreeSet;

use crate::error::ConfigError;
use crate::model::{Named, Setting};

/// Replicates of one k that may meet each other. Each of them depends on those of lower number, so that the group
/// is made in one go; a group of a fixed size keeps every replicate as it is however many more there are.
pub const COHORT: usize = 20;

/// Where replicates start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplicateStart {
    /// At a random H.
    #[default]
    Random,
    /// At a fit, from a random H, of rows of its own: at most a quarter of them, drawn at random by their weight in
    /// the loss, in memory. It takes a few passes over all rows from there. For data whose passes are long.
    Sample,
}

impl ReplicateStart {
    /// Its word, in settings and results.
    pub fn word(self) -> &'static str {
        match self {
            ReplicateStart::Random => "random",
            ReplicateStart::Sample => "sample",
        }
    }
}

/// Settings of a sweep. Start from `new` and change what differs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SweepConfig {
    /// Numbers of components, each once.
    pub ks: Vec<usize>,
    /// Replicates of each.
    pub replicates: usize,
    /// Seed of the starts.
    pub seed: u64,
    /// Passes of a replicate at most.
    pub max_passes: usize,
    /// A replicate stops after two accepted passes in a row whose relative decrease of the loss is below this.
    pub tol: f64,
    /// Whether replicates that have met go on as one.
    pub meet: bool,
    /// Where replicates start.
    pub start: ReplicateStart,
}

/// Consecutive replicates of one k.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Cohort {
    /// Components k.
    pub k: usize,
    /// The first replicate, a multiple of [`COHORT`].
    pub first: usize,
    /// How many there are.
    pub len: usize,
}

impl Cohort {
    /// The `len` replicates of `k` from number `first` on.
    pub fn new(k: usize, first: usize, len: usize) -> Self {
        Cohort { k, first, len }
    }

    /// The name under which it is kept: `k5.from20`.
    pub fn name(&self) -> String {
        format!("k{}.from{}", self.k, self.first)
    }
}

impl SweepConfig {
    /// So many replicates of each of `ks`, all else by default.
    pub fn new(ks: impl Into<Vec<usize>>, replicates: usize) -> Self {
        SweepConfig {
            ks: ks.into(),
            replicates,
            seed: 0,
            max_passes: 50,
            tol: 1e-6,
            meet: true,
            start: ReplicateStart::Random,
        }
    }

    /// The settings that shape every replicate beside the data, its k and its number, by name.
    pub fn settings(&self) -> Vec<Named> {
        // Without `..`: a field that is new has to be named here.
        let SweepConfig { ks: _, replicates: _, seed, max_passes, tol, meet, start } = self;
        vec![
            ("seed", Setting::Text(seed.to_string())),
            ("max_passes", Setting::Int(i64::try_from(*max_passes).unwrap_or(i64::MAX))),
            ("tol", Setting::Real(*tol)),
            ("meet", Setting::Flag(*meet)),
            ("start", Setting::Text(start.word().into())),
        ]
    }

    /// All replicates in groups, by k and then by number.
    pub fn cohorts(&self) -> impl Iterator<Item = Cohort> + '_ {
        let of_k = move |&k: &usize| {
            let starts = (0..self.replicates).step_by(COHORT);
            starts.map(move |first| Cohort { k, first, len: COHORT.min(self.replicates - first) })
        };
        self.ks.iter().flat_map(of_k)
    }

    /// Checks the settings for a matrix of so many cells and selected genes.
    ///
    /// # Errors
    ///
    /// - [`ConfigError::List`]: a k comes twice, or there is none
    /// - [`ConfigError::Components`]: a k is zero, or larger than cells or genes
    /// - [`ConfigError::Replicates`]: fewer than two replicates
    /// - [`ConfigError::Number`], [`ConfigError::Zero`]: a limit that is out of range
    pub fn check(&self, cells: usize, genes: usize) -> Result<(), ConfigError> {
        let different: BTreeSet<usize> = self.ks.iter().copied().collect();
        if different.is_empty() || different.len() < self.ks.len() {
            let problem = if different.is_empty() { "is empty" } else { "has one twice" };
            return Err(ConfigError::List { name: "k", problem: problem.into() });
        }
        let most = cells.min(genes);
        if let Some(&k) = self.ks.iter().find(|&&k| k == 0 || k > most) {
            return Err(ConfigError::Components { k, cells, genes, most });
        }
        if self.replicates < 2 {
            return Err(ConfigError::Replicates { replicates: self.replicates });
        }
        if self.max_passes == 0 {
            return Err(ConfigError::Zero { name: "max-passes" });
        }
        match self.tol.is_finite() && self.tol >= 0.0 {
            true => Ok(()),
            false => Err(ConfigError::Number { name: "tol", value: self.tol }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cohorts_cover_all_replicates_and_more_replicates_only_add_some() {
        let cohorts = |ks: &[usize], replicates| SweepConfig::new(ks, replicates).cohorts().collect::<Vec<_>>();
        let cohort = |k, first, len| Cohort { k, first, len };
        assert_eq!(cohorts(&[3, 5], 6), [cohort(3, 0, 6), cohort(5, 0, 6)]);
        assert_eq!(cohorts(&[4], 45), [cohort(4, 0, 20), cohort(4, 20, 20), cohort(4, 40, 5)]);
        assert_eq!(cohorts(&[4], 40)[..], cohorts(&[4], 45)[..2]);
    }

    #[test]
    fn impossible_sweeps_are_refused() {
        let check = |ks: &[usize], replicates| SweepConfig::new(ks, replicates).check(100, 30);
        assert_eq!(check(&[3, 30], 2), Ok(()));
        assert!(matches!(check(&[3, 31], 2), Err(ConfigError::Components { k: 31, most: 30, .. })));
        assert!(matches!(check(&[0], 2), Err(ConfigError::Components { k: 0, .. })));
        assert!(matches!(check(&[3, 3], 2), Err(ConfigError::List { .. })));
        assert!(matches!(check(&[], 2), Err(ConfigError::List { .. })));
        assert!(matches!(check(&[3], 1), Err(ConfigError::Replicates { replicates: 1 })));
        let slack = SweepConfig { tol: f64::NAN, ..SweepConfig::new([3], 2) };
        assert!(matches!(slack.check(100, 30), Err(ConfigError::Number { .. })));
    }
}
