//! Computations over row blocks, one a file: each is a [`Fold`](crate::engine::Fold).

pub(crate) mod factorize;
pub(crate) mod subspace;
pub(crate) mod take_rows;
