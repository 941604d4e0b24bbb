//! The promises of the kernels, tested over ragged shapes: the fast ones equal their slow twins,
//! and rules never go uphill.

mod dense;
mod distance;
mod eigen;
mod fixed;
mod gram;
mod loss;
mod pivoting;
mod shapes;
mod sparse;
mod update;
mod wide;
mod xtx;
