//! What the kernels promise, over ragged shapes: the fast ones equal their slow twins, and rules do not go uphill.

mod dense;
mod fixed;
mod gram;
mod loss;
mod pivoting;
mod shapes;
mod sparse;
mod update;
mod wide;
