//! The promises of conversion: the same store for any threads and budget, complete or not at all,
//! and back to the same values.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "conversion/anndata.rs"]
mod anndata;
#[path = "conversion/conformance.rs"]
mod conformance;
#[path = "conversion/full_disk.rs"]
mod full_disk;
#[path = "conversion/hostile.rs"]
mod hostile;
#[path = "conversion/inputs.rs"]
mod inputs;
#[path = "conversion/reblock.rs"]
mod reblock;
#[path = "conversion/store.rs"]
mod store;
#[path = "conversion/transpose.rs"]
mod transpose;
