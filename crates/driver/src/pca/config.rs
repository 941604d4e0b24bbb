//! What is asked for, and what of it shapes bits.

use crate::config::ScaleSpec;
use crate::model::{Named, Setting};
use crate::monitor::FitId;

/// The sum that the values of every cell are scaled to before the logarithm is taken.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum TargetSum {
    /// The median of the sums of the cells that are not empty.
    #[default]
    Median,
    /// This one.
    Sum(f64),
}

/// How the axes are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MethodSpec {
    /// The one that is expected to take less time, as the shape of the data tells.
    #[default]
    Auto,
    /// One pass sums up the Gram matrix of the genes that are kept. Choose it for some thousand genes
    /// where reading is slow: it reads the data least often, but it takes memory for m² numbers. Where the
    /// means of the genes are so large beside their deviations that the covariance would be lost in
    /// rounding, products are taken.
    Gram,
    /// Each of a few passes takes products with the covariance, for any number of genes.
    Krylov,
}

/// How axes were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// From the Gram matrix of the genes.
    Gram,
    /// From products of the covariance with all genes, in one pass.
    Genes,
    /// From a Krylov space.
    Krylov,
}

impl Method {
    /// Its word in the program and in results.
    pub fn word(self) -> &'static str {
        match self {
            Method::Gram => "gram",
            Method::Genes => "genes",
            Method::Krylov => "krylov",
        }
    }

    /// The method that has this word.
    #[cfg(feature = "hdf5")]
    pub(super) fn of_word(word: &str) -> Option<Self> {
        [Method::Gram, Method::Genes, Method::Krylov].into_iter().find(|method| method.word() == word)
    }
}

/// Settings of principal components. Start from `new` and change what differs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PcaConfig {
    /// Components c.
    pub components: usize,
    /// Whether genes are divided by their standard deviations.
    pub scale: ScaleSpec,
    /// Whether values x become ln(1 + x·target / (sum of the cell)). The sum of a cell is over all
    /// genes of the data, also those that are left out.
    pub log1p: Option<TargetSum>,
    /// How the axes are found.
    pub method: MethodSpec,
    /// Seed of the first directions.
    pub seed: u64,
}

impl PcaConfig {
    /// c components of the values as they are.
    pub fn new(components: usize) -> Self {
        PcaConfig { components, scale: ScaleSpec::None, log1p: None, method: MethodSpec::Auto, seed: 0 }
    }

    /// Sets the scaling of genes.
    pub fn with_scale(self, scale: ScaleSpec) -> Self {
        PcaConfig { scale, ..self }
    }

    /// Sets whether, and how, values become logarithms.
    pub fn with_log1p(self, log1p: Option<TargetSum>) -> Self {
        PcaConfig { log1p, ..self }
    }

    /// Sets how the axes are found.
    pub fn with_method(self, method: MethodSpec) -> Self {
        PcaConfig { method, ..self }
    }

    /// Sets the seed.
    pub fn with_seed(self, seed: u64) -> Self {
        PcaConfig { seed, ..self }
    }

    /// The name of these components in reports of checkpoints, where c stands for k.
    pub fn id(&self) -> FitId {
        FitId { k: self.components, seed: self.seed }
    }
}

/// Everything that shapes the bits of the components besides the data.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PcaModel {
    /// The settings.
    pub config: PcaConfig,
    /// Whether the axes are found from the Gram matrix, if that is precise enough.
    pub gram: bool,
    /// Directions l that are multiplied at once.
    pub directions: usize,
    /// Whether they are all genes.
    pub exact: bool,
    /// Passes at most that take products with the covariance.
    pub steps: usize,
}

impl PcaModel {
    /// The settings by name.
    pub fn settings(&self) -> Vec<Named> {
        // Without `..`: a field that is new has to be named here.
        let PcaModel { config, gram, directions, exact, steps } = self;
        // The method that was asked for shows in the one that was chosen.
        let PcaConfig { components, scale, log1p, method: _, seed } = config;
        let mut settings = vec![
            ("components", Setting::Int(*components as i64)),
            ("seed", Setting::Text(seed.to_string())),
            ("scale", Setting::Text(scale.word().into())),
            ("log1p", Setting::Flag(log1p.is_some())),
            ("gram", Setting::Flag(*gram)),
            ("directions", Setting::Int(*directions as i64)),
            ("exact", Setting::Flag(*exact)),
            ("steps_at_most", Setting::Int(*steps as i64)),
        ];
        if let Some(target) = log1p {
            let word = if *target == TargetSum::Median { "median" } else { "given" };
            settings.push(("target", Setting::Text(word.into())));
        }
        settings
    }
}
