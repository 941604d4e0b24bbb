//! `plan --replicates`: the memory, waves and time of a sweep.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use partwise::driver::consensus;
use partwise::driver::nodes::{Node, Nodes, blocks_foreseen};
use partwise::driver::plan::RowsPlan;
use partwise::driver::sweep::{Cohort, Rows, SweepPlan};
use partwise::driver::{ConfigError, DataShape, Machine, SweepConfig};
use partwise::job::Input;
use partwise::machine;
use partwise::storage::Inputs;
use partwise::storage::convert::excerpt;
use serde::Serialize;

use super::scaling::Scaling;
use super::{Options, as_fit_converts};
use crate::failure::Failure;
use crate::input::genes;
use crate::options::Common;
use crate::print;
use crate::settings::Settings;
use crate::size::ByteSize;
use crate::wording::{cells_by_genes, duration, thousands};

/// Genes that a sweep selects by default.
const SELECTED: usize = 2000;

/// The options that ask for a sweep.
#[derive(Args, Debug)]
#[command(next_help_heading = "A sweep")]
pub(super) struct SweepOptions {
    /// Forecast a sweep with so many replicates of every k instead of a fit
    #[arg(
        long,
        value_name = "N",
        conflicts_with_all = ["solver", "scale", "init", "max_passes", "tol", "no_scores"]
    )]
    replicates: Option<usize>,
    /// The number of genes that the sweep selects [default: 2000]
    #[arg(long, value_name = "N", value_parser = genes, requires = "replicates")]
    hvg: Option<NonZeroUsize>,
}

/// The sweep that the user asked for.
pub(super) struct Asked {
    config: SweepConfig,
    genes: usize,
}

impl SweepOptions {
    /// The sweep; `None` without `--replicates`.
    pub(super) fn asked(&self, settings: &Settings, common: &Common) -> Result<Option<Asked>, Failure> {
        let Some(replicates) = self.replicates else { return Ok(None) };
        let mut config = SweepConfig::new(settings.k.0.clone(), replicates);
        config.seed = common.one_seed()?;
        config.check(usize::MAX, usize::MAX)?;
        Ok(Some(Asked { config, genes: self.hvg.map_or(SELECTED, NonZeroUsize::get) }))
    }
}

/// The object of `--json`.
#[derive(Serialize)]
struct Report {
    cells: usize,
    genes: usize,
    selected_genes: usize,
    k: Vec<usize>,
    /// Of all k.
    replicates: usize,
    waves: usize,
    /// Of the selected genes, and of their copy.
    nonzeros: u64,
    copy_bytes: u64,
    copying_seconds: f64,
    threads: usize,
    threads_wanted: usize,
    /// Passes of a replicate over the copy.
    passes: f64,
    longest_passes: usize,
    /// A pass of the first wave, while all of its replicates go on.
    pass_seconds: f64,
    folding_seconds: f64,
    reading_seconds: f64,
    update_seconds: f64,
    read_bytes_per_pass: u64,
    store_mapped: bool,
    /// From a store to the replicates of all k.
    seconds: f64,
    /// The same on as many nodes as were asked for.
    seconds_on_nodes: Option<f64>,
    /// The peak of the conversion, if the input has to be converted.
    converting_peak_bytes: Option<u64>,
    sweeping_peak_bytes: u64,
    /// The larger of the two.
    peak_bytes: u64,
    memory_bytes: u64,
    /// Whether nonzeros and genes are those of a few rows, because the data are not converted yet.
    estimated: bool,
    #[serde(flatten)]
    scaling: Option<Scaling>,
}

pub(super) fn run(asked: &Asked, inputs: &Inputs, options: &Options) -> Result<(), Failure> {
    let machine = options.common.machine();
    let (rows, machine, converting) = match Input::open(inputs, &options.select.selection())? {
        Input::Store(store) => {
            let rows = Rows::of_store(&store)?;
            (rows, machine.with_resident(machine::resident()), None)
        }
        Input::Source(mut source) => {
            let opened = machine::resident();
            let excerpt = excerpt(source.as_mut(), &as_fit_converts(&machine))?;
            let converting = opened + excerpt.converting_bytes;
            (Rows::of_excerpt(excerpt)?, machine.with_conversion(opened), Some(converting))
        }
    };
    let of_all = *rows.shape();
    let nothing = ConfigError::NothingKept { cells: of_all.cells, genes: 0 };
    let copied = rows.copied(asked.genes)?.ok_or(nothing)?;
    let copy = *copied.shape();
    let config = &asked.config;
    config.check(copy.cells, copy.genes)?;
    let plan = plan_of(config, &copy, &machine)?;
    let (copying, threads_wanted) = (copied.seconds(machine.threads), machine.threads);
    let forecast = copied.forecast(config, &plan.0)?;

    let (alone, summed_bytes) = (node(&plan, &copy), forecast.summed_bytes);
    let of_node = |part: &DataShape| plan_of(config, part, &machine).map(|plan| node(&plan, part));
    let blocks = blocks_foreseen(&copy);
    let cluster = options.cluster.asked();
    let scaling = cluster.as_ref().map(|cluster| {
        let (shape, plan, time, blocks) = (&copy, &of_node, forecast.pass, &blocks[..]);
        Scaling::of(cluster, &Nodes { shape, plan, alone, time, summed_bytes, blocks, cluster: cluster.cluster })
    });
    let scaling = scaling.transpose()?;
    let seconds_on_nodes = scaling.as_ref().and_then(Scaling::gain).map(|gain| copying + forecast.seconds / gain);
    let report = Report {
        cells: of_all.cells,
        genes: of_all.genes,
        selected_genes: copy.genes,
        k: config.ks.clone(),
        replicates: config.ks.len() * config.replicates,
        waves: plan.0.waves.len(),
        nonzeros: copy.nonzeros,
        copy_bytes: copy.packed_bytes,
        copying_seconds: copying,
        threads: plan.0.threads,
        threads_wanted,
        passes: forecast.passes,
        longest_passes: forecast.longest,
        pass_seconds: forecast.pass.seconds,
        folding_seconds: forecast.pass.folding,
        reading_seconds: forecast.pass.reading,
        update_seconds: forecast.pass.update,
        read_bytes_per_pass: alone.read_bytes,
        store_mapped: plan.0.map_store,
        seconds: copying + forecast.seconds,
        seconds_on_nodes,
        converting_peak_bytes: converting,
        sweeping_peak_bytes: alone.peak_bytes,
        peak_bytes: alone.peak_bytes.max(converting.unwrap_or(0)),
        memory_bytes: machine.memory,
        estimated: converting.is_some(),
        scaling,
    };
    if options.common.json { print::json(&report) } else { print::text(&report.to_string()) }
}

/// The plans of the replicates and of the pass after them, over a matrix of this shape: the copy, or a part of it.
fn plan_of(config: &SweepConfig, shape: &DataShape, machine: &Machine) -> Result<(SweepPlan, RowsPlan), ConfigError> {
    let cohorts: Vec<Cohort> = config.cohorts().collect();
    let most = config.replicates * config.ks.iter().max().copied().unwrap_or(0);
    let choice = consensus::plan(shape, machine, &config.ks, most * shape.genes)?;
    Ok((SweepPlan::new(&cohorts, config.start, shape, machine)?, choice))
}

fn node((plan, choice): &(SweepPlan, RowsPlan), shape: &DataShape) -> Node {
    Node {
        threads: plan.threads,
        pool_threads: plan.threads,
        read_bytes: plan.read_bytes(shape),
        peak_bytes: plan.peak_bytes.max(choice.peak_bytes),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |seconds: f64| duration(Duration::from_secs_f64(seconds));
        writeln!(f, "data     {}", cells_by_genes(self.cells, self.genes))?;
        let (genes, nonzeros) = (thousands(self.selected_genes as u64), thousands(self.nonzeros));
        writeln!(f, "copy     {genes} selected genes, about {nonzeros} nonzeros, {}", ByteSize(self.copy_bytes))?;
        writeln!(f, "threads  {} of {}", self.threads, self.threads_wanted)?;
        let replicates = thousands(self.replicates as u64);
        match self.waves {
            1 => writeln!(f, "sweep    {replicates} replicates, all in the same passes")?,
            waves => writeln!(f, "sweep    {replicates} replicates in {waves} waves")?,
        }
        writeln!(f, "passes   about {:.0} for a replicate, up to {}", self.passes, self.longest_passes)?;
        let how = match self.read_bytes_per_pass {
            0 => "the copy stays in memory".to_owned(),
            bytes => format!("{} of the copy read from disk", ByteSize(bytes)),
        };
        let of = if self.waves > 1 { " of the first wave" } else { "" };
        writeln!(f, "a pass   about {}{of} at its beginning, {how}", time(self.pass_seconds))?;
        writeln!(f, "reads    1 of all genes, to copy those selected, in about {}", time(self.copying_seconds))?;
        let after = if self.converting_peak_bytes.is_some() { ", after the conversion" } else { "" };
        writeln!(f, "time     about {}{after}", time(self.seconds))?;
        write!(f, "memory   about {} of {}", ByteSize(self.peak_bytes), ByteSize(self.memory_bytes))?;
        if let Some(converting) = self.converting_peak_bytes {
            write!(f, " ({} during the conversion)", ByteSize(converting))?;
        }
        match (&self.scaling, self.seconds_on_nodes) {
            (Some(scaling), Some(seconds)) => {
                let nodes = scaling.nodes();
                write!(f, "\n{scaling}\nsweep    about {} on {nodes} nodes", time(seconds))
            }
            _ => Ok(()),
        }
    }
}
