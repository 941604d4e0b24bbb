//! The report of a benchmark: one JSON object, or a table and a recommendation.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use partwise::storage::{Layout, Store};
use serde::Serialize;

use super::case::Measured;
use super::choice::{self, Timed, choose};
use super::grid::{Case, Grid};
use crate::size::ByteSize;
use crate::wording::{cells_by_genes, layout, thousands};
use partwise::machine;

/// If a single thread gets less than this fraction of a processor, other work distorts the times.
const BUSY: f64 = 0.9;

/// The keys of `bench --json`.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) store: String,
    pub(super) cells: usize,
    pub(super) genes: usize,
    pub(super) nonzeros: u64,
    pub(super) layout: &'static str,
    /// The height of the store.
    block_rows: usize,
    tile_rows: usize,
    /// The packed bytes that a pass reads.
    bytes_per_pass: u64,
    memory_bytes: u64,
    pub(super) cpu: String,
    cores: usize,
    pub(super) cases: Vec<CaseReport>,
    /// The recommended height, and the fraction by which it is slower than the fastest in its worst
    /// setting.
    chosen_block_rows: Option<usize>,
    chosen_excess: Option<f64>,
    /// The fraction of a processor that a single thread had, in the best passes of the cases with
    /// one thread. Less than 1 if other work ran. Null without such cases.
    processor_share: Option<f64>,
    plot: Option<String>,
    seconds: f64,
    /// The number of values that a pass multiplies.
    #[serde(skip)]
    entries: u64,
}

/// A case. If it does not fit into the memory, its measurements are null.
#[derive(Serialize)]
pub(super) struct CaseReport {
    pub(super) block_rows: usize,
    blocks: usize,
    pub(super) threads: usize,
    /// The threads that the plan uses: at most as many as fit into the memory and as there are
    /// blocks.
    threads_used: Option<usize>,
    pub(super) k: usize,
    fits: bool,
    /// If it does not fit: the least memory that would suffice.
    needed_bytes: Option<u64>,
    planned_peak_bytes: Option<u64>,
    mapped: Option<bool>,
    median_seconds: Option<f64>,
    pub(super) best_seconds: Option<f64>,
    bytes_per_second: Option<f64>,
    nonzeros_per_second: Option<f64>,
    flops_per_second: Option<f64>,
    pub(super) peak_rss_bytes: Option<u64>,
    /// The time that compute threads waited for the disk in a pass, added up over the threads;
    /// median over the passes.
    waiting_seconds: Option<f64>,
    /// The least processor time of a pass, of all threads together. Other work disturbs it less
    /// than the wall time.
    cpu_seconds: Option<f64>,
    /// The times of all timed passes.
    pass_seconds: Vec<f64>,
    #[serde(skip)]
    waits: Vec<f64>,
}

impl Report {
    /// The report before any measurement.
    pub(super) fn new(store: &Store, grid: &Grid, memory: u64) -> Self {
        let bytes_per_pass = (0..store.blocks()).map(|block| store.block(block).bytes as u64).sum();
        Report {
            store: store.path().to_string_lossy().into_owned(),
            cells: store.cells(),
            genes: store.genes(),
            nonzeros: store.nonzeros(),
            layout: layout(store.layout()),
            block_rows: store.block_rows(),
            tile_rows: store.tile_rows(),
            bytes_per_pass,
            memory_bytes: memory,
            cpu: machine::cpu(),
            cores: machine::threads(),
            cases: grid.cases.iter().map(|case| CaseReport::new(store, case)).collect(),
            chosen_block_rows: None,
            chosen_excess: None,
            processor_share: None,
            plot: None,
            seconds: 0.0,
            entries: match store.layout() {
                Layout::Sparse => store.nonzeros(),
                Layout::Dense => store.cells() as u64 * store.genes() as u64,
            },
        }
    }

    /// Adds the figures of one run of case `number`.
    pub(super) fn add(&mut self, number: usize, measured: Measured) {
        let case = &mut self.cases[number];
        case.pass_seconds.extend(measured.seconds);
        case.waits.extend(measured.waiting_seconds);
        let (median, best) = (median(&case.pass_seconds), case.pass_seconds.iter().copied().reduce(f64::min));
        let rate = |count: u64| best.map(|seconds| count as f64 / seconds);
        case.median_seconds = median;
        case.best_seconds = best;
        case.bytes_per_second = rate(self.bytes_per_pass);
        case.nonzeros_per_second = rate(self.nonzeros);
        case.flops_per_second = rate(4 * self.entries * case.k as u64);
        case.peak_rss_bytes = case.peak_rss_bytes.max(Some(measured.peak_rss_bytes));
        case.waiting_seconds = self::median(&case.waits);
        case.cpu_seconds = measured.cpu_seconds.into_iter().chain(case.cpu_seconds).reduce(f64::min);
    }

    /// Completes the report after all measurements.
    pub(super) fn finish(&mut self, took: Duration, plot: Option<&Path>) {
        let timed = |case: &CaseReport| Timed {
            block_rows: case.block_rows,
            setting: (case.k, case.threads),
            seconds: case.best_seconds,
        };
        let choice = choose(&self.cases.iter().map(timed).collect::<Vec<_>>());
        self.chosen_block_rows = choice.map(|choice| choice.block_rows);
        self.chosen_excess = choice.map(|choice| choice.excess);
        self.processor_share = median(&self.cases.iter().filter_map(CaseReport::processor_share).collect::<Vec<_>>());
        self.plot = plot.map(|path| path.to_string_lossy().into_owned());
        self.seconds = took.as_secs_f64();
    }

    /// The recommended height, the reason, and the command that applies it.
    fn advice(&self) -> Option<String> {
        let (rows, excess) = (self.chosen_block_rows?, self.chosen_excess?);
        let tolerance = 100.0 * choice::TOLERANCE;
        let why = if excess <= choice::TOLERANCE {
            format!("the smallest within {tolerance:.0} % of the fastest pass")
        } else {
            format!(
                "up to {:.0} % slower than the fastest pass of a setting; no height is within {tolerance:.0} % in all settings",
                100.0 * excess
            )
        };
        let act = if rows == self.block_rows {
            "which this store has".to_owned()
        } else {
            format!(
                "this store has {}; change it with: partwise convert '{}' -o NEW.pw --block-rows {rows}",
                thousands(self.block_rows as u64),
                self.store
            )
        };
        Some(format!("chosen here: blocks of {} rows, {why}; {act}", thousands(rows as u64)))
    }
}

impl CaseReport {
    fn new(store: &Store, case: &Case) -> Self {
        let plan = case.plan.as_ref().ok();
        CaseReport {
            block_rows: case.block_rows,
            blocks: store.cells().div_ceil(case.block_rows),
            threads: case.threads,
            threads_used: plan.map(|plan| plan.execution.threads),
            k: case.k,
            fits: plan.is_some(),
            needed_bytes: case.plan.as_ref().err().copied(),
            planned_peak_bytes: plan.map(|plan| plan.execution.peak_bytes),
            mapped: plan.map(|plan| plan.execution.map_store),
            median_seconds: None,
            best_seconds: None,
            bytes_per_second: None,
            nonzeros_per_second: None,
            flops_per_second: None,
            peak_rss_bytes: None,
            waiting_seconds: None,
            cpu_seconds: None,
            pass_seconds: Vec::new(),
            waits: Vec::new(),
        }
    }

    /// The fraction of a pass in which its only thread ran or waited for the disk.
    fn processor_share(&self) -> Option<f64> {
        let running = self.cpu_seconds? + self.waiting_seconds?;
        (self.threads_used == Some(1)).then_some(running / self.best_seconds?)
    }

    /// The cells of the table, in the order of [`HEADER`].
    fn row(&self) -> [String; COLUMNS] {
        let scaled = |value: Option<f64>, by: f64| value.map_or("-".into(), |value| three_digits(value * by));
        let threads = match self.threads_used {
            Some(used) if used < self.threads => format!("{used} of {}", self.threads),
            _ => self.threads.to_string(),
        };
        let peak = match (self.peak_rss_bytes, self.needed_bytes) {
            (Some(peak), _) => ByteSize(peak).to_string(),
            (None, Some(needed)) => format!("needs {}", ByteSize(needed)),
            (None, None) => "-".into(),
        };
        [
            thousands(self.block_rows as u64),
            threads,
            self.k.to_string(),
            scaled(self.median_seconds, 1e3),
            scaled(self.best_seconds, 1e3),
            scaled(self.cpu_seconds, 1e3),
            scaled(self.bytes_per_second, 1e-9),
            scaled(self.nonzeros_per_second, 1e-6),
            scaled(self.flops_per_second, 1e-9),
            peak,
            scaled(self.waiting_seconds, 1e3),
        ]
    }
}

const COLUMNS: usize = 11;

const HEADER: [&str; COLUMNS] = [
    "block rows",
    "threads",
    "k",
    "median ms",
    "best ms",
    "CPU ms",
    "GB/s",
    "M nonzeros/s",
    "GFLOP/s",
    "peak memory",
    "disk wait ms",
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = cells_by_genes(self.cells, self.genes);
        writeln!(f, "{}: {shape}, {} nonzeros, {}", self.store, thousands(self.nonzeros), self.layout)?;
        writeln!(f, "{}, {} cores, memory {}\n", self.cpu, self.cores, ByteSize(self.memory_bytes))?;
        let rows: Vec<[String; COLUMNS]> = self.cases.iter().map(CaseReport::row).collect();
        let widths = std::array::from_fn::<_, COLUMNS, _>(|column| {
            let longest = rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
            longest.max(HEADER[column].len())
        });
        let mut line = |cells: [&str; COLUMNS]| {
            let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}"));
            writeln!(f, "{}", padded.collect::<Vec<_>>().join("  "))
        };
        line(HEADER)?;
        for row in &rows {
            line(std::array::from_fn(|column| row[column].as_str()))?;
        }
        writeln!(f)?;
        if let Some(advice) = self.advice() {
            writeln!(f, "{advice}")?;
        }
        if let Some(share) = self.processor_share.filter(|&share| share < BUSY) {
            let percent = 100.0 * share;
            writeln!(
                f,
                "a single thread got only {percent:.0} % of a processor: other work runs here, and may have changed the choice"
            )?;
        }
        write!(
            f,
            "results may differ in the last bits between block heights, because sums are rounded once per block; therefore the \
             height is part of the store"
        )
    }
}

/// `0.456`, `4.56`, `45.6`, `456`.
fn three_digits(value: f64) -> String {
    let digits = if value < 0.9995 { 3 } else { usize::from(value < 99.95) + usize::from(value < 9.995) };
    format!("{value:.digits$}")
}

/// The median of `values`: the middle one, or the mean of the two in the middle.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[sorted.len() / 2 - 1], upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        for (values, expected) in
            [(&[][..], None), (&[3.0], Some(3.0)), (&[4.0, 1.0], Some(2.5)), (&[9.0, 1.0, 2.0], Some(2.0))]
        {
            assert_eq!(median(values), expected);
        }
    }

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in [(0.0, "0.000"), (0.4567, "0.457"), (4.567, "4.57"), (45.67, "45.7"), (4567.0, "4567")] {
            assert_eq!(three_digits(value), text);
        }
    }
}
