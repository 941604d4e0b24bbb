//! `partwise convert`: makes a block store from a file, or from a store with another block height.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use partwise::job::{Input, Output, OutputKind, Paths, Role, input};
use partwise::machine;
use partwise::storage::convert::{ConvertSpec, convert};
use partwise::storage::reblock;
use serde::Serialize;

use crate::failure::Failure;
use crate::input::{Files, Select};
use crate::options::Common;
use crate::print;
use crate::progress::Progress;
use crate::store_report::StoreReport;
use crate::wording::duration;

/// Convert a file into a block store, which fits read faster
///
/// A store is a folder NAME.pw. It is written once and serves any number of fits. Counts take about
/// one byte per nonzero.
///
/// Files of Cell Ranger (.h5, folders, also outs/) and Matrix Market files (.mtx, .mtx.gz) hold
/// genes x cells.
///
/// With --block-rows, the input may be a store: its tiles are copied into blocks of that height.
/// partwise bench measures which height is fast on this machine.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise convert pbmc3k.h5ad -o pbmc3k.pw\n  \
    partwise convert processed.h5ad --raw -o counts.pw         the values that scanpy keeps under raw\n  \
    partwise convert outs/filtered_feature_bc_matrix -o sample.pw\n  \
    partwise convert multiome.h5mu --modality rna -o rna.pw    one modality of several\n  \
    partwise convert matrix.npy -o matrix.pw --memory 500M     within 500 MiB of memory\n  \
    partwise convert a.h5ad b.h5ad -o both.pw                  the cells of both, the genes that both have\n  \
    partwise convert old.pw -o new.pw --block-rows 2048        the same data in taller blocks")]
pub(crate) struct Options {
    #[command(flatten)]
    files: Files,
    /// The store to write
    #[arg(short, long, value_name = "STORE.pw")]
    output: PathBuf,
    #[command(flatten)]
    select: Select,
    /// The rows of a block, a multiple of the rows of a tile (256 for sparse data) [default: chosen
    /// by the shape of the data]
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
    let inputs = options.files.inputs()?;
    input::check(&inputs)?;
    let overwrite = crate::failure::overwrite(common.force);
    let output = Output { role: Role::Output, path: options.output.clone(), kind: OutputKind::Store, overwrite };
    let paths = inputs.paths().fold(Paths::default(), |paths, path| paths.reading(Role::Input, path));
    paths.writing(output).check()?;
    let input = Input::open(&inputs, &options.select.selection())?;

    let began = Instant::now();
    let store = match (input, options.block_rows) {
        (Input::Store(store), Some(rows)) => reblock(&store, &options.output, rows, overwrite, progress)?,
        (Input::Store(_), None) => {
            return Err(Failure::usage(format!(
                "{}: already a store; --block-rows N changes its block height, everything else needs the original file",
                inputs.named_after().display()
            )));
        }
        (Input::Source(source), block_rows) => {
            let machine = common.machine();
            let spec = ConvertSpec { block_rows, memory: machine.memory, threads: machine.threads, overwrite };
            convert(source, &options.output, &spec, progress)?
        }
    };
    let took = began.elapsed();

    let path = options.output.to_string_lossy();
    let inside = StoreReport::new(&store);
    if common.json {
        let peak_rss_bytes = machine::peak_rss();
        return print::json(&Report { store: &path, inside, seconds: took.as_secs_f64(), peak_rss_bytes });
    }
    print::text(&format!("{path}: {inside}\nconverted in {}", duration(took)))
}
