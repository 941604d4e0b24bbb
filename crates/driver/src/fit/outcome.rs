//! A finished fit, with its W and H.

use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::comm::Comm;
use crate::error::DriverError;
use crate::model::Model;
use crate::spectra::Spectra;
use crate::trace::{StopReason, TraceRow};
use crate::usages::Usages;

/// 64-bit words of a SHA-256.
const DIGEST_WORDS: usize = 4;

/// A factorization X ≈ W·H, in the units of the input.
///
/// If the monitor cancels a fit after its first pass, `stop` is [`StopReason::Cancelled`], and W
/// and H are those of the last accepted pass.
#[derive(Debug)]
pub struct Fit {
    /// The settings that shaped it.
    pub model: Model,
    /// Every full pass.
    pub trace: Vec<TraceRow>,
    /// Why it ended.
    pub stop: StopReason,
    /// Reads of all of X that the fit took part in, that of the sample included.
    pub passes: usize,
    /// Work on the sample, in passes over X.
    pub sample_passes: f64,
    /// Reads of all of X completed before the checkpoint that this fit resumed from; 0 if it
    /// started at the beginning.
    pub resumed_from_pass: usize,
    /// Bytes of blocks that all processes read, for the samples and in the full passes of all fits that
    /// shared them. Blocks that stay in memory are read once in full passes, mapped ones not at all.
    pub bytes_read: u64,
    /// ‖X−WH‖ / ‖X‖ of the matrix factorized (after scaling of genes).
    pub relative_error: f64,
    /// A hash of the bits of W (n × k) and H (k × m), row-major, little-endian f32, as in the
    /// result: SHA-256 of the SHA-256 of W's row blocks, one after the other, and then of H's;
    /// hexadecimal.
    pub digest: String,
    /// Rows of X that each process has worked on.
    pub rows_per_rank: Vec<usize>,
    /// The digest of the earlier result that the fit started from, if it did.
    pub start: Option<String>,
    pub(super) usages: Usages,
    pub(super) spectra: Spectra,
    /// The row blocks of W that this process has.
    pub(super) own: Range<usize>,
}

/// Consecutive rows of W.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageRows {
    /// The first of them, as a row of X.
    pub first: usize,
    /// Components k.
    pub k: usize,
    /// rows × k values, row-major.
    pub values: Vec<f32>,
}

impl UsageRows {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.k
    }
}

impl Fit {
    /// Cells n.
    pub fn cells(&self) -> usize {
        self.usages.cells()
    }

    /// Genes m.
    pub fn genes(&self) -> usize {
        self.spectra.genes()
    }

    /// Components k.
    pub fn k(&self) -> usize {
        self.spectra.k()
    }

    /// Fraction of ‖X‖² that W·H explains: 1 − relative_error².
    pub fn explained(&self) -> f64 {
        1.0 - self.relative_error * self.relative_error
    }

    /// H (k × m), in the units of the input.
    pub fn spectra(&self) -> &Spectra {
        &self.spectra
    }

    /// W (n × k) block by block, in order: the rows that this process has.
    ///
    /// # Errors
    ///
    /// An item is an error when the scratch file of W cannot be read.
    pub fn usage_blocks(&self) -> impl Iterator<Item = Result<UsageRows, DriverError>> + '_ {
        self.own.clone().map(|block| {
            let k = self.k();
            let mut values = vec![0.0; self.usages.rows_of(block) * k];
            self.usages.load(block, &mut values)?;
            Ok(UsageRows { first: self.usages.first_row_of(block), k, values })
        })
    }

    /// W in one piece: the rows that this process has (all n if it works alone) × k, row-major.
    ///
    /// # Errors
    ///
    /// When the scratch file of W cannot be read.
    pub fn usages(&self) -> Result<Vec<f32>, DriverError> {
        let mut w = Vec::new();
        for rows in self.usage_blocks() {
            w.extend(rows?.values);
        }
        Ok(w)
    }

    /// Every process hashes its own blocks, and the hashes go to all.
    pub(super) fn compute_digest(&self, comm: &dyn Comm) -> Result<String, DriverError> {
        let mut hashes = vec![[0i64; DIGEST_WORDS]; self.usages.blocks()];
        for (hash, rows) in hashes[self.own.clone()].iter_mut().zip(self.usage_blocks()) {
            let digest = Sha256::digest(bytemuck::cast_slice(&rows?.values));
            bytemuck::cast_slice_mut::<i64, u8>(hash).copy_from_slice(&digest);
        }
        comm.all_reduce_sum(&mut [hashes.as_flattened_mut()])?;

        let mut spectra = Sha256::new();
        for c in 0..self.k() {
            let row: Vec<f32> = self.spectra.component(c).collect();
            spectra.update(bytemuck::cast_slice::<f32, u8>(&row));
        }
        let mut hash = Sha256::new();
        hash.update(bytemuck::cast_slice::<i64, u8>(hashes.as_flattened()));
        hash.update(spectra.finalize());
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
