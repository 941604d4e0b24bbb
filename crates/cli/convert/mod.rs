//! `partwise convert`: a file becomes a block store.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use partwise::storage::convert::{ConvertSpec, convert};
use partwise::storage::source;
use serde::Serialize;

use crate::failure::Failure;
use crate::info::store::StoreReport;
use crate::input::{self, Select, is_store};
use crate::options::Common;
use crate::progress::Progress;
use crate::wording::duration;
use crate::{machine, output, print};

/// Convert a file into a block store, which fits read faster and any number of times
///
/// A store is a folder NAME.pw, written once. Counts take about one byte per nonzero.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise convert pbmc3k.h5ad -o pbmc3k.pw\n  \
    partwise convert processed.h5ad --raw -o counts.pw\n  \
    partwise convert matrix.npy -o matrix.pw --memory 500M")]
pub(crate) struct Options {
    /// The file to read: .h5ad or .npy, cells x genes
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    /// The store to write
    #[arg(short, long, value_name = "STORE.pw")]
    output: PathBuf,
    #[command(flatten)]
    select: Select,
    /// Rows of a block, a multiple of the tile's [default: by the number of cells]
    #[arg(long, value_name = "N")]
    block_rows: Option<usize>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Serialize)]
struct Report<'a> {
    store: &'a str,
    #[serde(flatten)]
    inside: StoreReport,
    seconds: f64,
    peak_rss_bytes: u64,
}

pub(crate) fn run(options: &Options, progress: &Progress) -> Result<(), Failure> {
    let common = &options.common;
    input::check(&options.input)?;
    if is_store(&options.input) {
        return Err(Failure::usage(format!(
            "{}: is a store already; convert the file that it was made from",
            options.input.display()
        )));
    }
    output::check(&options.output, common.force)?;
    let mut source = source::open(&options.input, &options.select.selection())?;

    let began = Instant::now();
    let machine = common.machine();
    let spec = ConvertSpec {
        block_rows: options.block_rows,
        memory: machine.memory,
        threads: machine.threads,
        overwrite: output::overwrite(common.force),
    };
    let store = convert(source.as_mut(), &options.output, &spec, progress)?;
    let took = began.elapsed();

    let path = options.output.to_string_lossy();
    let inside = StoreReport::new(&store);
    if common.json {
        let peak_rss_bytes = machine::peak_rss();
        return print::json(&Report { store: &path, inside, seconds: took.as_secs_f64(), peak_rss_bytes });
    }
    print::text(&format!("{path}: {inside}\nconverted in {}", duration(took)))
}
