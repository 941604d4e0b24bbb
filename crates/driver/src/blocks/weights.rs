//! The factors of rows: R in X̂ = R·X·D.

use std::ops::Range;

use fixedbitset::FixedBitSet;

/// The factors r_i of the rows of one block.
#[derive(Debug, Clone, Copy)]
pub enum RowWeights<'b> {
    /// All are 1.
    Ones,
    /// One for each row of the block.
    Each(&'b [f32]),
    /// 1 for the rows in the set and 0 for the others, which are left out.
    Kept {
        /// Rows of the matrix.
        rows: &'b FixedBitSet,
        /// The first row of the block.
        first_row: usize,
    },
}

impl RowWeights<'_> {
    /// r_i of a row of the block.
    pub fn of(&self, row: usize) -> f32 {
        match *self {
            RowWeights::Ones => 1.0,
            RowWeights::Each(weights) => weights[row],
            RowWeights::Kept { rows, first_row } => f32::from(u8::from(rows.contains(first_row + row))),
        }
    }

    /// Whether all factors are 0 or 1, so that R·R = R.
    pub(crate) fn only_leave_out(&self) -> bool {
        !matches!(self, RowWeights::Each(_))
    }

    /// M ← R·M for the rows `rows` of the block, each of length `ld`.
    pub(crate) fn multiply(&self, matrix: &mut [f32], rows: Range<usize>, ld: usize) {
        match *self {
            RowWeights::Ones => (),
            RowWeights::Each(weights) => {
                for (row, &weight) in matrix.chunks_exact_mut(ld).zip(&weights[rows]) {
                    row.iter_mut().for_each(|value| *value *= weight);
                }
            }
            RowWeights::Kept { rows: kept, first_row } => {
                for (row, at) in matrix.chunks_exact_mut(ld).zip(rows) {
                    if !kept.contains(first_row + at) {
                        row.fill(0.0);
                    }
                }
            }
        }
    }
}
