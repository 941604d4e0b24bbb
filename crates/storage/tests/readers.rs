//! The promises of readers: the values, names and columns of files of all versions, and one clear
//! line for files that cannot be used.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "readers/annotations.rs"]
mod annotations;
#[path = "readers/conformance.rs"]
mod conformance;
#[path = "readers/files.rs"]
mod files;
#[path = "readers/h5ad.rs"]
mod h5ad;
#[path = "readers/npy.rs"]
mod npy;
#[path = "readers/real.rs"]
mod real;
#[path = "readers/refusals.rs"]
mod refusals;
