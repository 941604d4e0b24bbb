//! `partwise consensus`: the programs that many replicates have in common.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use partwise::job::{ConsensusDone, ConsensusJob};
use partwise::machine;
use partwise::storage::{Inputs, Joining};
use partwise_report::ReportSpec;
use serde::Serialize;

use crate::attendant::Attendant;
use crate::failure::{Failure, overwrite};
use crate::input::Select;
use crate::launch::World;
use crate::list::List;
use crate::options::Common;
use crate::print;
use crate::progress::Progress;
use crate::report as pictures;
use crate::size::ByteSize;
use crate::watchdog::Patience;
use crate::wording::{duration, thousands};

/// Find the programs that many replicates have in common
///
/// REPLICATES is the folder of a sweep (NAME.sweep), or that of a run of cNMF after `cnmf combine`
/// (OUTPUT_DIR/NAME) with --input for the counts that it was made from. Spectra that few replicates share are
/// left out, the others are clustered into k programs. These are the steps of `cnmf consensus`, within --memory
/// and in one read of the counts after a sweep, two otherwise, for all k together. Another k or --density fits
/// no replicate again.
///
/// The result is an AnnData file: obsm["X_nmf"] holds the usages, varm["gene_scores"] the scores of all
/// genes, varm["spectra_tpm"] the spectra in values per million, varm["spectra"] the median spectra of the
/// selected genes, var["highly_variable"] which these are, uns["nmf"] the settings and the local densities.
/// Several k give a folder with one file each. Beside each result, a table with the ending .top_genes.tsv has
/// the 50 genes of highest score in each program. --cnmf-files also writes the texts that cNMF writes, for
/// scripts that read them.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise consensus pbmc.sweep -k 8                              the result is pbmc.k8.h5ad\n  \
    partwise consensus cnmf/pbmc --input pbmc.h5ad -k 8             the result is cnmf/pbmc.k8.h5ad\n  \
    partwise consensus cnmf/pbmc --input pbmc.h5ad -k 5..9 --density 0.1 -o programs\n  \
    partwise consensus cnmf/pbmc --input pbmc.h5ad -k 8 --cnmf-files cnmf/pbmc")]
pub(crate) struct Options {
    /// The folder of a sweep, or of a run of cNMF
    #[arg(value_name = "REPLICATES")]
    replicates: PathBuf,
    /// The counts that the replicates were made from: cells x genes in any format that fit reads, or a store
    /// [default: the store that the sweep was made from]
    #[arg(long, value_name = "INPUT", help_heading = "Input")]
    input: Vec<PathBuf>,
    /// The number of programs; several are separated by commas, or given as 5..9
    #[arg(short, value_name = "K", help_heading = "Programs")]
    k: List<usize>,
    /// Leave out spectra whose mean distance to their nearest ones, 30 % of the replicates, is not below this
    #[arg(
        long,
        value_name = "DISTANCE",
        default_value_t = 0.5,
        allow_negative_numbers = true,
        help_heading = "Programs"
    )]
    density: f64,
    /// The result of one k, or the folder of the results of several (k8.h5ad, …) [default: REPLICATES with the
    /// ending .k8.h5ad, or .consensus]
    #[arg(short, long, value_name = "OUT", help_heading = "Files")]
    output: Option<PathBuf>,
    /// Also write the texts of `cnmf consensus` into this folder, as NAME.usages.k_8.dt_0_5.consensus.txt, …
    #[arg(long, value_name = "DIR/NAME", help_heading = "Files")]
    cnmf_files: Option<PathBuf>,
    /// The store that a file is converted into [default: as for fit]
    #[arg(long, value_name = "PATH.pw", help_heading = "Files")]
    store: Option<PathBuf>,
    /// Also write a page of pictures of each result, as partwise report does: RESULT with the ending .report.html
    #[arg(long, help_heading = "Files")]
    report: bool,
    #[command(flatten, next_help_heading = "Input")]
    select: Select,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The object of `--json`.
#[derive(Serialize)]
struct Report {
    cells: usize,
    genes: usize,
    selected_genes: usize,
    passes: usize,
    results: Vec<OneReport>,
    store: String,
    seconds: f64,
    peak_rss_bytes: u64,
    planned_peak_bytes: u64,
    memory_bytes: u64,
    threads: usize,
    ranks: usize,
}

/// The consensus of one k.
#[derive(Serialize)]
struct OneReport {
    k: usize,
    replicates: usize,
    result: String,
    top_genes: String,
    cnmf_files: Vec<String>,
    kept: f64,
    stability: f64,
    error: f64,
    relative_error: f64,
    unused_cells: usize,
    digest: String,
}

pub(crate) fn run(options: &Options, world: &World, progress: &Progress) -> Result<(), Failure> {
    let began = Instant::now();
    let machine = options.common.machine_among(world.quota());
    let job = world.agree(options.job())?;
    let done = job.run(&machine, &Attendant::new(progress, world))?;
    let peak_rss_bytes = world.largest(machine::peak_rss())?;
    if !world.leads() {
        return Ok(());
    }
    if options.report {
        for one in &done.results {
            let page = pictures::default_output(&one.result, false);
            pictures::write(&one.result, &ReportSpec::default(), &page, overwrite(options.common.force), progress)?;
            progress.note(&format!("{}: pictures of the result, for any browser", page.display()));
        }
    }
    if options.common.json {
        return print::json(&Report {
            cells: done.cells,
            genes: done.genes,
            selected_genes: done.selected,
            passes: done.passes,
            results: reports(&done),
            store: done.store.to_string_lossy().into_owned(),
            seconds: began.elapsed().as_secs_f64(),
            peak_rss_bytes,
            planned_peak_bytes: done.planned_peak_bytes,
            memory_bytes: machine.memory,
            threads: done.threads,
            ranks: world.comm().size(),
        });
    }
    let mut text = String::from("   k  stability   kept  relative error  result\n");
    for one in &done.results {
        text += &format!(
            "{:>4}  {:>9.3}  {:>4.0}%  {:>14.4}  {}\n",
            one.k,
            one.medians.stability,
            100.0 * one.medians.kept,
            one.programs.relative_error,
            one.result.display(),
        );
    }
    text += &format!(
        "{} cells, {} of {} genes selected, {} replicates; {} in {}",
        thousands(done.cells as u64),
        thousands(done.selected as u64),
        thousands(done.genes as u64),
        done.results.first().map_or(0, |one| one.medians.replicates),
        ByteSize(peak_rss_bytes),
        duration(began.elapsed()),
    );
    print::text(&text)
}

fn reports(done: &ConsensusDone) -> Vec<OneReport> {
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let one = |one: &partwise::job::OneConsensus| OneReport {
        k: one.k,
        replicates: one.medians.replicates,
        result: text(&one.result),
        top_genes: text(&one.top_genes),
        cnmf_files: one.cnmf_files.iter().map(text).collect(),
        kept: one.medians.kept,
        stability: one.medians.stability,
        error: one.programs.error,
        relative_error: one.programs.relative_error,
        unused_cells: one.programs.unused_cells,
        digest: one.digest.clone(),
    };
    done.results.iter().map(one).collect()
}

impl Options {
    fn job(&self) -> Result<ConsensusJob, Failure> {
        let mut job = ConsensusJob::new(&self.replicates, self.k.0.clone());
        if !self.input.is_empty() {
            job.input = Some(Inputs::expand(&self.input, Joining::default())?);
        }
        job.selection = self.select.selection();
        job.density = self.density;
        job.output.clone_from(&self.output);
        job.cnmf_files.clone_from(&self.cnmf_files);
        job.store.clone_from(&self.store);
        job.overwrite = overwrite(self.common.force);
        if self.report {
            let pages = job.results().into_iter().map(|result| pictures::default_output(&result, false));
            job.other_outputs = pages.map(|page| pictures::page(page, job.overwrite)).collect();
        }
        Ok(job)
    }
}
