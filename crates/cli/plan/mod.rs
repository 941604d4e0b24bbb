//! `partwise plan`: forecasts the time and memory of a fit, or of a sweep.
//!
//! | file      | question                                      |
//! |-----------|-----------------------------------------------|
//! | `network` | how does the user describe a network?         |
//! | `scaling` | how much faster are passes on many nodes?     |
//! | `sweep`   | what does a sweep take?                       |

mod network;
mod scaling;
mod sweep;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use clap::Args;
use partwise::driver::nodes::{Node, Nodes, blocks_foreseen, blocks_of, summed_bytes};
use partwise::driver::usages::UsagesPlace;
use partwise::driver::{DataShape, Machine, PassTime, Plan, Probe};
use partwise::job::{Input, input};
use partwise::storage::Overwrite;
use partwise::storage::convert::{ConvertSpec, excerpt};
use partwise::storage::store::BlockInfo;
use partwise::{FitSet, machine};
use serde::Serialize;

use scaling::{Asked, ClusterOptions, Scaling};

use crate::failure::Failure;
use crate::input::{Files, Select};
use crate::options::Common;
use crate::print;
use crate::settings::Settings;
use crate::size::ByteSize;
use crate::wording::{cells_by_genes, duration, layout, thousands};

/// Forecast the time and memory of a fit or a sweep, without running it
///
/// Reports blocks, threads, the time and bytes of a pass, and the peak memory. The program reads a
/// few tiles and computes on them; it writes nothing. If the memory is insufficient, it exits with
/// code 2 and reports the minimum.
///
/// With --replicates it forecasts a sweep: waves, passes and the time of all replicates. A small sweep of the rows
/// that were read tells how many passes they take. On a machine with no other work the time is right within a
/// factor of two.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise plan atlas.pw -k 50 --memory 4G\n  \
    partwise plan pbmc3k.h5ad -k 10 --threads 8 --json\n  \
    partwise plan atlas.pw -k 10..30 --seed 0,1,2 --memory 8G                      many fits in the same passes\n  \
    partwise plan atlas.pw -k 5..15 --replicates 100 --memory 8G                   a sweep\n  \
    partwise plan atlas.pw -k 50 --nodes 16 --network 100Gb --disk 2G    also on up to 16 nodes")]
pub(crate) struct Options {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    sweep: sweep::SweepOptions,
    #[command(flatten)]
    select: Select,
    #[command(flatten)]
    cluster: ClusterOptions,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// One number of components, or a list.
#[derive(Serialize)]
#[serde(untagged)]
enum Ks {
    One(usize),
    Several(Vec<usize>),
}

#[derive(Serialize)]
struct Report {
    cells: usize,
    genes: usize,
    k: Ks,
    /// Combinations of k and seed, and the waves that they run in.
    fits: usize,
    waves: usize,
    nonzeros: u64,
    layout: &'static str,
    blocks: usize,
    block_rows: usize,
    tile_rows: usize,
    threads: usize,
    threads_wanted: usize,
    segment_bytes: u64,
    bytes_per_pass: u64,
    /// The part of these bytes that every pass after the first reads again.
    read_bytes_per_pass: u64,
    /// The larger of folding and reading, plus the update of H.
    pass_seconds: f64,
    folding_seconds: f64,
    reading_seconds: f64,
    update_seconds: f64,
    store_mapped: bool,
    /// The bytes of blocks that stay in memory from the first pass on.
    pinned_bytes: u64,
    usages_in_memory: bool,
    usages_bytes: u64,
    /// The peak of the conversion, if the input has to be converted.
    converting_peak_bytes: Option<u64>,
    fitting_peak_bytes: u64,
    /// The larger of the two: the peak of `fit` on this input.
    peak_bytes: u64,
    memory_bytes: u64,
    /// Whether the sizes are estimates, because the data are not converted yet.
    estimated: bool,
    #[serde(flatten)]
    scaling: Option<Scaling>,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let inputs = options.files.inputs()?;
    input::check(&inputs)?;
    if let Some(asked) = options.sweep.asked(&options.settings, &options.common)? {
        return sweep::run(&asked, &inputs, options);
    }
    let config = options.settings.config(0)?;
    let set =
        FitSet::new(config.clone()).with_ks(options.settings.k.0.clone()).with_seeds(options.common.seed.0.clone());
    if set.is_several() && options.cluster.asked().is_some() {
        return Err(Failure::usage("--nodes predicts one fit: give one -k and one --seed"));
    }
    let machine = options.common.machine();
    let asked = options.cluster.asked();
    let scaling = |shape: &DataShape, machine: &Machine, plan: &Plan, time, blocks: &[BlockInfo]| {
        let (alone, summed_bytes) = (Node::from(&plan.execution), summed_bytes(shape.genes, [plan.model().k]));
        let plan = |part: &DataShape| config.plan(part, machine).map(|plan| Node::from(&plan.execution));
        let of = |asked: &Asked| {
            let cluster = asked.cluster;
            Scaling::of(asked, &Nodes { shape, plan: &plan, alone, time, summed_bytes, blocks, cluster })
        };
        asked.as_ref().map(of).transpose()
    };
    let report = match Input::open(&inputs, &options.select.selection())? {
        Input::Store(store) => {
            let shape = DataShape::of_store(&store)?;
            let machine = machine.with_resident(machine::resident());
            let plan = set.plan(&shape, &machine)?;
            let time = Probe::of_store(&store, &plan)?.pass_time(&plan, &shape)?;
            let scaling = scaling(&shape, &machine, &plan, time, &blocks_of(&store))?;
            Report { scaling, ..Report::new(&shape, &plan, time, None) }
        }
        Input::Source(mut source) => {
            let opened = machine::resident();
            let excerpt = excerpt(source.as_mut(), &as_fit_converts(&machine))?;
            let converting = opened + excerpt.converting_bytes;
            let shape = DataShape::from(&excerpt);
            let plan = set.plan(&shape, &machine.with_conversion(opened))?;
            let time = Probe::of_excerpt(excerpt, &plan)?.pass_time(&plan, &shape)?;
            // On many nodes the data are a store already.
            let scaling = scaling(&shape, &machine, &plan, time, &blocks_foreseen(&shape))?;
            Report { scaling, ..Report::new(&shape, &plan, time, Some(converting)) }
        }
    };
    if options.common.json { print::json(&report) } else { print::text(&report.to_string()) }
}

/// The conversion that a fit or a sweep begins with.
fn as_fit_converts(machine: &Machine) -> ConvertSpec {
    ConvertSpec { block_rows: None, memory: machine.memory, threads: machine.threads, overwrite: Overwrite::Refuse }
}

impl Report {
    fn new(shape: &DataShape, plan: &Plan, time: PassTime, converting: Option<u64>) -> Self {
        let mut ks: Vec<usize> = plan.models.iter().map(|model| model.k).collect();
        ks.dedup();
        let of_wave = |wave: &Range<usize>| plan.models[wave.clone()].iter().map(|model| model.k).sum::<usize>();
        let widest = plan.execution.waves.iter().map(of_wave).max().unwrap_or(0);
        Report {
            cells: shape.cells,
            genes: shape.genes,
            k: match &ks[..] {
                [k] => Ks::One(*k),
                ks => Ks::Several(ks.to_vec()),
            },
            fits: plan.models.len(),
            waves: plan.execution.waves.len(),
            nonzeros: shape.nonzeros,
            layout: layout(shape.layout),
            blocks: shape.cells.div_ceil(shape.block_rows),
            block_rows: shape.block_rows,
            tile_rows: shape.tile_rows,
            threads: plan.execution.threads,
            threads_wanted: plan.execution.threads_wanted,
            segment_bytes: plan.execution.segment_bytes,
            bytes_per_pass: plan.execution.pass_bytes,
            read_bytes_per_pass: plan.execution.read_bytes(),
            pass_seconds: time.seconds,
            folding_seconds: time.folding,
            reading_seconds: time.reading,
            update_seconds: time.update,
            store_mapped: plan.execution.map_store,
            pinned_bytes: plan.execution.pinned_bytes,
            usages_in_memory: plan.execution.usages == UsagesPlace::Memory,
            usages_bytes: 4 * (shape.cells * widest) as u64,
            converting_peak_bytes: converting,
            fitting_peak_bytes: plan.execution.peak_bytes,
            peak_bytes: plan.execution.peak_bytes.max(converting.unwrap_or(0)),
            memory_bytes: plan.execution.memory,
            estimated: converting.is_some(),
            scaling: None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = if self.estimated { "about " } else { "" };
        let shape = cells_by_genes(self.cells, self.genes);
        writeln!(f, "data     {shape}, {about}{} nonzeros, {}", thousands(self.nonzeros), self.layout)?;
        writeln!(f, "blocks   {} of {} rows, tiles of {} rows", self.blocks, self.block_rows, self.tile_rows)?;
        if self.fits > 1 {
            let (fits, waves) = (self.fits, self.waves);
            match waves {
                1 => writeln!(f, "fits     {fits} in the same passes")?,
                _ => writeln!(f, "fits     {fits} in {waves} waves; a pass is one of the first wave")?,
            }
        }
        writeln!(f, "threads  {} of {}", self.threads, self.threads_wanted)?;
        let how = match (self.store_mapped, self.pinned_bytes) {
            (true, _) => "mapped into memory".to_owned(),
            (false, 0) => "streamed from disk".to_owned(),
            (false, _) => {
                format!("{} of it read from disk, the rest stays in memory", ByteSize(self.read_bytes_per_pass))
            }
        };
        let time = duration(Duration::from_secs_f64(self.pass_seconds));
        writeln!(f, "a pass   about {time}, {about}{}, {how}", ByteSize(self.bytes_per_pass))?;
        let place = if self.usages_in_memory { "in memory" } else { "on disk, beside the result" };
        writeln!(f, "W        {} {place}", ByteSize(self.usages_bytes))?;
        write!(f, "memory   {about}{} of {}", ByteSize(self.peak_bytes), ByteSize(self.memory_bytes))?;
        if let Some(converting) = self.converting_peak_bytes {
            write!(f, " ({} during the conversion)", ByteSize(converting))?;
        }
        match &self.scaling {
            Some(scaling) => write!(f, "\n{scaling}"),
            None => Ok(()),
        }
    }
}
