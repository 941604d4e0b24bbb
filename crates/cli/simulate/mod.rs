//! `partwise simulate`: writes data with known programs.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use partwise::driver::simulate::{DEFAULT_DEPTH, DEFAULT_DOMINANCE, SimulateConfig, SimulateKind, simulate};
use partwise::job::{Output, OutputKind, Paths, Role};
use partwise::machine;
use serde::Serialize;

use crate::failure::Failure;
use crate::failure::overwrite;
use crate::options::Common;
use crate::print;
use crate::progress::Progress;
use crate::settings::word;
use crate::wording::{cells_by_genes, duration, thousands};

/// Simulate data with known programs, to try a factorization on
///
/// The output is an AnnData file. obs["cluster"] holds the dominant program of each cell,
/// varm["programs"] the programs. The data are written block by block, so that any size fits into
/// little memory.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise simulate --kind clusters -o clusters.h5ad\n  \
    partwise simulate --kind counts --cells 1000000 --genes 20000 --memory 200M -o million.h5ad")]
pub(crate) struct Options {
    /// The kind of data
    #[arg(long, value_enum)]
    kind: Kind,
    /// The file to write
    #[arg(short, long, value_name = "OUT.h5ad")]
    output: PathBuf,
    /// The number of cells
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    cells: usize,
    /// The number of genes
    #[arg(long, value_name = "M", default_value_t = 1_000)]
    genes: usize,
    /// The number of programs
    #[arg(long, value_name = "P", default_value_t = 5)]
    programs: usize,
    /// The mean number of molecules per cell (only with --kind counts) [default: 2500]
    #[arg(long, value_name = "UMI")]
    depth: Option<f64>,
    /// The mean fraction of a cell that its dominant program makes up, 0 to 1 (only with --kind
    /// counts). With 0 there are no cell types but a continuum, and a factorization takes many more
    /// passes [default: 0.75]
    #[arg(long, value_name = "FRACTION")]
    dominance: Option<f64>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Each cell is one program plus Gaussian noise as large as the program, cut at zero; dense
    Clusters,
    /// Single-cell counts with mixed programs, library sizes and negative-binomial noise; sparse
    Counts,
}

#[derive(Serialize)]
struct Report<'a> {
    result: &'a str,
    kind: String,
    cells: usize,
    genes: usize,
    programs: usize,
    nonzeros: u64,
    seed: u64,
    seconds: f64,
    peak_rss_bytes: u64,
}

pub(crate) fn run(options: &Options, progress: &Progress) -> Result<(), Failure> {
    let kind = match options.kind {
        Kind::Clusters if options.depth.is_some() => {
            return Err(Failure::usage("--depth applies to --kind counts only"));
        }
        Kind::Clusters if options.dominance.is_some() => {
            return Err(Failure::usage("--dominance applies to --kind counts only"));
        }
        Kind::Clusters => SimulateKind::Clusters,
        Kind::Counts => SimulateKind::Counts {
            depth: options.depth.unwrap_or(DEFAULT_DEPTH),
            dominance: options.dominance.unwrap_or(DEFAULT_DOMINANCE),
        },
    };
    let common = &options.common;
    let overwrite = overwrite(common.force);
    let output = Output { role: Role::Output, path: options.output.clone(), kind: OutputKind::AnnData, overwrite };
    Paths::default().writing(output).check()?;

    let began = Instant::now();
    let config =
        SimulateConfig::new(kind, options.cells, options.genes, options.programs).with_seed(common.one_seed()?);
    let made = simulate(&config, &options.output, overwrite, &common.machine(), progress)?;
    let took = began.elapsed();

    let result = options.output.to_string_lossy();
    if common.json {
        return print::json(&Report {
            result: &result,
            kind: word(options.kind),
            cells: config.cells,
            genes: config.genes,
            programs: config.programs,
            nonzeros: made.nonzeros,
            seed: config.seed,
            seconds: took.as_secs_f64(),
            peak_rss_bytes: machine::peak_rss(),
        });
    }
    print::text(&format!(
        "{result}: {}, {} programs, {} nonzeros, in {}",
        cells_by_genes(config.cells, config.genes),
        config.programs,
        thousands(made.nonzeros),
        duration(took)
    ))
}
