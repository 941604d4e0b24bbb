//! The settings of a factorization, as the user types them for `fit` and `plan`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use partwise::driver::{InitSpec, NmfConfig, ScaleSpec, SolverSpec};
use partwise::storage::StorageError;

use crate::failure::Failure;
use crate::list::List;

/// The options that change the result.
#[derive(Args, Debug)]
#[command(next_help_heading = "Factorization")]
pub(crate) struct Settings {
    /// The number of components k, or several: 5,8,10..14 (both ends included)
    #[arg(short = 'k', long = "components", value_name = "K,...")]
    pub(crate) k: List<usize>,
    /// The update rule
    #[arg(long, value_enum, default_value_t = Solver::Auto)]
    pub(crate) solver: Solver,
    /// Scale the genes first; the result is still in the units of the input
    #[arg(long, value_enum, default_value_t = Scale::None)]
    pub(crate) scale: Scale,
    /// The start: sample (a fit of a random sample of the cells), random, or the path of an earlier
    /// result [default: sample; random for --solver mu]
    #[arg(long, value_name = "sample|random|PATH")]
    pub(crate) init: Option<String>,
    /// The most passes; each pass reads all of X once
    #[arg(long, value_name = "N", default_value_t = NmfConfig::new(1).max_passes)]
    pub(crate) max_passes: usize,
    /// Stop after two passes in a row that lower the loss by less than this fraction of it; 0: use
    /// all passes
    #[arg(long, value_name = "T", default_value_t = NmfConfig::new(1).tol, allow_negative_numbers = true)]
    pub(crate) tol: f64,
    /// Leave out the scores of genes, which take one more read of the data at the end
    #[arg(long)]
    pub(crate) no_scores: bool,
}

/// The choices of `--solver`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Solver {
    /// Hierarchical alternating least squares with inner sweeps and extrapolation; takes the fewest
    /// passes
    Auto,
    /// Plain hierarchical alternating least squares with one sweep per pass
    Hals,
    /// The multiplicative updates of Lee and Seung, as published
    Mu,
    /// Alternating exact least squares by block principal pivoting
    Bpp,
}

/// The choices of `--scale`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Scale {
    /// Use the values as they are
    None,
    /// Divide each gene by its standard deviation, without centring
    Std,
}

impl Settings {
    /// The library's configuration for these settings, with the first k.
    ///
    /// # Errors
    ///
    /// When the start is an earlier result that does not exist.
    pub(crate) fn config(&self, seed: u64) -> Result<NmfConfig, Failure> {
        let solver = match self.solver {
            Solver::Auto => SolverSpec::Auto,
            Solver::Hals => SolverSpec::Hals,
            Solver::Mu => SolverSpec::Mu,
            Solver::Bpp => SolverSpec::Bpp,
        };
        let scale = match self.scale {
            Scale::None => ScaleSpec::None,
            Scale::Std => ScaleSpec::Std,
        };
        let init = match self.init.as_deref() {
            None => InitSpec::Auto,
            Some("sample") => InitSpec::Sample,
            Some("random") => InitSpec::Random,
            Some(path) => InitSpec::Given(PathBuf::from(path)),
        };
        if let InitSpec::Given(path) = &init
            && !path.exists()
        {
            return Err(StorageError::NotFound { path: path.clone() }.into());
        }
        Ok(NmfConfig::new(self.k.0.first().copied().unwrap_or(0))
            .with_solver(solver)
            .with_scores(!self.no_scores)
            .with_scale(scale)
            .with_init(init)
            .with_max_passes(self.max_passes)
            .with_tol(self.tol)
            .with_seed(seed))
    }
}

/// The word that the user types for `value`.
pub(crate) fn word<T: ValueEnum>(value: T) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
