//! Non-negative matrix factorization X ≈ W·H of matrices that do not fit in memory.
//!
//! X has n cells × m genes, W (n × k) holds how much each cell uses each of k components, H (k × m) is
//! a spectrum of genes for each component. Rows stream from disk, memory stays within a number you
//! give, and the same input gives the same bits on any number of threads.
//!
//! # Data in memory
//!
//! ```
//! use partwise::{Matrix, NmfConfig};
//!
//! // Four cells × three genes: two programs.
//! let x = Matrix::from_dense(3, &[2.0, 1.0, 0.0, 4.0, 2.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 1.0])?;
//! let fit = partwise::fit(&x, &NmfConfig::new(2).with_seed(1))?;
//! assert_eq!((fit.cells(), fit.genes(), fit.k()), (4, 3, 2));
//! assert!(fit.relative_error < 0.01);
//! let w = fit.usages()?; // n × k, row-major
//! let h = fit.spectra(); // H[component, gene]
//! let model: f32 = (0..2).map(|c| w[c] * h.get(c, 0)).sum();
//! assert!((model - 2.0).abs() < 0.01);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Data on disk
//!
//! [`job::FitJob`] does the whole job: it converts a file into a store once, factorizes it within a
//! memory budget, one k or many in the same reads, and writes AnnData files. Its parts, in the order in
//! which a program meets them:
//!
//! | type | what it is |
//! |------|------------|
//! | [`storage::source::Source`] | rows of a file that a user has; [`storage::source::open`] finds the reader |
//! | [`storage::Store`] | the same rows in our own packed form, made once by [`storage::convert::convert()`] |
//! | [`NmfConfig`], [`FitSet`] → [`Plan`] | the settings, and the decisions: threads, buffers, waves, peak memory |
//! | [`driver::fit_wave`] → [`Fit`] | W, H, the trace, and why it stopped |
//! | [`driver::result`] | writes an AnnData file of it |
//!
//! For the arithmetic on one block alone, see [`kernels`]. For a program instead of a library, see
//! `partwise`.
#![forbid(unsafe_code)]

#[cfg(feature = "hdf5")]
pub mod job;
pub mod machine;

pub use partwise_driver as driver;
pub use partwise_kernels as kernels;
pub use partwise_storage as storage;

pub use partwise_driver::{
    CheckpointSpec, ConfigError, DataShape, DriverError, Fit, FitId, FitMonitor, FitSet, InitSpec, Input, Machine,
    Matrix, MatrixError, NmfConfig, Plan, ScaleSpec, SolverSpec, Spectra, StopReason, TraceRow, UsageRows,
};
pub use partwise_storage::{Monitor, Quiet, StorageError, Store};

/// Why [`fit()`] has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// The settings do not suit the data or the machine.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The fit failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// Factorizes a matrix in memory, or a store, with all threads and half of the memory of this machine.
///
/// [`driver::fit()`] takes a plan and a monitor, [`job::FitJob`] files.
///
/// # Errors
///
/// - [`FitError::Config`]: k is zero or larger than cells or genes, another setting is out of range, or
///   the memory is too small.
/// - [`FitError::Driver`]: a store is damaged or cannot be read; values beyond 32-bit products.
pub fn fit<'d>(input: impl Into<Input<'d>>, config: &NmfConfig) -> Result<Fit, FitError> {
    let input = input.into();
    let shape = match input {
        Input::Store(store) => DataShape::of_store(store),
        Input::Matrix(matrix) => DataShape::of_data(matrix),
    };
    let shape = shape.map_err(DriverError::from)?;
    let machine =
        Machine::new(machine::threads(), machine::default_memory()).with_resident(machine::resident()).with_maps(false);
    let plan = config.plan(&shape, &machine)?;
    Ok(driver::fit(input, &plan, &Quiet)?)
}
