//! `partwise export`: writes a store back to an AnnData file.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use partwise::job::{Output, OutputKind, Paths, Role};
use partwise::machine;
use partwise::storage::Store;
use partwise::storage::anndata::export;
use serde::Serialize;

use crate::failure::Failure;
use crate::options::Common;
use crate::progress::Progress;
use crate::wording::{cells_by_genes, duration};
use crate::{failure, print};

/// Write a store back to an AnnData file
///
/// The file has the values of the store, exactly, and its names of cells and genes. Converting it
/// gives a store with the same data.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  partwise export pbmc3k.pw -o pbmc3k.again.h5ad")]
pub(crate) struct Options {
    /// The store (a folder NAME.pw)
    #[arg(value_name = "STORE")]
    store: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "FILE.h5ad")]
    output: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Serialize)]
struct Report<'a> {
    result: &'a str,
    cells: usize,
    genes: usize,
    nonzeros: u64,
    seconds: f64,
    peak_rss_bytes: u64,
}

pub(crate) fn run(options: &Options, progress: &Progress) -> Result<(), Failure> {
    let common = &options.common;
    let store = Store::open(&options.store)?;
    let overwrite = failure::overwrite(common.force);
    let output = Output { role: Role::Output, path: options.output.clone(), kind: OutputKind::AnnData, overwrite };
    Paths::default().reading(Role::Input, &options.store).writing(output).check()?;

    let began = Instant::now();
    export(&store, &options.output, overwrite, progress)?;
    let took = began.elapsed();

    let result = options.output.to_string_lossy();
    if common.json {
        return print::json(&Report {
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
