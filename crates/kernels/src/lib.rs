//! The kernels crate of partwise.
