//! A few decoded runs in reusable memory.

use super::sheet::{SHEET_NONZEROS, Source};

/// The most nonzeros of a batch. With their rows they take 20 KiB, so that they are still in L1
/// when they are used.
pub const BATCH_NONZEROS: usize = 4096;

/// The most entries that a wide copy writes beyond the end of a run.
pub(super) const SLACK: usize = 64;

/// A few decoded runs.
///
/// Run i is gene `genes[i]` with the entries `ends[i - 1]..ends[i]` (from 0 for the first) of
/// `rows` and `values`. Rows ascend within a run and count from the tile's first row. Genes ascend
/// after [`RunDecoder::next_batch`](super::RunDecoder::next_batch).
/// [`RunDecoder::next_sheet`](super::RunDecoder::next_sheet) has its own order.
#[derive(Clone, Debug, Default)]
pub struct RunBatch {
    /// The genes.
    pub genes: Vec<u32>,
    /// The end of each run.
    pub ends: Vec<u32>,
    /// The rows of all runs.
    pub rows: Vec<u8>,
    /// The values of all runs.
    pub values: Vec<f32>,
    /// Scratch of a sheet: the places of the runs in the tile, and of the patches of those that
    /// have one.
    pub(super) sources: Vec<Source>,
    pub(super) patched: Vec<(u32, usize)>,
}

impl RunBatch {
    /// An empty batch without memory yet. It grows to its final 50 KiB on first use, or to
    /// [`sheet_bytes`](Self::sheet_bytes).
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

    /// Bytes that a batch holds for sheets of tiles with up to `runs` runs and `nonzeros` nonzeros.
    pub fn sheet_bytes(runs: usize, nonzeros: usize) -> usize {
        let nonzeros = nonzeros.min(SHEET_NONZEROS);
        let runs = runs.min(nonzeros);
        let (gene, end, source, patched) = (4, 4, size_of::<Source>(), size_of::<(u32, usize)>());
        runs * (gene + end + source + patched) + (nonzeros + SLACK) * 5
    }

    /// Removes the runs and makes room for a sheet of `runs` runs and `nonzeros` nonzeros. The
    /// caller overwrites the sources.
    pub(super) fn prepare_sheet(&mut self, runs: usize, nonzeros: usize) {
        self.rows.clear();
        self.values.clear();
        self.patched.clear();
        self.genes.clear();
        self.ends.clear();
        self.sources.clear();
        self.genes.reserve_exact(runs);
        self.ends.reserve_exact(runs);
        self.sources.reserve_exact(runs);
        self.patched.reserve_exact(runs);
        self.rows.reserve_exact(nonzeros + SLACK);
        self.values.reserve_exact(nonzeros + SLACK);
        self.sources.resize(runs, Source::default());
    }

    /// Removes the runs and makes room for a full batch.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_for_sheets_holds_the_bytes_that_it_announces() {
        for (runs, nonzeros) in [(0, 0), (1, 1), (7, 300), (2_000, 2_000), (30_000, SHEET_NONZEROS)] {
            let mut batch = RunBatch::new();
            batch.prepare_sheet(runs, nonzeros);
            let RunBatch { genes, ends, rows, values, sources, patched } = &batch;
            let of_runs = 4 * (genes.capacity() + ends.capacity()) + size_of_val(&sources[..]);
            let held =
                of_runs + size_of::<(u32, usize)>() * patched.capacity() + rows.capacity() + 4 * values.capacity();
            assert_eq!(RunBatch::sheet_bytes(runs, nonzeros), held, "{runs} runs of {nonzeros} nonzeros");
        }
        // A tile may have more of both than a sheet.
        assert_eq!(RunBatch::sheet_bytes(9, 8), RunBatch::sheet_bytes(8, 8));
        let full = RunBatch::sheet_bytes(100, SHEET_NONZEROS);
        assert_eq!(RunBatch::sheet_bytes(100, SHEET_NONZEROS + 1), full);
    }
}
