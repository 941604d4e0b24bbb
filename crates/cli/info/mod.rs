//! `partwise info`: reports the contents of a store, a result or an input file.

mod file;
mod result;

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;
use crate::input::Select;
use crate::options::Common;
use crate::print;
use crate::store_report::StoreReport;
use file::FileReport;
use partwise::job::Input;
use result::ResultReport;

/// Show the contents of a store, a result or an input file
///
/// For a store: shape, values, size and blocks. For a result: shape, error and settings. For
/// another file: its matrices, with shape, number of entries, what the first values are like, and the
/// store of each if it has one.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise info pbmc3k.pw\n  \
    partwise info pbmc3k.nmf.h5ad\n  \
    partwise info processed.h5ad --raw --json")]
pub(crate) struct Options {
    /// A store (NAME.pw), a result of fit, or an input file
    #[arg(value_name = "PATH")]
    path: PathBuf,
    #[command(flatten)]
    select: Select,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let json = options.common.json;
    if let Some(report) = ResultReport::read(&options.path)? {
        return if json { print::json(&report) } else { print::text(&report.to_string()) };
    }
    match Input::open(&options.path.as_path().into(), &options.select.selection())? {
        Input::Store(store) => {
            let report = StoreReport::new(&store);
            if json { print::json(&report) } else { print::text(&report.to_string()) }
        }
        Input::Source(mut source) => {
            let report = FileReport::new(source.as_mut());
            if json { print::json(&report) } else { print::text(&report.to_string()) }
        }
    }
}
