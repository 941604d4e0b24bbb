//! Computations over row blocks, one a file: each is a [`Fold`](crate::engine::Fold).

pub(crate) mod centred;
pub(crate) mod clipped;
pub(crate) mod factorize;
pub(crate) mod gene_scores;
pub(crate) mod gram;
pub(crate) mod logarithms;
pub(crate) mod moments;
pub(crate) mod profile;
pub(crate) mod refit;
pub(crate) mod row_table;
pub(crate) mod subspace;
pub(crate) mod take_rows;
