//! `partwise pca`: the options, and the report at the end. The job itself is the library's.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use partwise::driver::{MethodSpec, PcaConfig, ScaleSpec, TargetSum};
use partwise::job::{PcaDone, PcaJob};
use partwise::machine;
use serde::Serialize;

use crate::attendant::Attendant;
use crate::failure::{Failure, overwrite};
use crate::input::{Files, Only, Select};
use crate::keep::Keep;
use crate::launch::World;
use crate::options::Common;
use crate::print;
use crate::progress::Progress;
use crate::settings::Scale;
use crate::size::ByteSize;
use crate::watchdog::Patience;
use crate::wording::{cells_by_genes, duration};

/// Axes that the text at the end lists.
const LISTED: usize = 8;

/// Compute principal components of cells x genes, read block by block
///
/// The matrix is centred only in the arithmetic, so it stays sparse and on disk. The axes and the scores
/// take at most eight reads of the data, and two or three where the Gram matrix of the genes is small
/// enough.
///
/// The result is an AnnData file with the keys of scanpy: obsm["X_pca"] holds the scores of the cells,
/// varm["PCs"] the axes, uns["pca"] the variances. uns["partwise_pca"] holds the settings. sc.pl.pca and
/// sc.pp.neighbors work on it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise pca pbmc3k.h5ad -c 50 --log1p                  the result is pbmc3k.pca.h5ad\n  \
    partwise pca pbmc3k.h5ad --log1p --target-sum 1e4       as scanpy with normalize_total(target_sum=1e4)\n  \
    partwise pca pbmc3k.h5ad --log1p --scale std --genes-file hvg.txt      genes of equal weight, some only\n  \
    partwise pca processed.h5ad -c 30 -o x.pca.h5ad         values that are logarithms already\n  \
    partwise pca atlas.pw -c 50 --log1p --memory 2G -o atlas.pca.h5ad\n  \
    partwise pca atlas.pw -c 50 --log1p --checkpoint atlas.ck --resume     resumes where it was stopped")]
pub(crate) struct Options {
    #[command(flatten)]
    files: Files,
    /// The number of components, at most that of the cells and that of the genes
    #[arg(short, long, value_name = "C", default_value_t = 50, help_heading = "Components")]
    components: usize,
    /// Scale the genes first: none, or divide each by its standard deviation
    #[arg(long, value_enum, default_value_t = Scale::None, hide_possible_values = true, value_name = "none|std",
        help_heading = "Components")]
    scale: Scale,
    /// Take ln(1 + x) of values that are scaled to the same sum for each cell; the store is not touched
    #[arg(long, help_heading = "Components")]
    log1p: bool,
    /// The sum that --log1p scales each cell to, over all genes of the input [default: the median of the
    /// sums of the cells]. Only with --log1p
    #[arg(long, value_name = "SUM", value_parser = positive, requires = "log1p", allow_negative_numbers = true,
        help_heading = "Components")]
    target_sum: Option<f64>,
    /// How the axes are found. gram: from the Gram matrix of the genes, for up to some thousand genes, in
    /// one read; krylov: from products with the covariance, in up to six. auto: the one expected to take
    /// less time
    #[arg(long, value_enum, default_value_t = Method::Auto, hide_possible_values = true,
        value_name = "auto|gram|krylov", help_heading = "Components")]
    method: Method,
    /// The result [default: INPUT with the ending .pca.h5ad]
    #[arg(short, long, value_name = "OUT.h5ad", help_heading = "Files")]
    output: Option<PathBuf>,
    /// The store that a file is converted into [default: named after the input; found again beside the
    /// result or the input, made beside the result]
    #[arg(long, value_name = "PATH.pw", help_heading = "Files")]
    store: Option<PathBuf>,
    #[command(flatten)]
    keep: Keep,
    #[command(flatten, next_help_heading = "Input")]
    select: Select,
    #[command(flatten)]
    only: Only,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The words of `--method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    Auto,
    Gram,
    Krylov,
}

fn positive(typed: &str) -> Result<f64, &'static str> {
    let number: f64 = typed.parse().map_err(|_| "a number above zero is needed")?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("a number above zero is needed") }
}

/// The object of `--json`.
#[derive(Serialize)]
struct Report {
    cells: usize,
    genes: usize,
    components: usize,
    method: &'static str,
    passes: usize,
    variance_ratio: Vec<f64>,
    total_variance: f64,
    seconds: f64,
    convert_seconds: f64,
    peak_rss_bytes: u64,
    planned_peak_bytes: u64,
    memory_bytes: u64,
    threads: usize,
    result: String,
    store: String,
    digest: String,
    ranks: usize,
    rows_per_rank: Vec<usize>,
    seed: u64,
    resumed_from_pass: usize,
    kept: bool,
}

pub(crate) fn run(options: &Options, world: &World, progress: &Progress) -> Result<(), Failure> {
    let began = Instant::now();
    let machine = options.common.machine_among(world.quota());
    let job = world.agree(options.job())?;
    let attendant = Attendant::new(progress, world);
    let done = match job.run(&machine, &attendant) {
        Err(failure) if failure.is_interruption() && !attendant.has_store() => {
            return Err(options.keep.answer(failure, progress.interrupt()));
        }
        // The pass has ended so in all processes.
        Err(failure) if failure.is_interruption() && !failure.is_agreed() => {
            world.agree(Err(options.interrupted(failure, &job, &attendant, progress)))?
        }
        done => done?,
    };
    let peak = world.largest(machine::peak_rss())?;
    if !world.leads() {
        return Ok(());
    }
    let report = Report::new(&done, began.elapsed(), peak, world.comm().size());
    if options.common.json { print::json(&report) } else { print::text(&report.to_string()) }
}

impl Options {
    fn job(&self) -> Result<PcaJob, Failure> {
        let scale = match self.scale {
            Scale::None => ScaleSpec::None,
            Scale::Std => ScaleSpec::Std,
        };
        let log1p = self.log1p.then_some(self.target_sum.map_or(TargetSum::Median, TargetSum::Sum));
        let method = match self.method {
            Method::Auto => MethodSpec::Auto,
            Method::Gram => MethodSpec::Gram,
            Method::Krylov => MethodSpec::Krylov,
        };
        let config = PcaConfig::new(self.components)
            .with_scale(scale)
            .with_log1p(log1p)
            .with_method(method)
            .with_seed(self.common.one_seed()?);
        let mut job = PcaJob::new(self.files.inputs()?, config);
        job.selection = self.select.selection();
        job.filter = self.only.filter();
        job.output.clone_from(&self.output);
        job.store.clone_from(&self.store);
        job.overwrite = overwrite(self.common.force);
        job.checkpoint = self.keep.checkpoint(job.overwrite);
        job.keep_result = self.keep.resume && !self.common.force;
        if self.keep.resume {
            self.keep.check(job.keep_result && job.has_result()?)?;
        }
        Ok(job)
    }

    /// The end of a pass that was asked to stop: the checkpoints stay, if there are any.
    fn interrupted(&self, failure: Failure, job: &PcaJob, attendant: &Attendant<'_>, progress: &Progress) -> Failure {
        match &job.checkpoint {
            Some(checkpoint) => self.keep.stopped(checkpoint, &attendant.kept(), (false, 0), progress.interrupt()),
            None => failure,
        }
    }
}

impl Report {
    fn new(done: &PcaDone, total: Duration, peak_rss_bytes: u64, ranks: usize) -> Self {
        let (scores, execution) = (&done.scores, &done.plan.execution);
        Report {
            cells: done.cells,
            genes: done.genes,
            components: scores.variance.len(),
            method: scores.method.word(),
            passes: scores.passes,
            variance_ratio: scores.variance_ratio.clone(),
            total_variance: scores.total_variance,
            seconds: total.as_secs_f64(),
            convert_seconds: done.converting.as_secs_f64(),
            peak_rss_bytes,
            planned_peak_bytes: execution.peak_bytes,
            memory_bytes: execution.memory,
            threads: execution.threads,
            result: done.result.to_string_lossy().into_owned(),
            store: done.store.to_string_lossy().into_owned(),
            digest: scores.digest.clone(),
            ranks,
            rows_per_rank: scores.rows_per_rank.clone(),
            seed: done.plan.model.config.seed,
            resumed_from_pass: scores.resumed_from_pass,
            kept: done.kept,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |ratio: f64| format!("{:.2}", 100.0 * ratio);
        let some: Vec<String> = self.variance_ratio.iter().take(LISTED).map(|&ratio| percent(ratio)).collect();
        let more = if self.components > LISTED { " …" } else { "" };
        writeln!(
            f,
            "{}: {}, {} principal components",
            self.result,
            cells_by_genes(self.cells, self.genes),
            self.components
        )?;
        writeln!(
            f,
            "{} % of the variance ({}{more}) after {} reads of the data, by the method {}",
            percent(self.variance_ratio.iter().sum()),
            some.join(" + "),
            self.passes,
            self.method
        )?;
        write!(
            f,
            "took {} and {} of {} memory",
            duration(Duration::from_secs_f64(self.seconds)),
            ByteSize(self.peak_rss_bytes),
            ByteSize(self.memory_bytes)
        )
    }
}
