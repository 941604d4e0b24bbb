//! What a fit says when it is done.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use partwise::driver::{Fit, Machine, Plan};
use partwise::storage::Store;
use serde::Serialize;

use crate::size::ByteSize;
use crate::wording::{cells_by_genes, duration, relative_error};

/// The keys of `fit --json`.
#[derive(Serialize)]
pub(super) struct Report {
    cells: usize,
    genes: usize,
    k: usize,
    passes: usize,
    sample_passes: f64,
    relative_error: f64,
    explained: f64,
    stop: String,
    seconds: f64,
    convert_seconds: f64,
    bytes_read: u64,
    peak_rss_bytes: u64,
    planned_peak_bytes: u64,
    memory_bytes: u64,
    threads: usize,
    result: String,
    store: String,
    solver: String,
    seed: u64,
    digest: String,
    resumed_from_pass: usize,
    ranks: usize,
    rows_per_rank: Vec<usize>,
}

impl Report {
    /// The report of a fit that took `total` in all, by processes that had at most `peak_rss_bytes` resident.
    pub(super) fn new(
        (fit, plan, store): (&Fit, &Plan, &Store),
        result: &Path,
        solver: String,
        machine: &Machine,
        (total, converting): (Duration, Duration),
        peak_rss_bytes: u64,
    ) -> Self {
        Report {
            cells: fit.cells(),
            genes: fit.genes(),
            k: fit.k(),
            passes: fit.passes,
            sample_passes: fit.sample_passes,
            relative_error: fit.relative_error,
            explained: fit.explained(),
            stop: fit.stop.to_string(),
            seconds: total.as_secs_f64(),
            convert_seconds: converting.as_secs_f64(),
            bytes_read: fit.bytes_read,
            peak_rss_bytes,
            planned_peak_bytes: plan.peak_bytes,
            memory_bytes: machine.memory,
            threads: plan.threads,
            result: result.to_string_lossy().into_owned(),
            store: store.path().to_string_lossy().into_owned(),
            solver,
            seed: plan.seed,
            digest: fit.digest.clone(),
            resumed_from_pass: fit.resumed_from_pass,
            ranks: fit.rows_per_rank.len(),
            rows_per_rank: fit.rows_per_rank.clone(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = relative_error(self.relative_error);
        writeln!(f, "{}: {}, k = {}", self.result, cells_by_genes(self.cells, self.genes), self.k)?;
        writeln!(f, "relative error {error} after {} reads of the data ({})", self.passes, self.stop)?;
        let (time, peak, budget) =
            (Duration::from_secs_f64(self.seconds), ByteSize(self.peak_rss_bytes), ByteSize(self.memory_bytes));
        write!(f, "took {} and {peak} of {budget} memory", duration(time))
    }
}
