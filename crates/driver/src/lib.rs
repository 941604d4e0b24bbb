//! How passes become a factorization: plan, streaming engine, exact sums, solvers; and planted data to try them on.
//!
//! | type                | what it is                                                                     |
//! |---------------------|--------------------------------------------------------------------------------|
//! | [`NmfConfig`]       | what is wanted                                                                 |
//! | [`Plan`]            | what was decided: threads, buffers, place of W, peak memory; made before reading |
//! | [`fit()`] → [`Fit`] | the factorization: W, H, the trace, why it stopped                             |
//! | [`fit_with`], [`Run`] | the same by several processes, and with checkpoints                          |
//! | [`comm::Comm`]      | what processes exchange: sums of integers                                      |
//! | [`engine::Fold`]    | a computation over row blocks; the engine runs it without knowing what it is     |
//! | [`result::write`]   | a fit as an AnnData file                                                       |
//!
//! The engine alone knows threads, processes, reading ahead, progress and interruption; a computation knows only its rows and what
//! it adds to a sum. Sums are exact ([`exact`]), so threads and processes never show in a result.
#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod comm;
mod compute;
pub mod config;
pub mod data;
pub mod engine;
pub mod error;
pub mod exact;
pub mod fit;
mod init;
pub mod plan;
pub mod result;
mod sample;
mod scale;
pub mod shard;
pub mod simulate;
mod solve;
pub mod spectra;
pub mod trace;
pub mod usages;

pub use checkpoint::{CheckpointError, CheckpointEvent, CheckpointSpec};
pub use config::{InitSpec, NmfConfig, ScaleSpec, SolverSpec};
pub use error::{ConfigError, DriverError, LowerBlocks};
pub use fit::{Fit, FitMonitor, Run, fit, fit_with};
pub use plan::{DataShape, Init, Machine, PassTime, Plan, Probe};
pub use solve::Rules;
pub use trace::{StopReason, TraceRow};
