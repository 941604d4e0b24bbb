//! A few runs, decoded into memory that is used again and again.

/// Most nonzeros in a batch: with the rows they take 20 KiB, so that they are still in L1 when they are used.
pub const BATCH_NONZEROS: usize = 4096;

/// Entries that a wide copy may write beyond the end of a run.
pub(super) const SLACK: usize = 64;

/// A few runs, decoded.
///
/// Run i is gene `genes[i]` with the entries `ends[i - 1]..ends[i]` (from 0 for the first) of `rows` and `values`. Genes
/// ascend; rows ascend within a run and count from the tile's first row.
#[derive(Clone, Debug, Default)]
pub struct RunBatch {
    /// The genes.
    pub genes: Vec<u32>,
    /// Where each run ends.
    pub ends: Vec<u32>,
    /// The rows of all runs.
    pub rows: Vec<u8>,
    /// The values of all runs.
    pub values: Vec<f32>,
}

impl RunBatch {
    /// An empty batch without memory yet; it grows to its final 50 KiB on first use.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of runs.
    pub fn len(&self) -> usize {
        self.genes.len()
    }

    /// Whether there is no run.
    pub fn is_empty(&self) -> bool {
        self.genes.is_empty()
    }

    /// Forgets the runs and makes room for a full batch.
    pub(super) fn prepare(&mut self) {
        self.genes.clear();
        self.ends.clear();
        self.rows.clear();
        self.values.clear();
        self.genes.reserve(BATCH_NONZEROS);
        self.ends.reserve(BATCH_NONZEROS);
        self.rows.reserve(BATCH_NONZEROS + SLACK);
        self.values.reserve(BATCH_NONZEROS + SLACK);
    }
}
