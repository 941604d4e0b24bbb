//! `partwise genes`: the table of genes, and which of them vary most.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use partwise::driver::HvgMethod;
use partwise::job::{Filter, GenesJob};
use partwise::machine;
use serde::Serialize;

use crate::attendant::Attendant;
use crate::failure::{Failure, overwrite};
use crate::input::{Files, Scoring, Select, genes};
use crate::launch::World;
use crate::options::Common;
use crate::print;
use crate::progress::Progress;
use crate::size::ByteSize;
use crate::wording::{duration, thousands};

/// List the genes, and which of them vary most for their level
///
/// The table has a row for each gene: in how many cells it is, its mean, how much it varies, how much is
/// expected at this mean, and its score, which is the one over the other. The genes of highest score are marked
/// as highly variable; fit, pca and sweep take the same ones with the same --hvg and --hvg-method.
///
/// The method cnmf is that of cNMF: Fano factors (variance over mean) in values per million; values that are no
/// counts are taken as they are. The sums come from the store, so that nothing is read again.
///
/// The method seurat_v3 is that of scanpy with flavor="seurat_v3": the variance of counts, those clipped that are
/// far above what is usual, over the variance that a loess curve gives for the mean. It takes counts and reads
/// them once.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise genes pbmc3k.h5ad                               the table is pbmc3k.genes.csv\n  \
    partwise genes pbmc3k.h5ad --hvg 3000 --min-cells 3 -o genes.csv\n  \
    partwise genes pbmc3k.h5ad --hvg-method seurat_v3        the genes that scanpy selects\n  \
    partwise fit pbmc3k.h5ad -k 10 --hvg 2000 --scale std    fit the same genes")]
pub(crate) struct Options {
    #[command(flatten)]
    files: Files,
    /// The number of genes to select
    #[arg(long, value_name = "N", value_parser = genes, default_value = "2000", help_heading = "Genes")]
    hvg: NonZeroUsize,
    /// How genes are scored
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "cnmf|seurat_v3",
        help_heading = "Genes"
    )]
    hvg_method: Scoring,
    /// Choose only from the genes whose names this file has, one a line
    #[arg(long, value_name = "FILE", help_heading = "Genes")]
    genes_file: Option<PathBuf>,
    /// Choose only from genes that at least N cells have
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, help_heading = "Genes")]
    min_cells: u64,
    /// The table to write [default: INPUT with the ending .genes.csv]
    #[arg(short, long, value_name = "OUT.csv", help_heading = "Files")]
    output: Option<PathBuf>,
    /// The store that a file is converted into [default: as for fit]
    #[arg(long, value_name = "PATH.pw", help_heading = "Files")]
    store: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Input")]
    select: Select,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The object of `--json`.
#[derive(Serialize)]
struct Report<'r> {
    cells: usize,
    genes: usize,
    selected: usize,
    hvg_method: &'static str,
    least_score: Option<f64>,
    per_million: bool,
    passes: usize,
    table: &'r str,
    store: &'r str,
    seconds: f64,
    peak_rss_bytes: u64,
}

pub(crate) fn run(options: &Options, world: &World, progress: &Progress) -> Result<(), Failure> {
    let began = Instant::now();
    let done = options.job()?.run(&options.common.machine(), &Attendant::new(progress, world))?;
    let (table, store) = (done.output.to_string_lossy(), done.store.to_string_lossy());
    if options.common.json {
        return print::json(&Report {
            cells: done.cells,
            genes: done.genes,
            selected: done.selected,
            hvg_method: done.method.word(),
            least_score: Some(done.least).filter(|least| least.is_finite()),
            per_million: done.per_million,
            passes: done.passes,
            table: &table,
            store: &store,
            seconds: began.elapsed().as_secs_f64(),
            peak_rss_bytes: machine::peak_rss(),
        });
    }
    let score = match done.method {
        HvgMethod::Cnmf if done.per_million => "overdispersion",
        HvgMethod::Cnmf => "overdispersion (of the values: they are no counts)",
        _ => "standardized variance",
    };
    print::text(&format!(
        "{table}: {} of {} genes are highly variable, {score} {:.3} or more; {} in {}",
        thousands(done.selected as u64),
        thousands(done.genes as u64),
        done.least,
        ByteSize(machine::peak_rss()),
        duration(began.elapsed()),
    ))
}

impl Options {
    fn job(&self) -> Result<GenesJob, Failure> {
        let mut job = GenesJob::new(self.files.inputs()?, self.hvg_method.of(self.hvg));
        job.selection = self.select.selection();
        job.filter = Filter::default();
        job.filter.genes_file.clone_from(&self.genes_file);
        job.filter.min_cells = self.min_cells;
        job.output.clone_from(&self.output);
        job.store.clone_from(&self.store);
        job.overwrite = overwrite(self.common.force);
        Ok(job)
    }
}
