//! Fits of small stores, held against explicit arithmetic.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alike;
mod bits;
mod cancelled;
mod checkpoints;
mod conformance;
mod digests;
mod disagreement;
mod endings;
mod hvg;
mod in_memory;
mod kept_sample;
mod loss;
mod losses;
mod pca;
mod pca_checkpoints;
mod pinned;
mod planted;
mod processes;
mod rare;
mod refusals;
mod set_checkpoints;
mod sets;
mod shared_pass;
mod starts;
mod sums;
mod sweep_checkpoints;
mod sweeps;
mod threads_comm;
mod trajectory;
mod waiting;
