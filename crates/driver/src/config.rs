//! The settings that a user chooses.

use std::path::PathBuf;

/// How W and H are updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SolverSpec {
    /// Hierarchical alternating least squares with inner sweeps and extrapolation, which restarts
    /// when the loss rises (Ang and Gillis 2019). Needs the fewest passes. A pass whose loss rises
    /// is undone and counted.
    #[default]
    Auto,
    /// Plain hierarchical alternating least squares (Cichocki and Phan 2009): one inner sweep over
    /// W and one over H a pass, as most other tools do it. Choose it for comparisons.
    Hals,
    /// Multiplicative updates exactly as published (Lee and Seung 2001): W once, then H with the
    /// new W. Slow, and never leaves zeros. Choose it for comparisons, or for its trajectory.
    Mu,
    /// Alternating exact least squares by block principal pivoting (Kim and Park 2011): W is the
    /// best for H, then H the best for W. Each pass takes longer than with HALS and lowers the loss
    /// no less. Choose it if rows must be exact.
    Bpp,
}

impl SolverSpec {
    /// Its word in the program and in results.
    pub fn word(self) -> &'static str {
        match self {
            SolverSpec::Auto => "auto",
            SolverSpec::Hals => "hals",
            SolverSpec::Mu => "mu",
            SolverSpec::Bpp => "bpp",
        }
    }
}

/// Where W and H come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum InitSpec {
    /// [`InitSpec::Sample`] for HALS and block pivoting, unless only one pass is allowed.
    /// [`InitSpec::Random`] for multiplicative updates, as published.
    #[default]
    Auto,
    /// A fit of a random sample of rows, in memory. It has more components than wanted at first,
    /// and merges those most alike. Costs one pass for reading the sample and at most as much work
    /// as five more. Inputs that are their own sample (2.5 million entries at most) may take the
    /// work of 40 million entries, a fraction of a second. HALS fits the sample for every solver;
    /// for multiplicative updates, zeros of H are lifted a little.
    Sample,
    /// Random H (and W if the rule needs one).
    Random,
    /// W and H of an earlier result (an AnnData file with `obsm["X_nmf"]` and `varm["spectra"]`).
    /// A component that is zero in every gene starts anew, at random.
    Given(PathBuf),
}

/// The scaling of genes before the factorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScaleSpec {
    /// The values as they are.
    #[default]
    None,
    /// Each gene divided by its standard deviation (population, no centring; constant genes by 1).
    /// The result is in the units of the input.
    Std,
}

impl ScaleSpec {
    /// Its word in the program and in results.
    pub fn word(self) -> &'static str {
        match self {
            ScaleSpec::None => "none",
            ScaleSpec::Std => "std",
        }
    }
}

/// Settings of a fit. Start from `default()` and change what differs.
///
/// ```
/// use partwise_driver::{NmfConfig, SolverSpec};
/// let config = NmfConfig::new(20).with_seed(7).with_solver(SolverSpec::Hals);
/// assert_eq!((config.k, config.seed), (20, 7));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NmfConfig {
    /// Components k.
    pub k: usize,
    /// Update rule.
    pub solver: SolverSpec,
    /// Start.
    pub init: InitSpec,
    /// Scaling of genes.
    pub scale: ScaleSpec,
    /// Most reads of all of X, that for the sample included if the data keep none.
    pub max_passes: usize,
    /// Stop after two accepted passes in a row whose relative decrease of the loss is below this;
    /// 0: never.
    pub tol: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// Folder for scratch files, used if the usages do not fit in memory; `None`: the system's.
    pub scratch: Option<PathBuf>,
    /// Whether genes are scored at the end, which takes one more read of all of X.
    pub scores: bool,
}

impl NmfConfig {
    /// `k` components, everything else by default.
    pub fn new(k: usize) -> Self {
        NmfConfig {
            k,
            solver: SolverSpec::default(),
            init: InitSpec::default(),
            scale: ScaleSpec::default(),
            max_passes: 200,
            tol: 1e-4,
            seed: 0,
            scratch: None,
            scores: false,
        }
    }

    /// Sets the update rule.
    pub fn with_solver(mut self, solver: SolverSpec) -> Self {
        self.solver = solver;
        self
    }

    /// Sets the start.
    pub fn with_init(mut self, init: InitSpec) -> Self {
        self.init = init;
        self
    }

    /// Sets the scaling of genes.
    pub fn with_scale(mut self, scale: ScaleSpec) -> Self {
        self.scale = scale;
        self
    }

    /// Sets the most reads of all of X.
    pub fn with_max_passes(mut self, max_passes: usize) -> Self {
        self.max_passes = max_passes;
        self
    }

    /// Sets the relative decrease of the loss below which a fit stops.
    pub fn with_tol(mut self, tol: f64) -> Self {
        self.tol = tol;
        self
    }

    /// Sets the seed.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets whether genes are scored at the end.
    pub fn with_scores(mut self, scores: bool) -> Self {
        self.scores = scores;
        self
    }

    /// Sets the folder for scratch files.
    pub fn with_scratch(mut self, folder: PathBuf) -> Self {
        self.scratch = Some(folder);
        self
    }
}

/// Fits of every combination of some k and some seeds, with all other settings alike.
///
/// ```
/// use partwise_driver::{FitSet, NmfConfig};
/// let set = FitSet::new(NmfConfig::new(5)).with_ks([5, 8]).with_seeds([0, 1, 2]);
/// let pairs: Vec<_> = set.configs().map(|config| (config.k, config.seed)).collect();
/// assert_eq!(pairs, [(5, 0), (5, 1), (5, 2), (8, 0), (8, 1), (8, 2)]);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FitSet {
    /// The settings of each fit but its k and its seed.
    pub config: NmfConfig,
    /// The numbers of components, each once.
    pub ks: Vec<usize>,
    /// The seeds, each once.
    pub seeds: Vec<u64>,
}

impl FitSet {
    /// The one fit of `config`.
    pub fn new(config: NmfConfig) -> Self {
        FitSet { ks: vec![config.k], seeds: vec![config.seed], config }
    }

    /// Sets the numbers of components.
    pub fn with_ks(mut self, ks: impl Into<Vec<usize>>) -> Self {
        self.ks = ks.into();
        self
    }

    /// Sets the seeds.
    pub fn with_seeds(mut self, seeds: impl Into<Vec<u64>>) -> Self {
        self.seeds = seeds.into();
        self
    }

    /// Sets the folder for scratch files.
    pub fn with_scratch(mut self, folder: std::path::PathBuf) -> Self {
        self.config.scratch = Some(folder);
        self
    }

    /// Whether there are several combinations of k and seed.
    pub fn is_several(&self) -> bool {
        self.ks.len() * self.seeds.len() > 1
    }

    /// The settings of each fit, by k and then by seed.
    pub fn configs(&self) -> impl Iterator<Item = NmfConfig> + '_ {
        self.ks
            .iter()
            .flat_map(move |&k| self.seeds.iter().map(move |&seed| NmfConfig { k, seed, ..self.config.clone() }))
    }
}
