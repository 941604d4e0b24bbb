//! The settings of a factorization as they are typed, for `fit` and `plan` alike.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use partwise::driver::{InitSpec, NmfConfig, ScaleSpec, SolverSpec};
use partwise::storage::StorageError;

use crate::failure::Failure;

/// Options that decide the result.
#[derive(Args, Debug)]
#[command(next_help_heading = "Factorization")]
pub(crate) struct Settings {
    /// Components k
    #[arg(short = 'k', long = "components", value_name = "K")]
    pub(crate) k: usize,
    /// Update rule
    #[arg(long, value_enum, default_value_t = Solver::Auto)]
    pub(crate) solver: Solver,
    /// Divide genes by something first; the result is in the units of the input all the same
    #[arg(long, value_enum, default_value_t = Scale::None)]
    pub(crate) scale: Scale,
    /// Start: `sample` (a fit of a random sample, components to spare at first), `random`, or the path of an earlier result
    /// [default: sample; random for --solver mu]
    #[arg(long, value_name = "sample|random|PATH")]
    pub(crate) init: Option<String>,
    /// Most reads of all of X
    #[arg(long, value_name = "N", default_value_t = NmfConfig::new(1).max_passes)]
    pub(crate) max_passes: usize,
    /// Stop after two passes in a row that lower the loss by less than this part of it; 0: never stop early
    #[arg(long, value_name = "T", default_value_t = NmfConfig::new(1).tol, allow_negative_numbers = true)]
    pub(crate) tol: f64,
}

/// `--solver`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Solver {
    /// Hierarchical alternating least squares with inner sweeps, extrapolated: fewest passes
    Auto,
    /// Plain hierarchical alternating least squares, one sweep a pass
    Hals,
    /// Lee and Seung's multiplicative updates as published
    Mu,
    /// Alternating exact least squares, by block principal pivoting
    Bpp,
}

/// `--scale`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Scale {
    /// The values as they are
    None,
    /// Each gene by its standard deviation, without centring
    Std,
}

impl Settings {
    /// What was typed, as the library's configuration. An earlier result to start from has to be there.
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
        Ok(NmfConfig::new(self.k)
            .with_solver(solver)
            .with_scale(scale)
            .with_init(init)
            .with_max_passes(self.max_passes)
            .with_tol(self.tol)
            .with_seed(seed))
    }
}

/// The word that is typed for `value`.
pub(crate) fn word<T: ValueEnum>(value: T) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
