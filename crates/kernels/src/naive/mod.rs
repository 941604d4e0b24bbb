//! The slow twins of all kernels, written as the formulas with one loop per index. Tests compare
//! the fast kernels with them, in this crate and in those above it.
//!
//! There are two kinds. If a kernel promises bits, its twin does the same operations in the same
//! order, and tests compare the two with `==`: [`sparse`], [`dense`], [`distance`], [`gram`],
//! [`xtx`], [`fixed`], [`update`](mod@update). If a kernel promises a value, its twin is the formula in f64, and
//! `docs/numerics.md` derives the bound of the difference: [`product`], [`loss`].

#![allow(clippy::needless_range_loop, reason = "formulas are written with their indices")]

pub mod dense;
pub mod distance;
pub mod fixed;
pub mod gram;
pub mod loss;
pub mod product;
pub mod sparse;
pub mod update;
pub mod xtx;
