//! `partwise sweep`: replicates of several k, and how stable each k is.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use partwise::driver::SweepConfig;
use partwise::driver::sweep::ReplicateStart;
use partwise::job::{Filter, OfK, SweepDone, SweepJob, is_sweep};
use partwise::machine;
use partwise::storage::Overwrite;
use partwise_report::{CLEAR_LEAD, ReportSpec};
use serde::Serialize;

use crate::attendant::Attendant;
use crate::failure::{Failure, overwrite};
use crate::input::{Files, Scoring, Select, genes};
use crate::keep::{batch_job, reads};
use crate::launch::World;
use crate::list::List;
use crate::options::Common;
use crate::print;
use crate::progress::Progress;
use crate::report as pictures;
use crate::size::ByteSize;
use crate::watchdog::Patience;
use crate::wording::{duration, thousands};

/// The same command goes on with a sweep and replaces its table, and so its page.
const PAGE: Overwrite = Overwrite::Replace;

/// Factorize many times for several k, to see which k gives stable programs
///
/// One fit depends on its start. A sweep makes many replicates of every k, each from a start of its own, side by
/// side in the same passes over the selected genes, and tells for every k how much its replicates agree (the
/// stability: the silhouette of their spectra, clustered into k) and how well their programs fit. Choose a k that is
/// stable and has an error that does not fall much further; partwise consensus then makes its programs.
///
/// Genes are selected by their overdispersion and divided by their standard deviation, as cNMF does it. The matrix is
/// read once to copy the selected genes, whatever the number of replicates; all passes read that copy. Genes that are
/// selected by --hvg-method seurat_v3 take one read more.
///
/// The folder NAME.sweep keeps all replicates. The same command with more replicates or another k makes only what is
/// missing, and every replicate has the bits that it would have had from the start. A sweep that was stopped, or
/// killed, goes on in the same way, from the last checkpoint of its replicates.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise sweep pbmc3k.h5ad -k 5..15 --replicates 100         the folder is pbmc3k.sweep\n  \
    partwise sweep pbmc3k.h5ad -k 5..20 --replicates 100         add k = 16 to 20\n  \
    partwise consensus pbmc3k.sweep -k 9 --density 0.5           the programs of k = 9")]
pub(crate) struct Options {
    #[command(flatten)]
    files: Files,
    /// The numbers of components, separated by commas, or given as 5..15
    #[arg(short, value_name = "K", help_heading = "Replicates")]
    k: List<usize>,
    /// Replicates of every k
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Replicates")]
    replicates: usize,
    /// Keep replicates apart that have come to the same programs. By default they go on as one from then on (if all
    /// their programs have a cosine above 0.999), which takes fewer passes and makes their spectra equal
    #[arg(long, help_heading = "Replicates")]
    no_meet: bool,
    /// Where replicates start. random: at random spectra. sample: at a fit of cells of their own, at most a quarter of
    /// them, from random spectra; on large data few passes over all cells are left then. For data whose passes are
    /// long [default: random]
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        value_name = "random|sample",
        default_value_t,
        hide_default_value = true,
        help_heading = "Replicates"
    )]
    start: Start,
    /// Most passes of a replicate over the selected genes
    #[arg(long, value_name = "N", default_value_t = 50, help_heading = "Replicates")]
    max_passes: usize,
    /// A replicate stops after two passes in a row that lower its loss by less than this part
    #[arg(
        long,
        value_name = "TOL",
        default_value_t = 1e-6,
        allow_negative_numbers = true,
        help_heading = "Replicates"
    )]
    tol: f64,
    /// The number of genes to select, those that vary most [default: 2000, or all genes of --genes-file]
    #[arg(long, value_name = "N", value_parser = genes, help_heading = "Genes")]
    hvg: Option<NonZeroUsize>,
    /// How genes are scored to select them. cnmf: by their overdispersion, as cNMF; seurat_v3: by the variance of
    /// standardized counts, as scanpy with flavor="seurat_v3"; it takes counts [default: cnmf]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "cnmf|seurat_v3", help_heading = "Genes")]
    hvg_method: Option<Scoring>,
    /// Take the genes whose names this file has, one a line; with --hvg, choose from them
    #[arg(long, value_name = "FILE", help_heading = "Genes")]
    genes_file: Option<PathBuf>,
    /// Choose only from genes that at least N cells have
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, help_heading = "Genes")]
    min_cells: u64,
    /// The folder of the sweep [default: INPUT with the ending .sweep]
    #[arg(short, long, value_name = "NAME.sweep", help_heading = "Files")]
    output: Option<PathBuf>,
    /// The store that a file is converted into [default: as for fit]
    #[arg(long, value_name = "PATH.pw", help_heading = "Files")]
    store: Option<PathBuf>,
    /// Also write a page of pictures at the end, as partwise report does: NAME.sweep.report.html. The page of an
    /// earlier run is replaced
    #[arg(long, help_heading = "Files")]
    report: bool,
    /// Keep the state of the replicates after every N passes [default: as often as takes less than 2 % of the time]
    #[arg(long, value_name = "N", value_parser = reads, help_heading = "Stopping and resuming")]
    checkpoint_every: Option<NonZeroUsize>,
    #[command(flatten, next_help_heading = "Input")]
    select: Select,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The words of `--start`.
#[derive(ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Start {
    #[default]
    Random,
    Sample,
}

/// The object of `--json`.
#[derive(Serialize)]
struct Report<'r> {
    cells: usize,
    genes: usize,
    selected_genes: usize,
    k: Vec<Row>,
    most_stable: usize,
    replicates_made: usize,
    passes: usize,
    waves: usize,
    sweep: &'r str,
    store: &'r str,
    digest: &'r str,
    seconds: f64,
    peak_rss_bytes: u64,
    planned_peak_bytes: u64,
    memory_bytes: u64,
    threads: usize,
    ranks: usize,
}

/// One k.
#[derive(Serialize)]
struct Row {
    k: usize,
    replicates: usize,
    left_out: usize,
    stability: f64,
    error: f64,
    relative_error: f64,
    explained: f64,
    median_error: f64,
    passes: f64,
}

pub(crate) fn run(options: &Options, world: &World, progress: &Progress) -> Result<(), Failure> {
    let began = Instant::now();
    let machine = options.common.machine_among(world.quota());
    let job = world.agree(options.job())?;
    let attendant = Attendant::new(progress, world);
    let done = match job.run(&machine, &attendant) {
        Err(failure) if failure.is_interruption() && !attendant.has_store() => {
            return Err(stopped(failure, &job, progress));
        }
        // The pass has ended so in all processes.
        Err(failure) if failure.is_interruption() && !failure.is_agreed() => {
            world.agree(Err(stopped(failure, &job, progress)))?
        }
        done => done?,
    };
    let peak_rss_bytes = world.largest(machine::peak_rss())?;
    if !world.leads() {
        return Ok(());
    }
    if options.report {
        let page = pictures::default_output(&done.sweep, true);
        pictures::write(&done.sweep, &ReportSpec::default(), &page, PAGE, progress)?;
        progress.note(&format!("{}: pictures of the sweep, for any browser", page.display()));
    }
    if options.common.json {
        return print::json(&Report {
            cells: done.cells,
            genes: done.genes,
            selected_genes: done.selected,
            k: done.ks.iter().map(row).collect(),
            most_stable: most_stable(&done.ks).0.k,
            replicates_made: done.made,
            passes: done.passes,
            waves: done.waves,
            sweep: &done.sweep.to_string_lossy(),
            store: &done.store.to_string_lossy(),
            digest: &done.digest,
            seconds: began.elapsed().as_secs_f64(),
            peak_rss_bytes,
            planned_peak_bytes: done.planned_peak_bytes,
            memory_bytes: machine.memory,
            threads: done.threads,
            ranks: world.comm().size(),
        });
    }
    let mut text = table(&done.ks);
    text += &clearest(&done);
    text += &format!(
        "{}: {} cells, {} of {} genes selected, {} replicates made; {} in {}",
        done.sweep.display(),
        thousands(done.cells as u64),
        thousands(done.selected as u64),
        thousands(done.genes as u64),
        thousands(done.made as u64),
        ByteSize(peak_rss_bytes),
        duration(began.elapsed()),
    );
    print::text(&text)
}

/// The end of a sweep that was asked to stop.
fn stopped(failure: Failure, job: &SweepJob, progress: &Progress) -> Failure {
    let (folder, is_begun) = (job.folder(), is_sweep(&job.folder()));
    let kept = match is_begun {
        true => format!("{} keeps what was done; run the same command again to go on", folder.display()),
        false => "no replicate was made yet; run the same command again to begin again".into(),
    };
    match (progress.interrupt().wants_another_run(), is_begun) {
        (true, _) => failure.for_another_run(&kept),
        (false, true) => Failure::interrupted_keeping(&kept),
        (false, false) => failure,
    }
}

fn row(of_k: &OfK) -> Row {
    Row {
        k: of_k.k,
        replicates: of_k.replicates,
        left_out: of_k.left_out,
        stability: of_k.stability,
        error: of_k.error,
        relative_error: of_k.relative_error,
        explained: of_k.explained(),
        median_error: of_k.median_error,
        passes: of_k.passes,
    }
}

fn table(ks: &[OfK]) -> String {
    let mut text = String::from("   k  replicates  stability  relative error  explained  passes\n");
    for of_k in ks {
        text += &format!(
            "{:>4}  {:>10}  {:>9.3}  {:>14.4}  {:>8.1}%  {:>6.1}\n",
            of_k.k,
            of_k.replicates,
            of_k.stability,
            of_k.relative_error,
            100.0 * of_k.explained(),
            of_k.passes,
        );
    }
    let left_out: usize = ks.iter().map(|of_k| of_k.left_out).sum();
    if left_out > 0 {
        text += &format!("{left_out} replicates lost a component and are left out of the stability\n");
    }
    text
}

/// The most stable k, and the one after it, if there are several.
fn most_stable(ks: &[OfK]) -> (OfK, Option<OfK>) {
    let mut sorted = ks.to_vec();
    sorted.sort_by(|a, b| b.stability.total_cmp(&a.stability));
    (sorted[0], sorted.get(1).copied())
}

fn clearest(done: &SweepDone) -> String {
    let (first, second) = most_stable(&done.ks);
    let lead = second.map(|second| (second.k, first.stability - second.stability));
    let how = match lead {
        None => return String::new(),
        Some((k, lead)) if lead >= CLEAR_LEAD => format!("clearly: the next, k = {k}, is {lead:.3} below"),
        Some((k, lead)) => {
            format!(
                "but not clearly: k = {k} is only {lead:.3} below, as much as another seed may change; look at both"
            )
        }
    };
    let sweep = done.sweep.display();
    format!("k = {} is the most stable, {how}\nits programs: partwise consensus {sweep} -k {}\n", first.k, first.k)
}

impl Options {
    fn job(&self) -> Result<SweepJob, Failure> {
        let mut config = SweepConfig::new(self.k.0.clone(), self.replicates);
        config.seed = self.common.one_seed()?;
        (config.max_passes, config.tol, config.meet) = (self.max_passes, self.tol, !self.no_meet);
        config.start = match self.start {
            Start::Random => ReplicateStart::Random,
            Start::Sample => ReplicateStart::Sample,
        };
        let mut job = SweepJob::new(self.files.inputs()?, config);
        job.selection = self.select.selection();
        job.filter = Filter::default();
        job.filter.genes_file.clone_from(&self.genes_file);
        job.filter.min_cells = self.min_cells;
        let count = self.hvg.or(job.hvg.map(|hvg| hvg.count).filter(|_| self.genes_file.is_none()));
        if count.is_none() && self.hvg_method.is_some() {
            return Err(Failure::usage(
                "--hvg-method needs --hvg N here: without it all genes of --genes-file are taken, and none selected",
            ));
        }
        job.hvg = count.map(|count| self.hvg_method.unwrap_or_default().of(count));
        job.output.clone_from(&self.output);
        job.store.clone_from(&self.store);
        job.overwrite = overwrite(self.common.force);
        job.checkpoint_every = self.checkpoint_every.map(NonZeroUsize::get);
        job.batch_job = batch_job();
        if self.report {
            job.other_outputs.push(pictures::page(pictures::default_output(&job.folder(), true), PAGE));
        }
        Ok(job)
    }
}
