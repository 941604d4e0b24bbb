//! Turns packed tiles back into compressed rows.

use super::{CsrRows, RunBatch, SparseTile, TileError};

/// Turns tiles, which are in gene order, into rows. Keeps its buffers.
#[derive(Default)]
pub(crate) struct Rows {
    batch: RunBatch,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl Rows {
    /// The rows of `tile`. Decodes it twice: first to count the entries of each row, then to place
    /// them.
    pub(crate) fn of(&mut self, tile: &SparseTile<'_>) -> Result<CsrRows<'_>, TileError> {
        self.indptr.clear();
        self.indptr.resize(tile.rows() + 1, 0);
        let mut runs = tile.runs();
        while runs.next_batch(&mut self.batch)? {
            self.batch.rows.iter().for_each(|&row| self.indptr[usize::from(row) + 1] += 1);
        }
        for row in 0..tile.rows() {
            self.indptr[row + 1] += self.indptr[row];
        }
        let mut next = self.indptr.clone();
        self.indices.resize(tile.nonzeros(), 0);
        self.values.resize(tile.nonzeros(), 0.0);
        let mut runs = tile.runs();
        while runs.next_batch(&mut self.batch)? {
            let mut start = 0;
            for (&gene, &end) in self.batch.genes.iter().zip(&self.batch.ends) {
                for at in start..end as usize {
                    let place = &mut next[usize::from(self.batch.rows[at])];
                    self.indices[*place] = gene;
                    self.values[*place] = self.batch.values[at];
                    *place += 1;
                }
                start = end as usize;
            }
        }
        Ok(CsrRows { indptr: &self.indptr, indices: &self.indices, values: &self.values })
    }
}
