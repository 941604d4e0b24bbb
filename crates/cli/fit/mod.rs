//! `partwise fit`: the options, and the end of the run. The job itself is the library's.

mod report;
mod timeline;
mod trace;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use partwise::FitSet;
use partwise::job::{FitJob, Output, Role};
use partwise::machine;
use partwise_report::ReportSpec;

use crate::failure::{self, Failure, overwrite};
use crate::input::{Files, Only, Select};
use crate::keep::Keep;
use crate::launch::World;
use crate::options::Common;
use crate::print;
use crate::progress::Progress;
use crate::report as pictures;
use crate::settings::{Settings, word};
use crate::watchdog::Patience;
use report::Report;
use timeline::Timeline;
use watch::Watch;

/// More fits than anybody compares.
const MOST_FITS: usize = 10_000;

/// Factorize X ≈ W·H: the whole job, from a file to a result
///
/// The program first converts a file into a block store, which later fits of the same file use again.
/// The result is an AnnData file: obsm["X_nmf"] is W, obsm["X_nmf_norm"] the share of each
/// program in a cell, varm["spectra"] is H transposed, and uns["nmf"] holds the settings and the error of
/// each pass.
///
/// Several k and several seeds are fitted in the same reads of the data, each with the bits that it has
/// alone. Their results go into a folder, and a table of errors at the end compares them.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise fit pbmc3k.h5ad -k 10                         the result is pbmc3k.nmf.h5ad\n  \
    partwise fit pbmc3k.h5ad -k 5,8,10..14 --seed 0,1,2    the results are pbmc3k.nmf/k5.seed0.h5ad, ...\n  \
    partwise fit processed.h5ad --raw -k 20 --scale std    counts under raw, genes of equal weight\n  \
    partwise fit \"samples/*.h5ad\" -k 20 --join outer       all cells of many files together\n  \
    partwise fit pbmc3k.h5ad -k 10 --min-cells 10 --min-counts 500     without rare genes and poor cells\n  \
    partwise fit pbmc3k.h5ad -k 10 --into clustered.h5ad -o clustered.nmf.h5ad --obs-usages\n  \
    partwise fit atlas.pw -k 50 -o atlas.k50.h5ad --memory 4G --trace atlas.csv\n  \
    partwise fit atlas.pw -k 50 --checkpoint atlas.ck --resume     resumes where it was stopped")]
pub(crate) struct Options {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    settings: Settings,
    /// The result, or the folder for the results of several fits [default: INPUT with the ending
    /// .nmf.h5ad, or .nmf for a folder]
    #[arg(short, long, value_name = "RESULT.h5ad|FOLDER", help_heading = "Files")]
    output: Option<PathBuf>,
    /// Make the result a copy of this AnnData file of the same cells, such as one with your clusters
    /// and plots: the tables of the fit are added, cells and genes are matched by name, and everything
    /// else stays. The file itself is only read
    #[arg(long, value_name = "FILE.h5ad", requires = "output", help_heading = "Files")]
    into: Option<PathBuf>,
    /// Add columns nmf_0, nmf_1, … to obs, for plots: the share of each program in a cell
    #[arg(long, help_heading = "Files")]
    obs_usages: bool,
    /// The store that a file is converted into [default: named after the input; found again beside the
    /// result or the input, made beside the result]
    #[arg(long, value_name = "PATH.pw", help_heading = "Files")]
    store: Option<PathBuf>,
    /// Write every pass to this table as it ends; several fits share one table, with columns k and seed.
    /// With --resume, the table of an earlier run goes on; with --force, it is replaced. Any other file
    /// stays
    #[arg(long, value_name = "FILE.csv", help_heading = "Files")]
    trace: Option<PathBuf>,
    /// Write when each thread did what: a file for ui.perfetto.dev or chrome://tracing that shows where the
    /// time goes. With --force, another timeline is replaced
    #[arg(long, value_name = "FILE.json", help_heading = "Files")]
    timeline: Option<PathBuf>,
    /// Also write a page of pictures at the end, as partwise report does: RESULT with the ending
    /// .report.html
    #[arg(long, help_heading = "Files")]
    report: bool,
    #[command(flatten)]
    keep: Keep,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten, next_help_heading = "Input")]
    select: Select,
    #[command(flatten)]
    only: Only,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) fn run(options: &Options, world: &World, progress: &Progress) -> Result<(), Failure> {
    factorize(options, world, progress).map_err(|failure| match failure.is_interruption() {
        true => options.keep.answer(failure, progress.interrupt()),
        false => failure,
    })
}

fn factorize(options: &Options, world: &World, progress: &Progress) -> Result<(), Failure> {
    let began = Instant::now();
    let machine = options.common.machine_among(world.quota());
    // Process 0 alone writes it.
    let trace = options.trace.as_deref().filter(|_| world.leads());
    let timeline = options.timeline.as_deref().filter(|_| world.leads());
    let job = world.agree(options.job(trace, timeline))?;
    let timeline = world.agree(timeline.map(Timeline::record).transpose())?;
    let files = (trace, timeline.as_ref());
    let watch = Watch::new(progress, world, files, job.is_set(), (options.keep.resume, job.checkpoint.is_some()));
    let done = match job.run(&machine, &watch) {
        Err(failure) => {
            watch.tell_shared();
            let Some(store) = watch.store().filter(|_| failure.is_interruption()) else { return Err(failure) };
            let stopped = || options.interrupted(&job, &watch, &store, progress);
            return world.agree(Err(watch.failure().unwrap_or_else(stopped)));
        }
        Ok(done) => done,
    };
    watch.tell_shared();
    world.agree(watch.failure().map_or(Ok(()), Err))?;
    drop(watch);
    world.agree(timeline.map_or(Ok(()), Timeline::end))?;

    let peak = world.largest(machine::peak_rss())?;
    if !world.leads() {
        return Ok(());
    }
    if options.report {
        let page = pictures::default_output(&done.output, done.is_set);
        // A run that resumes keeps its results, and makes their page again.
        let overwrite = overwrite(options.common.force || options.keep.resume);
        pictures::write(&done.output, &ReportSpec::default(), &page, overwrite, progress)?;
        progress.note(&format!("{}: pictures of the result, for any browser", page.display()));
    }
    let (solver, ranks) = (word(options.settings.solver), world.comm().size());
    let report = Report::new(&done, solver, &machine, began.elapsed(), peak, ranks);
    if options.common.json { print::json(&report.json()) } else { print::text(&report.to_string()) }
}

impl Options {
    /// The job that the options describe, with the files that it writes meanwhile.
    fn job(&self, trace: Option<&Path>, timeline: Option<&Path>) -> Result<FitJob, Failure> {
        let (common, overwrite) = (&self.common, overwrite(self.common.force));
        let config = self.settings.config(0)?;
        let set = FitSet::new(config).with_ks(self.settings.k.0.clone()).with_seeds(common.seed.0.clone());
        if set.ks.len().saturating_mul(set.seeds.len()) > MOST_FITS {
            return Err(Failure::usage(format!(
                "more than {MOST_FITS} combinations of k and seed; give shorter lists"
            )));
        }
        let mut job = FitJob::new(self.files.inputs()?, set);
        job.selection = self.select.selection();
        job.filter = self.only.filter();
        job.output.clone_from(&self.output);
        job.store.clone_from(&self.store);
        job.into.clone_from(&self.into);
        job.usages_in_obs = self.obs_usages;
        job.checkpoint = self.keep.checkpoint(overwrite);
        job.overwrite = overwrite;
        job.keep_results = self.keep.resume && !common.force;
        if self.keep.resume && !job.is_set() {
            self.keep.check(job.keep_results && job.has_results()?)?;
        }
        if self.report {
            let page = pictures::default_output(&job.place_of_result()?, job.is_set());
            job.other_outputs.push(pictures::page(page, failure::overwrite(common.force || self.keep.resume)));
        }
        if let Some(trace) = trace {
            // A fit that resumes goes on with its trace.
            let overwrite = failure::overwrite(common.force || self.keep.resume);
            job.other_outputs.push(Output { role: Role::Trace, path: trace.into(), kind: trace::KIND, overwrite });
        }
        if let Some(timeline) = timeline {
            let overwrite = failure::overwrite(common.force);
            job.other_outputs.push(Output {
                role: Role::Timeline,
                path: timeline.into(),
                kind: timeline::KIND,
                overwrite,
            });
        }
        Ok(job)
    }

    /// The end of a run that was asked to stop: the checkpoints, or the store and the trace, stay.
    fn interrupted(&self, job: &FitJob, watch: &Watch<'_>, store: &Path, progress: &Progress) -> Failure {
        if let Some(checkpoint) = &job.checkpoint {
            return self.keep.stopped(checkpoint, &watch.kept(), (job.is_set(), watch.written()), progress.interrupt());
        }
        let store = format!("the store {} is kept", store.display());
        let kept = match &self.trace {
            Some(trace) => format!("{store} and so is the trace of the passes so far, {}", trace.display()),
            None => store,
        };
        match watch.written() {
            0 => Failure::interrupted_keeping(&kept),
            results => Failure::interrupted_with(results, &format!("{kept}; --resume keeps the results")),
        }
    }
}
