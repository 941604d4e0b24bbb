//! The starts of W and H: one a file.

mod given;
mod merge;
mod random;
mod sample;

pub use given::digest as start_digest;
pub(crate) use given::{digest, given};
pub(crate) use random::{random, uniform_scale};
pub(crate) use sample::{StartOf, Starts, sample, side_by_side, widest};
