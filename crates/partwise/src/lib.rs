//! Non-negative matrix factorization X ≈ W·H of matrices that do not fit in memory.
//!
//! X has n cells × m genes, W (n × k) says how much each cell uses each of k components, H (k × m) is a spectrum of genes
//! for each component. Rows stream from disk, memory stays within a number you give, and the same input gives the same
//! bits on any number of threads.
//!
//! This crate is the library that users import; it has no logic of its own. The types that matter, in the order in which
//! a program meets them:
//!
//! | type | what it is |
//! |------|------------|
//! | [`storage::source::Source`] | rows of a file that a user has; [`storage::source::open`] finds the reader |
//! | [`storage::Store`] | the same rows in our own packed form, made once by [`storage::convert::convert`] |
//! | [`NmfConfig`] → [`Plan`] | what is wanted, and what was decided: threads, buffers, peak memory |
//! | [`Fit`] | W, H, the trace, and why it stopped; [`driver::result::write`] makes an AnnData file of it |
//!
//! ```
//! use partwise::driver::{result, simulate::{SimulateConfig, SimulateKind, simulate}};
//! use partwise::storage::{Overwrite, Selection, convert::{ConvertSpec, convert}, source};
//! use partwise::{DataShape, Machine, NmfConfig, Quiet, fit};
//!
//! let folder = tempfile::tempdir()?;
//! let path = |name: &str| folder.path().join(name);
//! let machine = Machine::new(2, 1 << 28);
//!
//! // A file: 2,000 cells × 300 genes, each cell one of 4 planted programs, with noise.
//! let planted = SimulateConfig::new(SimulateKind::Clusters, 2000, 300, 4);
//! simulate(&planted, &path("x.h5ad"), Overwrite::Refuse, &machine, &Quiet)?;
//!
//! // The file becomes a store once …
//! let mut source = source::open(&path("x.h5ad"), &Selection::default())?;
//! let spec = ConvertSpec {
//!     block_rows: None, memory: machine.memory, threads: machine.threads, overwrite: Overwrite::Refuse,
//! };
//! let store = convert(source.as_mut(), &path("x.pw"), &spec, &Quiet)?;
//!
//! // … which is factorized as planned, and written for anndata.
//! let plan = NmfConfig::new(4).with_seed(1).plan(&DataShape::from(&store), &machine)?;
//! assert!(plan.peak_bytes <= machine.memory);
//! let fit = fit(&store, &plan, &Quiet)?;
//! assert!(fit.explained() > 0.5 && fit.passes <= 10);
//! result::write(&fit, &store, &plan, Vec::new(), &path("x.nmf.h5ad"), Overwrite::Refuse)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! For the arithmetic on one block alone, see [`kernels`]. For a program instead of a library, see `partwise --help`.

pub use partwise_driver as driver;
pub use partwise_kernels as kernels;
pub use partwise_storage as storage;

pub use partwise_driver::{
    ConfigError, DataShape, DriverError, Fit, FitMonitor, InitSpec, Machine, NmfConfig, Plan, ScaleSpec, SolverSpec,
    StopReason, TraceRow, fit,
};
pub use partwise_storage::{Monitor, Quiet, StorageError, Store};
