//! `partwise transform`: usages of new cells under the spectra of a result.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use partwise::job::TransformJob;
use partwise::machine;
use serde::Serialize;

use crate::attendant::Attendant;
use crate::failure::{Failure, overwrite};
use crate::input::{Files, Select};
use crate::launch::World;
use crate::options::Common;
use crate::print;
use crate::progress::Progress;
use crate::size::ByteSize;
use crate::watchdog::Patience;
use crate::wording::{cells_by_genes, duration, relative_error};

/// Find how much new cells use the programs of a result
///
/// The spectra of the result stay as they are. Each new cell gets the usages that describe it best (exact
/// non-negative least squares), in one read of the data. Genes are matched by name, and the program says
/// how many of them are not in both. Where a fit scaled its genes, they weigh here as they did there.
///
/// The output is an AnnData file: obsm["X_nmf"] holds the usages, varm["spectra"] the spectra in the order
/// of the new genes, with NaN for genes that the result does not know.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise transform atlas.nmf.h5ad patient.h5ad                 the output is patient.usages.h5ad\n  \
    partwise transform atlas.nmf.h5ad \"samples/*.h5ad\" -o new.h5ad --gene-key gene_ids")]
pub(crate) struct Options {
    /// A result of fit or consensus
    #[arg(value_name = "RESULT.h5ad")]
    result: PathBuf,
    #[command(flatten)]
    files: Files,
    /// The file to write [default: INPUT with the ending .usages.h5ad]
    #[arg(short, long, value_name = "OUT.h5ad", help_heading = "Files")]
    output: Option<PathBuf>,
    /// Add columns nmf_0, nmf_1, … to obs, for plots: the share of each program in a cell
    #[arg(long, help_heading = "Files")]
    obs_usages: bool,
    /// The store that a file is converted into [default: as for fit]
    #[arg(long, value_name = "PATH.pw", help_heading = "Files")]
    store: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Input")]
    select: Select,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The object of `--json`.
#[derive(Serialize)]
struct Report<'r> {
    cells: usize,
    genes: usize,
    k: usize,
    matched: usize,
    missing: usize,
    unknown: usize,
    relative_error: f64,
    explained: f64,
    fitted_relative_error: Option<f64>,
    result: &'r str,
    store: &'r str,
    digest: &'r str,
    seconds: f64,
    peak_rss_bytes: u64,
    planned_peak_bytes: u64,
    threads: usize,
    ranks: usize,
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
    let (output, store) = (done.output.to_string_lossy(), done.store.to_string_lossy());
    if options.common.json {
        return print::json(&Report {
            cells: done.cells,
            genes: done.genes,
            k: done.k,
            matched: done.matched.both,
            missing: done.matched.missing,
            unknown: done.matched.unknown,
            relative_error: done.relative_error,
            explained: 1.0 - done.relative_error.powi(2),
            fitted_relative_error: Some(done.fitted_relative_error).filter(|error| error.is_finite()),
            result: &output,
            store: &store,
            digest: &done.digest,
            seconds: began.elapsed().as_secs_f64(),
            peak_rss_bytes,
            planned_peak_bytes: done.plan.peak_bytes,
            threads: done.plan.threads,
            ranks: world.comm().size(),
        });
    }
    let beside = match done.fitted_relative_error.is_finite() {
        true => format!(" ({} where the spectra were fitted)", relative_error(done.fitted_relative_error)),
        false => String::new(),
    };
    print::text(&format!(
        "{output}: usages of {} under {} programs, relative error {}{beside}; {} in {}",
        cells_by_genes(done.cells, done.genes),
        done.k,
        relative_error(done.relative_error),
        ByteSize(peak_rss_bytes),
        duration(began.elapsed()),
    ))
}

impl Options {
    fn job(&self) -> Result<TransformJob, Failure> {
        let (inputs, gene_key) = self.files.inputs_and_key()?;
        let mut job = TransformJob::new(&self.result, inputs);
        job.selection = self.select.selection();
        job.gene_key = gene_key;
        job.output.clone_from(&self.output);
        job.store.clone_from(&self.store);
        job.overwrite = overwrite(self.common.force);
        job.usages_in_obs = self.obs_usages;
        Ok(job)
    }
}
