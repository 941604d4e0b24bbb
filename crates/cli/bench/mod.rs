//! `partwise bench`: what the height of blocks does to speed and memory, here and with this store.
//!
//! | file     | question                                                              |
//! |----------|-----------------------------------------------------------------------|
//! | `grid`   | which cases are there, and does each fit into the memory?             |
//! | `copies` | where do stores of other block heights come from, and go in the end?  |
//! | `case`   | what does one process measure?                                        |
//! | `child`  | how is that process started, watched and stopped?                     |
//! | `choice` | which height would be chosen?                                         |
//! | `report` | how is it told: table and JSON                                        |
//! | `plot`   | how is it drawn?                                                      |
//!
//! The peak of a process never falls, so each case runs in a process of its own. Cases take turns over rounds, so that a
//! machine that is busy for a while is so for all of them.

pub(crate) mod case;
mod child;
mod choice;
mod copies;
mod grid;
mod plot;
mod report;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use partwise::storage::{Monitor, StorageError, Store, Unit};

use crate::failure::{Code, Failure};
use crate::progress::Progress;
use crate::size::ByteSize;
use crate::{input, machine, output, print};
use child::Child;
use copies::Copies;
use grid::Grid;
use report::Report;

/// Measure what the height of blocks does to speed and memory here
///
/// Copies the store into blocks of each height, in a folder beside it that is removed in the end, and runs the passes of a
/// fit on each copy, in turns. The table gives for each case: the median and the best time of a pass, and the
/// least processor time; packed bytes, nonzeros and operations (4 x nonzeros x k; dense stores count every value) a second
/// in the best pass; the peak memory of its process; and how long compute threads waited for the disk in a pass, added up
/// over the threads. Last it says which height would be chosen: the smallest within 3 % of the fastest passes.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise bench pbmc3k.pw\n  \
    partwise bench atlas.pw -k 20,50 --block-rows 512,2048,8192 --threads 1,8 --plot atlas.svg\n  \
    partwise convert atlas.pw -o tall.pw --block-rows 2048    acts on the advice")]
pub(crate) struct Options {
    /// The store (a folder NAME.pw)
    #[arg(value_name = "STORE")]
    store: PathBuf,
    /// Components k
    #[arg(short = 'k', long = "components", value_name = "K,...", value_delimiter = ',', default_value = "20")]
    k: Vec<NonZeroUsize>,
    /// Rows of a block, multiples of the tile's [default: powers of two from 256 to 16384 that make two blocks at least, and
    /// the store's own]
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    block_rows: Vec<NonZeroUsize>,
    /// Passes that are timed in a round, after one that is not
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    passes: u16,
    /// Rounds in which the cases take turns
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Draw pass time and peak memory against block height
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Folder for the copies [default: the one that holds the store]
    #[arg(long, value_name = "DIR")]
    tmp: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// The common options, where `--threads` is a list.
#[derive(Args, Debug)]
#[command(next_help_heading = "Common options")]
struct Common {
    /// Most memory that each case may take (64M = 64·2²⁰ bytes; K, M, G, T) [default: half of what the machine or its cgroup
    /// has]
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// Threads [default: 1 and as many as there are cores to use]
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    threads: Vec<NonZeroUsize>,
    /// Seed of the start
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object on stdout when done
    #[arg(long)]
    json: bool,
    /// No progress on stderr; warnings and failures remain
    #[arg(long)]
    quiet: bool,
    /// Overwrite a plot that exists
    #[arg(long)]
    force: bool,
}

impl Options {
    pub(crate) fn quiet(&self) -> bool {
        self.common.quiet
    }

    /// The largest number of threads that was typed.
    pub(crate) fn most_threads(&self) -> Option<NonZeroUsize> {
        self.common.threads.iter().max().copied()
    }
}

pub(crate) fn run(options: &Options, progress: &Progress) -> Result<(), Failure> {
    let began = Instant::now();
    let common = &options.common;
    input::check(&options.store)?;
    if let Some(plot) = &options.plot {
        output::check_file(plot, common.force)?;
    }
    let store = open(&options.store)?;
    let memory = common.memory.map_or_else(machine::default_memory, |size| size.0);
    let threads = sorted(&common.threads, || vec![1, machine::threads()]);
    let heights = sorted(&options.block_rows, || grid::default_heights(&store));
    let ks = sorted(&options.k, Vec::new);
    grid::check_heights(&store, &heights)?;
    // What cannot be carried out is said before anything is copied; how the cases are carried out, once there are copies.
    let foreseen = Grid::plan(|rows| grid::foreseen(&store, rows), &heights, &threads, &ks, memory)?;
    let scratch = foreseen.scratch_bytes(store.cells());
    let copies = Copies::make(&store, &heights, options.tmp.as_deref(), scratch, progress)?;
    let grid = Grid::plan(|rows| copies.of_height(rows).shape, &heights, &threads, &ks, memory)?;

    let passes = usize::from(options.passes) + 1;
    let runs = grid.fitting().count() * usize::from(options.rounds);
    let mut report = Report::new(&store, &grid, memory);
    progress.start("measure", (runs * passes) as u64, Unit::Passes);
    for _ in 0..options.rounds {
        for (number, case) in grid.fitting() {
            let child = Child {
                store: &copies.of_height(case.block_rows).path,
                case,
                memory,
                passes,
                seed: common.seed,
                scratch: copies.folder(),
            };
            report.add(number, child.run(progress)?);
            progress.advance(passes as u64);
        }
    }
    progress.finish();
    copies.remove()?;

    if let Some(path) = &options.plot {
        plot::draw(&report, path)?;
    }
    report.finish(began.elapsed(), options.plot.as_deref());
    if common.json { print::json(&report) } else { print::text(&report.to_string()) }
}

/// Opens a store; what is none gets told how to make one.
fn open(path: &Path) -> Result<Store, Failure> {
    match Store::open(path) {
        Err(error @ StorageError::NotAStore { .. }) => Err(Failure::new(
            Code::BadData,
            format!("{error}; make one with: partwise convert INPUT -o NAME.pw, and measure that"),
        )),
        store => Ok(store?),
    }
}

/// A list as typed, in order and each number once; `default` where nothing was typed.
fn sorted(typed: &[NonZeroUsize], default: impl FnOnce() -> Vec<usize>) -> Vec<usize> {
    let mut list: Vec<usize> =
        if typed.is_empty() { default() } else { typed.iter().map(|number| number.get()).collect() };
    list.sort_unstable();
    list.dedup();
    list
}
