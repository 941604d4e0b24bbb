//! `partwise info`: reports the contents of a store, a result or an input file.

mod components;
mod factors;
mod file;
mod members;

use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::input::Select;
use crate::options::Common;
use crate::print;
use crate::store_report::StoreReport;
use components::ComponentsReport;
use factors::FactorsReport;
use file::FileReport;
use partwise::job::Input;

/// Show the contents of a store, a result or an input file
///
/// For a store: shape, values, size and blocks. For a result: shape, error or variances, and settings.
/// For another file: its matrices, with shape, number of entries, what the first values are like, and
/// the store of each if it has one.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise info pbmc3k.pw\n  \
    partwise info pbmc3k.nmf.h5ad\n  \
    partwise info processed.h5ad --raw --json")]
pub(crate) struct Options {
    /// A store (NAME.pw), a result, or an input file
    #[arg(value_name = "PATH")]
    path: PathBuf,
    #[command(flatten)]
    select: Select,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let json = options.common.json;
    if let Some(report) = FactorsReport::read(&options.path) {
        return show(&report, json);
    }
    if let Some(report) = ComponentsReport::read(&options.path) {
        return show(&report, json);
    }
    match Input::open(&options.path.as_path().into(), &options.select.selection())? {
        Input::Store(store) => show(&StoreReport::new(&store), json),
        Input::Source(mut source) => show(&FileReport::new(source.as_mut()), json),
    }
}

fn show(report: &(impl Serialize + Display), json: bool) -> Result<(), Failure> {
    if json { print::json(report) } else { print::text(&report.to_string()) }
}
