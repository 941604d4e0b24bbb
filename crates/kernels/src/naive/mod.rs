//! The slow twins: every kernel once more as the formula says it, one loop an index, for tests to hold the fast ones
//! against – in this crate and in those above it.
//!
//! Two kinds. Where a kernel promises bits, its twin does the same operations in the same order and the two are compared
//! with `==`: [`sparse`], [`gram`], [`fixed`], [`update`](mod@update). Where it promises a value, its twin is the formula in f64 and
//! `docs/numerics.md` derives how far apart they may be: [`product`], [`loss`].

#![allow(clippy::needless_range_loop, reason = "formulas are written with their indices")]

pub mod fixed;
pub mod gram;
pub mod loss;
pub mod product;
pub mod sparse;
pub mod update;
