//! `partwise export`: writes a store back to an AnnData file, or a result into another file.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use partwise::job::{CsvJob, MergeJob, Output, OutputKind, Paths, Role};
use partwise::machine;
use partwise::storage::anndata::export;
use partwise::storage::{StorageError, Store};
use serde::Serialize;

use crate::failure::Failure;
use crate::options::Common;
use crate::progress::Progress;
use crate::wording::{cells_by_genes, duration};
use crate::{failure, notes, print};

/// Write a store or a result in another form
///
/// A store becomes an AnnData file with the values of the store, exactly, and its names of cells and genes.
/// Converting it gives a store with the same data.
///
/// A result is added to a copy of an AnnData file of your own (--into): cells and genes are matched by name,
/// genes that the result lacks get NaN, and everything else stays as it is. Or it becomes tables of text
/// (--csv), for R and spreadsheets.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise export pbmc3k.pw -o pbmc3k.again.h5ad\n  \
    partwise export pbmc3k.nmf.h5ad --into processed.h5ad -o processed.nmf.h5ad --obs-usages\n  \
    partwise export pbmc3k.nmf.h5ad --csv pbmc3k.tables")]
pub(crate) struct Options {
    /// A store (a folder NAME.pw), or a result of fit, transform or pca
    #[arg(value_name = "STORE|RESULT.h5ad")]
    input: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "FILE.h5ad", required_unless_present = "csv")]
    output: Option<PathBuf>,
    /// Add a result to a copy of this AnnData file, which is only read. All of its cells must be in the
    /// result
    #[arg(long, value_name = "FILE.h5ad", requires = "output", conflicts_with = "csv")]
    into: Option<PathBuf>,
    /// Also add columns nmf_0, nmf_1, … to obs, for plots: the share of each program in a cell
    #[arg(long, requires = "into")]
    obs_usages: bool,
    /// Write the tables of a result as text into this folder: usages.csv, spectra.csv, gene_scores.csv and
    /// programs.csv, or pca.csv, axes.csv and variance.csv
    #[arg(long, value_name = "FOLDER", conflicts_with = "output")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The object of `--json` for a store.
#[derive(Serialize)]
struct OfStore<'a> {
    result: &'a str,
    cells: usize,
    genes: usize,
    nonzeros: u64,
    seconds: f64,
    peak_rss_bytes: u64,
}

/// The object of `--json` for a result that was added to a file.
#[derive(Serialize)]
struct OfMerge<'a> {
    result: &'a str,
    cells: usize,
    genes: usize,
    genes_missing: usize,
    seconds: f64,
    peak_rss_bytes: u64,
}

/// The object of `--json` for tables of text.
#[derive(Serialize)]
struct OfTables {
    tables: Vec<String>,
    seconds: f64,
    peak_rss_bytes: u64,
}

pub(crate) fn run(options: &Options, progress: &Progress) -> Result<(), Failure> {
    let is_store = options.input.is_dir();
    match (&options.output, &options.into, &options.csv) {
        (_, Some(_), _) | (_, _, Some(_)) if is_store => Err(Failure::usage(format!(
            "{}: is a store, and --into and --csv take a result; for a store give only -o FILE.h5ad",
            options.input.display()
        ))),
        (Some(output), Some(into), _) => options.merge(into, output, progress),
        (_, _, Some(folder)) => options.tables(folder, progress),
        (Some(output), None, None) => options.store(output, progress),
        // The command line requires one of them.
        (None, _, None) => Err(Failure::usage("give the file to write: -o FILE.h5ad")),
    }
}

impl Options {
    fn store(&self, output: &Path, progress: &Progress) -> Result<(), Failure> {
        if !self.input.is_dir() && self.input.exists() {
            return Err(Failure::usage(format!(
                "{}: is no store (a folder NAME.pw); to write a result give --into FILE.h5ad or --csv FOLDER",
                self.input.display()
            )));
        }
        let store = Store::open(&self.input)?;
        let overwrite = failure::overwrite(self.common.force);
        let place = Output { role: Role::Output, path: output.into(), kind: OutputKind::AnnData, overwrite };
        Paths::default().reading(Role::Input, &self.input).writing(place).check()?;
        let began = Instant::now();
        export(&store, output, overwrite, progress)?;
        let (took, result) = (began.elapsed(), output.to_string_lossy());
        if self.common.json {
            return print::json(&OfStore {
                result: &result,
                cells: store.cells(),
                genes: store.genes(),
                nonzeros: store.nonzeros(),
                seconds: took.as_secs_f64(),
                peak_rss_bytes: machine::peak_rss(),
            });
        }
        print::text(&format!("{result}: {}, in {}", cells_by_genes(store.cells(), store.genes()), duration(took)))
    }

    fn merge(&self, into: &Path, output: &Path, progress: &Progress) -> Result<(), Failure> {
        self.check_exists()?;
        let mut job = MergeJob::new(&self.input, into, output);
        job.overwrite = failure::overwrite(self.common.force);
        job.usages_in_obs = self.obs_usages;
        let began = Instant::now();
        let merged = job.run(&self.common.machine(), progress)?;
        let (took, result) = (began.elapsed(), output.to_string_lossy());
        if self.common.json {
            return print::json(&OfMerge {
                result: &result,
                cells: merged.cells,
                genes: merged.genes,
                genes_missing: merged.genes_missing,
                seconds: took.as_secs_f64(),
                peak_rss_bytes: machine::peak_rss(),
            });
        }
        print::text(&format!("{result}: a copy of {}, in {}", notes::with_genes(into, &merged), duration(took)))
    }

    fn tables(&self, folder: &Path, progress: &Progress) -> Result<(), Failure> {
        self.check_exists()?;
        let mut job = CsvJob::new(&self.input, folder);
        job.overwrite = failure::overwrite(self.common.force);
        let began = Instant::now();
        let tables: Vec<String> =
            job.run(progress)?.into_iter().map(|table| table.to_string_lossy().into_owned()).collect();
        let took = began.elapsed();
        if self.common.json {
            return print::json(&OfTables { tables, seconds: took.as_secs_f64(), peak_rss_bytes: machine::peak_rss() });
        }
        print::text(&format!("{} in {}", tables.join(", "), duration(took)))
    }

    fn check_exists(&self) -> Result<(), Failure> {
        match self.input.exists() {
            true => Ok(()),
            false => Err(StorageError::NotFound { path: self.input.clone() }.into()),
        }
    }
}
