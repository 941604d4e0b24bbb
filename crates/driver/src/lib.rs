//! How passes become a factorization: plan, streaming engine, exact sums, solvers; and planted data
//! to try them on.
//!
//! | type                      | purpose                                                         |
//! |---------------------------|-----------------------------------------------------------------|
//! | [`NmfConfig`], [`FitSet`] | the settings of one fit, or of several                          |
//! | [`Plan`]                  | the decisions before reading: a [`Model`] a fit, an [`Execution`] |
//! | [`fit()`] → [`Fit`]       | the factorization: W, H, the trace, the reason of its end       |
//! | [`fit_wave`], [`Run`]     | fits in the same passes, by several processes, with checkpoints |
//! | [`Matrix`]                | data in memory, fitted as a store is                            |
//! | [`Subset`]                | some genes and cells of the data, fitted without a copy         |
//! | [`HvgSpec`]               | which genes vary most for their level, by one of two methods    |
//! | [`pca`]                   | principal components, streamed                                  |
//! | [`comm::Comm`]            | the sums of integers that processes exchange                    |
//! | [`engine::Fold`]          | a computation over row blocks, as the engine sees it            |
//! | [`result::write`]         | a fit as an AnnData file                                        |
//! | [`consensus`]             | the programs that many replicates have in common                |
//! | [`sweep`]                 | many replicates of several k in the same passes, for a consensus |
//! | [`transform()`]           | usages of other cells under known spectra                       |
//!
//! The engine alone knows threads, processes, reading ahead, progress and interruption; a
//! computation knows only its rows and the share that it adds to a sum. Sums are exact ([`exact`]),
//! so threads and processes never show in a result.
#![forbid(unsafe_code)]

pub mod blocks;
pub mod checkpoint;
pub mod comm;
mod compute;
pub mod config;
pub mod consensus;
mod digest;
pub mod engine;
pub mod error;
pub mod exact;
pub mod fit;
pub mod hvg;
mod init;
pub mod model;
pub mod monitor;
pub mod nodes;
pub mod pca;
pub mod plan;
pub mod probe;
pub mod products;
#[cfg(feature = "hdf5")]
pub mod result;
mod sample;
mod scale;
pub mod scores;
pub mod shape;
pub mod shard;
#[cfg(feature = "hdf5")]
pub mod simulate;
mod solve;
pub mod spectra;
pub mod subset;
pub mod sweep;
pub mod trace;
#[cfg(feature = "hdf5")]
pub mod transform;
pub mod usages;

pub use blocks::{Matrix, MatrixError};
pub use checkpoint::{BatchJob, CheckpointSpec, Claim, Runs};
pub use config::{FitSet, InitSpec, NmfConfig, ScaleSpec, SolverSpec};
pub use error::{CheckpointError, ConfigError, DriverError, HvgError, LowerBlocks};
pub use fit::{Fit, Input, Run, UsageRows, fit, fit_wave, fit_with};
pub use hvg::{HvgMethod, HvgSpec};
#[cfg(feature = "hdf5")]
pub use init::start_digest;
pub use model::{Init, Model, Rules};
pub use monitor::{CheckpointEvent, FitId, FitMonitor};
pub use pca::{MethodSpec, PcaConfig, PcaPlan, TargetSum};
pub use plan::{Execution, Plan};
pub use probe::{PassTime, Probe};
pub use scores::Scores;
pub use shape::{DataShape, Machine};
pub use spectra::Spectra;
pub use subset::{Keep, Subset};
pub use sweep::SweepConfig;
pub use trace::{StopReason, TraceRow};
#[cfg(feature = "hdf5")]
pub use transform::{CellScale, KnownSpectra, Transformed, transform};
