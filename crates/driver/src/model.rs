//! The settings that shape the bits of a fit, in one record.
//!
//! The identity of a checkpoint, `uns["nmf"]` of a result and the comparison of processes all come
//! from [`Model::settings`], which takes the record apart field by field: a new setting does not
//! compile until it has a name there. Settings that never show in a result (threads, memory, waves)
//! are those of [`Execution`](crate::plan::Execution).

use std::path::PathBuf;

use partwise_kernels::UpdateRule;

use crate::config::{ScaleSpec, SolverSpec};
use crate::monitor::FitId;

/// The update rules of a fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Update of W's rows in the pass.
    pub usages: UpdateRule,
    /// Update of H after the pass.
    pub spectra: UpdateRule,
    /// Whether H is extrapolated between passes.
    pub extrapolate: bool,
}

impl Rules {
    /// HALS with inner sweeps, extrapolated: ten inner sweeps over W and twenty over H cost a tenth
    /// of the products of a pass and save half of the passes. With five over H, 150,000 × 20,000
    /// counts of 20 programs take one pass more at k = 30.
    pub const EXTRAPOLATED: Rules =
        Rules { usages: UpdateRule::Hals { sweeps: 10 }, spectra: UpdateRule::Hals { sweeps: 20 }, extrapolate: true };
    /// The same for a sample, where the inner sweeps over H are most of the work.
    pub(crate) const SAMPLED: Rules =
        Rules { usages: UpdateRule::Hals { sweeps: 10 }, spectra: UpdateRule::Hals { sweeps: 5 }, extrapolate: true };
    /// One inner sweep over W and one over H a pass.
    pub const PLAIN: Rules =
        Rules { usages: UpdateRule::Hals { sweeps: 1 }, spectra: UpdateRule::Hals { sweeps: 1 }, extrapolate: false };
    /// W the best for H, then H the best for W.
    pub const EXACT: Rules = Rules { usages: UpdateRule::Bpp, spectra: UpdateRule::Bpp, extrapolate: false };
    /// Lee and Seung's.
    pub const MULTIPLICATIVE: Rules = Rules { usages: UpdateRule::Mu, spectra: UpdateRule::Mu, extrapolate: false };
}

impl From<SolverSpec> for Rules {
    fn from(solver: SolverSpec) -> Self {
        match solver {
            SolverSpec::Auto => Rules::EXTRAPOLATED,
            SolverSpec::Hals => Rules::PLAIN,
            SolverSpec::Mu => Rules::MULTIPLICATIVE,
            SolverSpec::Bpp => Rules::EXACT,
        }
    }
}

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

/// When a fit ends. A fit that resumes may have other limits: they apply to all of its passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Most reads of all of X, that for the sample included if there is one.
    pub max_passes: usize,
    /// Relative decrease of the loss that counts as none; 0: never stop early.
    pub tol: f64,
}

/// Everything that shapes the bits of one fit besides the data.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Model {
    /// Components k.
    pub k: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// The solver asked for.
    pub solver: SolverSpec,
    /// Its update rules.
    pub rules: Rules,
    /// Start.
    pub init: Init,
    /// Scaling of genes.
    pub scale: ScaleSpec,
    /// When it ends.
    pub limits: Limits,
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// An integer.
    Int(i64),
    /// A real number.
    Real(f64),
    /// Yes or no.
    Flag(bool),
    /// A word, or a number with more digits than an i64 has.
    Text(String),
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Setting::Int(value) => write!(f, "{value}"),
            Setting::Real(value) => write!(f, "{value}"),
            Setting::Flag(value) => write!(f, "{value}"),
            Setting::Text(value) => f.write_str(value),
        }
    }
}

/// A setting by its name.
pub type Named = (&'static str, Setting);

impl Model {
    /// Which fit of a set it is.
    pub fn id(&self) -> FitId {
        FitId { k: self.k, seed: self.seed }
    }

    /// The settings that the passes made so far depend on, by name. A fit that resumes must have
    /// the same.
    pub fn settings(&self) -> Vec<Named> {
        // Without `..`: a field that is new has to be named here.
        let Model { k, seed, solver, rules, init, scale, limits: _ } = self;
        let Rules { usages, spectra, extrapolate } = rules;
        let (rule, usages_sweeps) = rule_and_sweeps(*usages);
        let (_, spectra_sweeps) = rule_and_sweeps(*spectra);
        let text = |word: &str| Setting::Text(word.into());
        let mut settings = vec![
            ("k", Setting::Int(*k as i64)),
            // As text: a seed has 64 bits without a sign.
            ("seed", Setting::Text(seed.to_string())),
            ("solver", text(solver.word())),
            ("rule", text(rule)),
            ("usages_sweeps", Setting::Int(usages_sweeps)),
            ("spectra_sweeps", Setting::Int(spectra_sweeps)),
            ("extrapolate", Setting::Flag(*extrapolate)),
            ("loss", text("frobenius")),
            ("scale", text(scale.word())),
        ];
        match init {
            Init::Random => settings.push(("init", text("random"))),
            // The fit adds a digest of its content, because a path is not a setting.
            Init::Given(_) => settings.push(("init", text("given"))),
            Init::Sample { entries, rows } => settings.extend([
                ("init", text("sample")),
                ("sample_entries_at_most", Setting::Int(*entries as i64)),
                ("sample_rows_at_most", Setting::Int(*rows as i64)),
            ]),
        }
        settings
    }

    /// The settings that decide when the fit ends.
    pub fn limits(&self) -> Vec<Named> {
        let Limits { max_passes, tol } = self.limits;
        vec![("max_passes", Setting::Int(i64::try_from(max_passes).unwrap_or(i64::MAX))), ("tol", Setting::Real(tol))]
    }
}

fn rule_and_sweeps(rule: UpdateRule) -> (&'static str, i64) {
    match rule {
        UpdateRule::Mu => ("mu", 1),
        UpdateRule::Bpp => ("bpp", 1),
        UpdateRule::Hals { sweeps } => ("hals", sweeps as i64),
    }
}
