//! Where W and H come from: one start a file.

mod given;
mod merge;
mod random;
mod sample;

pub(crate) use given::given;
pub(crate) use random::{random, uniform_scale};
pub(crate) use sample::{SampleStart, sample, widest};
