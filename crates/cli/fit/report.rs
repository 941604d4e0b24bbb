//! The report at the end of a fit, or of several.

use std::fmt;
use std::time::Duration;

use partwise::Machine;
use partwise::job::{FitDone, JobDone};
use serde::Serialize;

use crate::size::ByteSize;
use crate::wording::{cells_by_genes, duration, relative_error};

/// The keys of `fit --json` that one fit and several share.
#[derive(Serialize)]
struct Job {
    cells: usize,
    genes: usize,
    /// Reads of X by all fits together.
    passes: usize,
    seconds: f64,
    convert_seconds: f64,
    bytes_read: u64,
    peak_rss_bytes: u64,
    planned_peak_bytes: u64,
    memory_bytes: u64,
    threads: usize,
    store: String,
    solver: String,
    ranks: usize,
    rows_per_rank: Vec<usize>,
}

/// The keys of one fit.
#[derive(Serialize)]
struct OneFit {
    k: usize,
    seed: u64,
    result: String,
    digest: String,
    passes: usize,
    sample_passes: f64,
    score_passes: usize,
    relative_error: f64,
    explained: f64,
    stop: String,
    resumed_from_pass: usize,
    /// Whether the result was there already.
    kept: bool,
}

/// The report of a job.
pub(super) struct Report {
    job: Job,
    fits: Vec<OneFit>,
    is_set: bool,
    output: String,
    waves: usize,
}

impl Report {
    /// Of a job that took `total` in all, by processes that had at most `peak_rss_bytes` resident.
    pub(super) fn new(
        done: &JobDone,
        solver: String,
        machine: &Machine,
        total: Duration,
        peak_rss_bytes: u64,
        ranks: usize,
    ) -> Self {
        let execution = done.plan.as_ref().map(|plan| &plan.execution);
        Report {
            job: Job {
                cells: done.cells,
                genes: done.genes,
                passes: done.passes,
                seconds: total.as_secs_f64(),
                convert_seconds: done.converting.as_secs_f64(),
                bytes_read: done.bytes_read,
                peak_rss_bytes,
                planned_peak_bytes: execution.map_or(0, |execution| execution.peak_bytes),
                memory_bytes: machine.memory,
                threads: execution.map_or(0, |execution| execution.threads),
                store: done.store.to_string_lossy().into_owned(),
                solver,
                ranks,
                rows_per_rank: done.rows_per_rank.clone(),
            },
            fits: done.fits.iter().map(OneFit::new).collect(),
            is_set: done.is_set,
            output: done.output.to_string_lossy().into_owned(),
            waves: execution.map_or(0, |execution| execution.waves.len()),
        }
    }

    /// The object of `--json`: flat for one fit, with a list `fits` for several.
    pub(super) fn json(&self) -> serde_json::Value {
        let mut object = serde_json::json!(self.job);
        let members = object.as_object_mut().expect("a struct becomes an object");
        if self.is_set {
            members.insert("output".into(), self.output.clone().into());
            members.insert("waves".into(), self.waves.into());
            members.insert("fits".into(), serde_json::json!(self.fits));
        } else if let Some(fit) = self.fits.first() {
            let fit = serde_json::json!(fit);
            members.extend(fit.as_object().expect("a struct becomes an object").clone());
        }
        object
    }
}

impl OneFit {
    fn new(fit: &FitDone) -> Self {
        OneFit {
            k: fit.id.k,
            seed: fit.id.seed,
            result: fit.result.to_string_lossy().into_owned(),
            digest: fit.digest.clone(),
            passes: fit.passes,
            sample_passes: fit.sample_passes,
            score_passes: fit.score_passes,
            relative_error: fit.relative_error,
            explained: fit.explained,
            stop: fit.stop.clone(),
            resumed_from_pass: fit.resumed_from_pass,
            kept: fit.kept,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Job { cells, genes, passes, seconds, peak_rss_bytes, memory_bytes, .. } = self.job;
        let shape = cells_by_genes(cells, genes);
        let cost = format!(
            "took {} and {} of {} memory",
            duration(Duration::from_secs_f64(seconds)),
            ByteSize(peak_rss_bytes),
            ByteSize(memory_bytes)
        );
        if let ([fit], false) = (&self.fits[..], self.is_set) {
            let error = relative_error(fit.relative_error);
            writeln!(f, "{}: {shape}, k = {}", fit.result, fit.k)?;
            writeln!(f, "relative error {error} after {} reads of the data ({})", fit.passes, fit.stop)?;
            return f.write_str(&cost);
        }
        writeln!(f, "{}: {shape}, {} fits", self.output, self.fits.len())?;
        let name = |fit: &OneFit| format!("k{}.seed{}.h5ad", fit.k, fit.seed);
        let width = self.fits.iter().map(|fit| name(fit).len()).max().unwrap_or(0);
        writeln!(f, "{:<width$}  {:>4}  {:>6}  relative error  explained  reads", "result", "k", "seed")?;
        for fit in &self.fits {
            let error = relative_error(fit.relative_error);
            let explained = format!("{:.2} %", 100.0 * fit.explained);
            let kept = if fit.kept { "  (kept)" } else { "" };
            writeln!(
                f,
                "{:<width$}  {:>4}  {:>6}  {error:>14}  {explained:>9}  {:>5}  {}{kept}",
                name(fit),
                fit.k,
                fit.seed,
                fit.passes,
                fit.stop
            )?;
        }
        write!(f, "{passes} reads of the data by all fits together; {cost}")
    }
}
