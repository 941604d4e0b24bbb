//! A random sample of rows in memory, drawn once and used in growing prefixes.
//!
//! [`partwise_storage::sampling`] says which rows it has: one read of X serves all sizes, since smaller samples are
//! prefixes of larger ones. Or no read at all, where a store keeps a sample to draw from.

mod compress;
mod orders;
mod packed;

pub(crate) use compress::TURNING_BYTES;
pub(crate) use orders::{FEWEST, SampleRows, TwoOrders, leading};
pub(crate) use packed::{BLOCK_ROWS, Gathered, Sample};
