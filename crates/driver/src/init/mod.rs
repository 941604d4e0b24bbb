//! The starts of W and H: one a file.

mod climb;
#[cfg(feature = "hdf5")]
mod given;
mod ground;
mod merge;
mod order_fit;
mod random;
mod read;
mod sample;
mod svd;

pub(crate) use climb::widest;
#[cfg(feature = "hdf5")]
pub use given::digest as start_digest;
#[cfg(feature = "hdf5")]
pub(crate) use given::out_of_range;
#[cfg(feature = "hdf5")]
pub(crate) use given::{digest, given};
pub(crate) use random::{random, uniform_scale};
pub(crate) use sample::{Start, StartOf, Starts, from_samples, sample, side_by_side};
