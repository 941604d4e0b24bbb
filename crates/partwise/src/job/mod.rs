//! The whole job, from a file to results: find or make the store, plan, factorize, write.
//!
//! | file      | question                                                        |
//! |-----------|-----------------------------------------------------------------|
//! | `fit`     | how do one fit or many become results?                          |
//! | `pca`     | how does an input become principal components?                  |
//! | `consensus` | which programs do many replicates have in common?              |
//! | `sweep`   | how do many replicates of several k become the folder of a sweep? |
//! | `origin`  | where do the replicates of a consensus come from?               |
//! | `cnmf`    | where are the replicates in the folder of a cNMF run?           |
//! | `texts`   | which texts lie beside the result of a consensus?               |
//! | `genes`   | which genes of an input vary most for their level?              |
//! | `input`   | is the input a store, or a file to convert?                     |
//! | `transform` | how do new cells get usages under the spectra of a result?    |
//! | `merge`   | how does a result get into another file, or into tables of text? |
//! | `places`  | which files does the job read and write?                        |
//! | `paths`   | do outputs meet inputs or one another, and can they be written? |
//! | `output`  | in which folder does an output lie?                             |
//! | `foresee` | could the settings suit the data, before they are converted?    |
//! | `store_place` | where does the store of an input lie, or where will it?     |
//! | `stored`  | is it there, or is it made now?                                 |
//! | `filter`  | which genes and cells are fitted?                               |
//! | `kept`    | which results are there already, of the same data and settings? |
//! | `host`    | what does a job ask of the program around it?                   |
//! | `error`   | why does it end without results?                                |
//!
//! ```
//! use partwise::job::{Alone, FitJob};
//! use partwise::{FitSet, Machine, NmfConfig, Quiet};
//! # use partwise::driver::simulate::{SimulateConfig, SimulateKind, simulate};
//! # let folder = tempfile::tempdir()?;
//! # let x = folder.path().join("x.h5ad");
//! # let machine = Machine::new(2, 1 << 28);
//! # let planted = SimulateConfig::new(SimulateKind::Clusters, 600, 80, 4);
//! # simulate(&planted, &x, partwise::storage::Overwrite::Refuse, &machine, &Quiet)?;
//! // Every k in the same passes; results are x.nmf/k3.seed0.h5ad, ….
//! let set = FitSet::new(NmfConfig::new(3)).with_ks([3, 4, 5]);
//! let done = FitJob::new(&x, set).run(&machine, &Alone(&Quiet))?;
//! assert_eq!(done.fits.len(), 3);
//! assert!(done.fits.iter().all(|fit| fit.result.exists() && fit.passes <= done.passes));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cnmf;
mod consensus;
mod error;
mod filter;
mod fit;
mod foresee;
mod genes;
pub mod host;
pub mod input;
mod kept;
mod merge;
mod origin;
pub mod output;
pub mod paths;
mod pca;
mod places;
mod store_place;
mod stored;
mod sweep;
mod texts;
mod transform;

pub use consensus::{ConsensusDone, ConsensusJob, OneConsensus};
pub use error::JobError;
pub use filter::Filter;
pub use fit::{FitDone, FitJob, JobDone};
pub use genes::{GenesDone, GenesJob};
pub use host::{Alone, Host, Note};
pub use input::Input;
pub use merge::{CsvJob, MergeJob};
pub use paths::{Output, OutputKind, Paths, Role};
pub use pca::{PcaDone, PcaJob};
pub use store_place::find_store;
pub use sweep::{OfK, SweepDone, SweepJob, is_sweep};
pub use transform::{Matched, TransformDone, TransformJob};
