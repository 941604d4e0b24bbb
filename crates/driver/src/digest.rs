//! The hash of the bits of a table of rows (W, or scores) and of a table of genes (H, or axes).
//!
//! SHA-256 of the SHA-256 of the row blocks, one after the other, and then of the other table's; all
//! values row-major, little-endian f32.

use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::comm::{Comm, CommError};
use crate::spectra::Spectra;

/// 64-bit words of a SHA-256.
const WORDS: usize = 4;

/// Hashes of row blocks, which threads and processes add in any order.
pub(crate) struct RowHashes(Mutex<Vec<[i64; WORDS]>>);

impl RowHashes {
    /// For so many row blocks.
    pub(crate) fn new(blocks: usize) -> Self {
        RowHashes(Mutex::new(vec![[0; WORDS]; blocks]))
    }

    /// Adds the rows of a block.
    pub(crate) fn add(&self, block: usize, rows: &[f32]) {
        let hash = Sha256::digest(bytemuck::cast_slice(rows));
        let mut hashes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bytemuck::cast_slice_mut::<i64, u8>(&mut hashes[block]).copy_from_slice(&hash);
    }

    /// The hash, hexadecimal, once all processes have added their blocks. All of them call it.
    pub(crate) fn finish(self, comm: &dyn Comm, of_genes: &Spectra) -> Result<String, CommError> {
        let mut hashes = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        comm.all_reduce_sum(&mut [hashes.as_flattened_mut()])?;
        let mut genes = Sha256::new();
        for c in 0..of_genes.k() {
            let row: Vec<f32> = of_genes.component(c).collect();
            genes.update(bytemuck::cast_slice::<f32, u8>(&row));
        }
        let mut hash = Sha256::new();
        hash.update(bytemuck::cast_slice::<i64, u8>(hashes.as_flattened()));
        hash.update(genes.finalize());
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
