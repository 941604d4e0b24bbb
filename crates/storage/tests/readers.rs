//! The promises of readers: the values, names and columns of files of all versions, and one clear
//! line for files that cannot be used.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "readers/annotations.rs"]
mod annotations;
#[path = "readers/bare.rs"]
mod bare;
#[path = "readers/conformance.rs"]
mod conformance;
#[path = "readers/csv.rs"]
mod csv;
#[path = "readers/files.rs"]
mod files;
#[path = "readers/h5ad.rs"]
mod h5ad;
#[path = "readers/h5mu.rs"]
mod h5mu;
#[path = "readers/joined.rs"]
mod joined;
#[path = "readers/loom.rs"]
mod loom;
#[path = "readers/matrix_market.rs"]
mod matrix_market;
#[path = "readers/npy.rs"]
mod npy;
#[path = "readers/npz.rs"]
mod npz;
#[path = "readers/real.rs"]
mod real;
#[path = "readers/refusals.rs"]
mod refusals;
#[path = "readers/tenx.rs"]
mod tenx;
#[path = "readers/zarr.rs"]
mod zarr;
