//! Why a job ends without its results. Errors carry data: the program knows which option helps.

use std::path::PathBuf;

use partwise_driver::comm::{CommError, Elsewhere};
use partwise_driver::consensus::ConsensusError;
use partwise_driver::{ConfigError, DriverError, HvgError};
use partwise_storage::{Axis, StorageError};

use super::paths::Role;

/// Why a job ends without its results.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The settings do not suit the data or the machine.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The fit failed, or was cancelled.
    #[error(transparent)]
    Driver(DriverError),
    /// The values of the data leave the range of 32-bit products.
    #[error("{}: {error}", store.display())]
    Values {
        /// The store.
        store: PathBuf,
        /// Which values.
        error: DriverError,
    },
    /// The most variable genes cannot be found as asked.
    #[error("{}: {error}", path.display())]
    Genes {
        /// The store.
        path: PathBuf,
        /// Why.
        error: HvgError,
    },
    /// A store was given with a choice of layer, raw values or orientation.
    #[error("{}: a store holds one matrix; choose another one when the file is converted", path.display())]
    SelectionOfStore {
        /// The store.
        path: PathBuf,
    },
    /// The input is a store, and another place for its store was given.
    #[error("{}: is a store already, and needs no other place for one", path.display())]
    StoreOfStore {
        /// The input.
        path: PathBuf,
    },
    /// A path has no file name.
    #[error("{}: this path has no file name; add one", path.display())]
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// A path for a file names a folder.
    #[error("{}: this path names a folder; add the name of a file in it", path.display())]
    NamesFolder {
        /// The path.
        path: PathBuf,
    },
    /// An output lies inside a store.
    #[error(
        "{}: lies inside the store {}, which holds only its own files; choose another place",
        path.display(), store.display()
    )]
    InsideStore {
        /// The output.
        path: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// The folder of an output does not exist.
    #[error(
        "{}: the folder {} does not exist; create it with: mkdir -p '{}'",
        path.display(), folder.display(), folder.display()
    )]
    NoFolder {
        /// The output.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// An output is also an input, or another output.
    #[error("{}: {role} would overwrite {other_role} {}; choose another place for it", path.display(), other.display())]
    Overwrites {
        /// What the output is.
        role: Role,
        /// The output.
        path: PathBuf,
        /// What else it is.
        other_role: Role,
        /// The path of that.
        other: PathBuf,
    },
    /// A result in the way is of other data or settings.
    #[error(
        "{}: is a result {}; ask for its data and settings, choose another name, or allow it to be overwritten",
        path.display(), differences.join("; ")
    )]
    OtherResult {
        /// The result.
        path: PathBuf,
        /// Each difference: the value of the result and that of the fit.
        differences: Vec<String>,
    },
    /// The folder of a sweep has one of other data, genes or settings.
    #[error(
        "{}: holds a sweep of {}; ask for what it has, choose another folder, or allow it to be overwritten",
        path.display(), differences.join("; ")
    )]
    OtherSweep {
        /// The folder.
        path: PathBuf,
        /// Each difference: what the folder has, and what was asked for.
        differences: Vec<String>,
    },
    /// The folder for checkpoints is in use for something else.
    #[error("{}: checkpoints need a folder of their own; choose another", folder.display())]
    CheckpointFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// Several results are to be added to one file.
    #[error("{}: one result is added to a file at a time; fit one k and one seed, or add the results later", path.display())]
    SeveralInto {
        /// The file.
        path: PathBuf,
    },
    /// Genes that two files share repeat in one of them.
    #[error(
        "{}: genes repeat, such as {}; match them by a column with unique ids",
        path.display(), names.join(", ")
    )]
    RepeatedGenes {
        /// The file.
        path: PathBuf,
        /// Some of them.
        names: Vec<String>,
    },
    /// A result and new cells have no gene in common.
    #[error(
        "{}: has no gene in common with the new cells: it has such as \"{result}\", they have such as \"{new}\"; \
         match them by a column that both have",
        path.display()
    )]
    NoSharedGene {
        /// The result.
        path: PathBuf,
        /// A gene of the result.
        result: String,
        /// A gene of the new cells.
        new: String,
    },
    /// No name of a list is in the data.
    #[error(
        "{}: none of its names is that of a {axis} of the data, such as \"{example}\"; write one name a line",
        path.display(), axis = one(*axis)
    )]
    NoneListed {
        /// The list.
        path: PathBuf,
        /// Whether it lists genes or cells.
        axis: Axis,
        /// The first name that the data have.
        example: String,
    },
    /// A folder is not that of a cNMF run, or the run has no replicates of a k.
    #[error(
        "{}: has no {}; name the folder DIR/NAME of a cNMF run, and the k that it combined", path.display(),
        missing.strip_prefix(path).unwrap_or(missing).display()
    )]
    NoReplicates {
        /// The folder.
        path: PathBuf,
        /// The file that is not there.
        missing: PathBuf,
    },
    /// A cNMF run does not say where its counts are.
    #[error("{}: does not say where its counts are; name the file that the run was made from", path.display())]
    NoCounts {
        /// The folder.
        path: PathBuf,
    },
    /// The store that a sweep was made from is gone.
    #[error("{}: was made from {}, which is gone; name the counts", path.display(), store.display())]
    CountsGone {
        /// The folder of the sweep.
        path: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// A sweep has no replicates of a k.
    #[error(
        "{}: has no replicates of k = {k}, only of {}; sweep it into the same folder", path.display(),
        has.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
    )]
    NotSwept {
        /// The folder.
        path: PathBuf,
        /// The k asked for.
        k: usize,
        /// Those that it has.
        has: Vec<usize>,
    },
    /// Replicates that have no consensus.
    #[error("{}: {error}", path.display())]
    Consensus {
        /// Their spectra.
        path: PathBuf,
        /// Why.
        error: ConsensusError,
    },
    /// Genes of the replicates are not unique.
    #[error(
        "{}: genes repeat, such as {}; make names unique before the replicates are made, and here as there",
        path.display(), names.join(", ")
    )]
    AmbiguousGenes {
        /// The file.
        path: PathBuf,
        /// Some of them.
        names: Vec<String>,
    },
    /// Genes of the replicates are not in the data.
    #[error(
        "{}: lacks {missing} of the {of} genes of {}, such as {}; give the counts that the replicates were made from",
        path.display(), list.display(), examples.join(", ")
    )]
    MissingGenes {
        /// The data.
        path: PathBuf,
        /// The list of genes.
        list: PathBuf,
        /// How many it lacks.
        missing: usize,
        /// How many there are.
        of: usize,
        /// Some of them.
        examples: Vec<String>,
    },
    /// The place of the store holds the store of another matrix.
    #[error(
        "{}: is the store of another matrix (made from {}); choose another place for the store, or allow it to be \
         overwritten", path.display(), made_from.display()
    )]
    OtherStore {
        /// The place.
        path: PathBuf,
        /// The input of the store that is there.
        made_from: PathBuf,
    },
}

impl JobError {
    /// The error of a consensus of the spectra at `path`.
    pub(super) fn of_consensus(path: PathBuf, error: ConsensusError) -> Self {
        match error {
            ConsensusError::Cancelled => DriverError::Cancelled.into(),
            error => JobError::Consensus { path, error },
        }
    }
}

fn one(axis: Axis) -> &'static str {
    match axis {
        Axis::Cells => "cell",
        Axis::Genes => "gene",
    }
}

impl From<DriverError> for JobError {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::Storage(error) => JobError::Storage(error),
            error => JobError::Driver(error),
        }
    }
}

impl From<CommError> for JobError {
    fn from(error: CommError) -> Self {
        JobError::Driver(error.into())
    }
}

impl From<Elsewhere> for JobError {
    fn from(error: Elsewhere) -> Self {
        JobError::Driver(error.into())
    }
}
