//! `partwise plan`: what a fit would take, before it starts.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use partwise::driver::usages::UsagesPlace;
use partwise::driver::{DataShape, Plan};
use serde::Serialize;

use crate::failure::Failure;
use crate::input::{self, Input, Select};
use crate::options::Common;
use crate::settings::Settings;
use crate::size::ByteSize;
use crate::wording::{cells_by_genes, layout, thousands};
use crate::{foresee, machine, print};

/// Say what a fit would take before it starts: blocks, threads, bytes per pass, peak memory
///
/// Nothing but headers is read. Where the memory does not suffice, exit code 2 and the smallest that would do.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise plan atlas.pw -k 50 --memory 4G\n  \
    partwise plan pbmc3k.h5ad -k 10 --threads 8 --json")]
pub(crate) struct Options {
    /// A store (NAME.pw) or a file (.h5ad, .npy); bytes are estimates where it is not a store yet
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    select: Select,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Serialize)]
struct Report {
    cells: usize,
    genes: usize,
    k: usize,
    nonzeros: u64,
    layout: &'static str,
    blocks: usize,
    block_rows: usize,
    tile_rows: usize,
    threads: usize,
    threads_wanted: usize,
    segment_bytes: u64,
    bytes_per_pass: u64,
    store_mapped: bool,
    usages_in_memory: bool,
    usages_bytes: u64,
    peak_bytes: u64,
    memory_bytes: u64,
    /// Whether the sizes of the data are estimates, since they are not converted yet.
    estimated: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    input::check(&options.input)?;
    let (shape, estimated) = match Input::open(&options.input, &options.select)? {
        Input::Store(store) => (DataShape::from(&*store), false),
        Input::Source(source) => (foresee::shape(source.as_ref()), true),
    };
    let plan = options
        .settings
        .config(options.common.seed)?
        .plan(&shape, &options.common.machine().with_resident(machine::resident()))?;
    let report = Report::new(&shape, &plan, estimated);
    if options.common.json { print::json(&report) } else { print::text(&report.to_string()) }
}

impl Report {
    fn new(shape: &DataShape, plan: &Plan, estimated: bool) -> Self {
        Report {
            cells: shape.cells,
            genes: shape.genes,
            k: plan.k,
            nonzeros: shape.nonzeros,
            layout: layout(shape.layout),
            blocks: shape.cells.div_ceil(shape.block_rows),
            block_rows: shape.block_rows,
            tile_rows: shape.tile_rows,
            threads: plan.threads,
            threads_wanted: plan.threads_wanted,
            segment_bytes: plan.segment_bytes,
            bytes_per_pass: plan.pass_bytes,
            store_mapped: plan.map_store,
            usages_in_memory: plan.usages == UsagesPlace::Memory,
            usages_bytes: 4 * (shape.cells * plan.k) as u64,
            peak_bytes: plan.peak_bytes,
            memory_bytes: plan.memory,
            estimated,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = if self.estimated { "about " } else { "" };
        let shape = cells_by_genes(self.cells, self.genes);
        writeln!(f, "data     {shape}, {about}{} nonzeros, {}", thousands(self.nonzeros), self.layout)?;
        writeln!(f, "blocks   {} of {} rows, tiles of {} rows", self.blocks, self.block_rows, self.tile_rows)?;
        writeln!(f, "threads  {} of {}", self.threads, self.threads_wanted)?;
        let how = if self.store_mapped { "mapped into memory" } else { "streamed from disk" };
        writeln!(f, "a pass   {about}{}, {how}", ByteSize(self.bytes_per_pass))?;
        let place = if self.usages_in_memory { "in memory" } else { "on disk, beside the result" };
        writeln!(f, "W        {} {place}", ByteSize(self.usages_bytes))?;
        write!(f, "memory   {about}{} of {}", ByteSize(self.peak_bytes), ByteSize(self.memory_bytes))
    }
}
