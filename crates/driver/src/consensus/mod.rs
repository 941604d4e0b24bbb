//! Consensus: the programs that many replicates of one k have in common (cNMF; Kotliar et al., *eLife* 8,
//! 2019).
//!
//! | file         | question                                                        |
//! |--------------|-----------------------------------------------------------------|
//! | `spectra`    | how do replicates lie side by side?                             |
//! | `clusters`   | which spectra are the same program? k-means                     |
//! | `neighbours` | which spectra have neighbours in other replicates, and how clear are the clusters? |
//! | `distances`  | how far apart are some of the spectra, for a picture?           |
//! | `medians`    | from replicates to median spectra: the steps above, in order    |
//! | `refit`      | which usages, scores and spectra of all genes follow from them? |
//! | `reference`  | which spectra does starCAT take?                                |
//! | `write`      | how do they become AnnData files?                               |
//!
//! The steps are those of cNMF 1.7, with exact non-negative least squares in the place of its solver that
//! stops at a tolerance:
//!
//! 1. Spectra of all replicates are scaled to norm 1. A spectrum whose mean distance to its nearest ones (30 %
//!    of the replicates) is not below the threshold is left out.
//! 2. The others are clustered into k. The medians of the clusters, scaled to sum 1, are the spectra.
//! 3. One pass over the counts X of the selected genes, each divided by its standard deviation (n − 1), gives
//!    the usages W, and with them the sums WᵀT and ŴᵀT of values per million T of all genes, Ŵ being W with
//!    rows that sum to 1. From these: the order of the programs (by Σ Ŵ), spectra in values per million (least
//!    squares ŴS ≈ T), and scores of genes as [`scores`](crate::scores) has them.
//! 4. A second pass gives the usages that a result has: T of the selected genes, divided by its standard
//!    deviation (n − 1), under S divided by that of the population.

mod clusters;
mod distances;
mod medians;
mod neighbours;
mod reference;
mod refit;
mod spectra;
#[cfg(feature = "hdf5")]
mod write;

pub use distances::Distances;
pub use medians::{Medians, find_medians};
pub use refit::{Programs, Selected, plan, refit};
pub use spectra::Replicates;
#[cfg(feature = "hdf5")]
pub use write::{Stores, Written, write};

/// Why replicates have no consensus.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConsensusError {
    /// Fewer than two replicates.
    #[error("a consensus needs two replicates or more of a k, not {replicates}")]
    Replicates {
        /// How many there are.
        replicates: usize,
    },
    /// The number of spectra is not a multiple of k.
    #[error("{spectra} spectra are not whole replicates of k = {k}")]
    Ragged {
        /// How many there are.
        spectra: usize,
        /// Spectra of a replicate.
        k: usize,
    },
    /// A spectrum without a value above zero.
    #[error("spectrum {} of replicate {} is zero for all genes; leave this replicate out", component + 1, replicate + 1)]
    ZeroSpectrum {
        /// The replicate, from 0.
        replicate: usize,
        /// Its component, from 0.
        component: usize,
    },
    /// The system did not start a thread.
    #[error("cannot start a thread: {message}; try fewer threads")]
    Threads {
        /// The system's message.
        message: String,
    },
    /// It was asked to end.
    #[error("cancelled")]
    Cancelled,
    /// The density filter leaves too little to find k programs in.
    #[error(
        "the density threshold {threshold} keeps {kept} of {of} spectra, too few for {k} programs: their local densities \
         have the quartiles {:.3}, {:.3} and {:.3}; {enough:.3} keeps half of the replicates of each program",
        quartiles[0], quartiles[1], quartiles[2]
    )]
    Density {
        /// The threshold.
        threshold: f64,
        /// Components.
        k: usize,
        /// Spectra below it.
        kept: usize,
        /// All spectra.
        of: usize,
        /// Quartiles of the local densities.
        quartiles: [f64; 3],
        /// The least threshold that keeps half of the replicates of each program.
        enough: f64,
    },
}
