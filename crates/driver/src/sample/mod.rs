//! A random sample of rows in memory, drawn once and used in growing prefixes.
//!
//! Row i gets a priority `q_i = u_i / a_i`, u uniform in (0, 1], a_i its weight in the loss (see
//! [`draw`]). The sample of r rows is the r rows of smallest priority. With τ the next priority,
//! row i is among them with probability `p_i = min(1, τ·a_i)` (bottom-k or priority sampling:
//! Duffield, Lund and Thorup 2007). Multiplying it by `1/√p_i` makes ‖X̃ − W̃H‖² an unbiased
//! estimate of ‖X − WH‖² for every H. Smaller samples are prefixes of larger ones, so one read of X
//! serves all sizes. The rows drawn depend on the data and the seed alone.
//!
//! Why not uniform rows: if few rows carry most of ‖X‖², a uniform sample misses them.

mod compress;
mod draw;
mod orders;
mod packed;

#[cfg(test)]
pub(crate) use draw::Drawn;
pub(crate) use draw::{Caps, Draw, RowWeight, draw};
pub(crate) use orders::{FEWEST, SampleRows, TwoOrders, leading};
pub(crate) use packed::{BLOCK_ROWS, Gathered, Sample};
