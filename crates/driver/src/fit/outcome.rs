//! A finished fit, with its W and H.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use tracing::info_span;

use crate::comm::Comm;
use crate::digest::RowHashes;
use crate::error::DriverError;
use crate::model::Model;
use crate::scores::Scores;
use crate::spectra::Spectra;
use crate::subset::Subset;
use crate::trace::{StopReason, TraceRow};
use crate::usages::Usages;

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
    /// Reads of all of X that the fit took part in, those for the subset and the sample included.
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
    /// What every gene was divided by, if genes were scaled.
    pub deviations: Option<Vec<f64>>,
    /// The digest of the earlier result that the fit started from, if it did.
    pub start: Option<String>,
    /// The scores of genes, if they were taken.
    pub scores: Option<Scores>,
    pub(super) usages: Usages,
    /// Of the genes that were fitted.
    pub(super) spectra: Spectra,
    pub(super) subset: Option<Arc<Subset>>,
    /// The row blocks of W that this process has.
    pub(super) own: Range<usize>,
}

/// Consecutive rows of W.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageRows {
    /// The first of them, among the cells that were fitted.
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
    /// Cells n that were fitted.
    pub fn cells(&self) -> usize {
        self.subset.as_ref().map_or(self.usages.cells(), |subset| subset.cell_count())
    }

    /// The genes and cells that were fitted; `None`: all.
    pub fn subset(&self) -> Option<&Subset> {
        self.subset.as_deref()
    }

    /// Genes m that were fitted.
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
        self.own_blocks().into_iter().map(|(block, first)| self.usage_rows(block, first))
    }

    /// The row blocks of this process, and where the first row of each is in W.
    pub(crate) fn own_blocks(&self) -> Vec<(usize, usize)> {
        let kept = self.subset.as_ref().and_then(|subset| subset.cells());
        let count = |rows: Range<usize>| kept.map_or(rows.len(), |kept| kept.count_ones(rows));
        let mut next = count(0..self.usages.first_row_of(self.own.start));
        let place = |block: usize| {
            let (first_row, first) = (self.usages.first_row_of(block), next);
            next += count(first_row..first_row + self.usages.rows_of(block));
            (block, first)
        };
        self.own.clone().map(place).collect()
    }

    /// The rows of W of a block, of which the first is row `first`.
    pub(crate) fn usage_rows(&self, block: usize, first: usize) -> Result<UsageRows, DriverError> {
        let k = self.k();
        let mut values = vec![0.0; self.usages.rows_of(block) * k];
        self.usages.load(block, &mut values)?;
        if let Some(kept) = self.subset.as_ref().and_then(|subset| subset.cells()) {
            let (first_row, mut rows) = (self.usages.first_row_of(block), 0);
            for row in (0..self.usages.rows_of(block)).filter(|row| kept.contains(first_row + row)) {
                values.copy_within(row * k..(row + 1) * k, rows * k);
                rows += 1;
            }
            values.truncate(rows * k);
        }
        Ok(UsageRows { first, k, values })
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
        let hashes = RowHashes::new(self.usages.blocks());
        let blocks = self.own_blocks();
        let span = info_span!("hashes of W", tasks = blocks.len()).entered();
        blocks.into_par_iter().try_for_each(|(block, first)| {
            hashes.add(block, &self.usage_rows(block, first)?.values);
            Ok::<_, DriverError>(())
        })?;
        drop(span);
        Ok(hashes.finish(comm, &self.spectra)?)
    }
}
