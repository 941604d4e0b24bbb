//! `partwise bench`: measures how the height of blocks changes speed and memory, for one store on
//! this machine.
//!
//! | file     | question                                                         |
//! |----------|------------------------------------------------------------------|
//! | `grid`   | which cases are there, and does each fit into the memory?        |
//! | `copies` | who makes and removes the stores with other block heights?       |
//! | `case`   | which figures does one process measure?                          |
//! | `child`  | how does `bench` start, watch and stop that process?             |
//! | `choice` | which height is best?                                            |
//! | `report` | how are the figures printed, as a table and as JSON?             |
//! | `plot`   | how are the figures drawn?                                       |
//!
//! The peak memory of a process never falls, so each case runs in a process of its own. The cases
//! take turns over several rounds, so that other work on the machine slows down all of them alike.

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
use crate::print;
use crate::progress::Progress;
use crate::size::ByteSize;
use child::Child;
use copies::Copies;
use grid::Grid;
use partwise::job::{Output, Paths, Role, input};
use partwise::machine;
use report::Report;

/// Measure how the height of blocks changes speed and memory on this machine
///
/// Copies the store into blocks of each height and runs the passes of a fit on each copy, in turns.
/// The copies lie in a folder beside the store and are removed at the end.
///
/// The table shows for each case: the median and the best time of a pass, and the least processor
/// time; the packed bytes, nonzeros and operations per second in the best pass (4 x nonzeros x k
/// operations per pass, where a dense store counts every value); the peak memory of the process;
/// and the time that compute threads waited for the disk in a pass, added up over the threads. The
/// last lines recommend a height: the smallest within 3 % of the fastest passes.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise bench pbmc3k.pw\n  \
    partwise bench atlas.pw -k 20,50 --block-rows 512,2048,8192 --threads 1,8 --plot atlas.svg\n  \
    partwise convert atlas.pw -o tall.pw --block-rows 2048    follow the recommendation")]
pub(crate) struct Options {
    /// The store (a folder NAME.pw)
    #[arg(value_name = "STORE")]
    store: PathBuf,
    /// The numbers of components k
    #[arg(short = 'k', long = "components", value_name = "K,...", value_delimiter = ',', default_value = "20")]
    k: Vec<NonZeroUsize>,
    /// The heights to measure: rows of a block, multiples of the rows of a tile [default: the
    /// powers of two from 256 to 16384 that give at least two blocks, and the height of the store]
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    block_rows: Vec<NonZeroUsize>,
    /// The timed passes of a round; one pass before them is not timed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    passes: u16,
    /// The rounds in which the cases take turns
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Draw the time of a pass and the peak memory against the block height
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// The folder for the copies [default: the folder of the store]
    #[arg(long, value_name = "DIR")]
    tmp: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// The common options, with a list for `--threads`.
#[derive(Args, Debug)]
#[command(next_help_heading = "Common options")]
struct Common {
    /// The most memory that each case may use, such as 500M or 2G (1K = 1024 bytes) [default: half
    /// of the memory of the machine or its cgroup]
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// The numbers of threads [default: 1, and the number of cores that the process may use]
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    threads: Vec<NonZeroUsize>,
    /// The seed of the random start
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object on stdout at the end, instead of text
    #[arg(long)]
    json: bool,
    /// Print no progress on stderr; warnings and failures remain
    #[arg(long)]
    quiet: bool,
    /// Replace a plot that exists already
    #[arg(long)]
    force: bool,
}

impl Options {
    /// Whether the user typed `--quiet`.
    pub(crate) fn quiet(&self) -> bool {
        self.common.quiet
    }

    /// The largest number of threads that the user typed.
    pub(crate) fn most_threads(&self) -> Option<NonZeroUsize> {
        self.common.threads.iter().max().copied()
    }
}

pub(crate) fn run(options: &Options, progress: &Progress) -> Result<(), Failure> {
    let began = Instant::now();
    let common = &options.common;
    input::check(&options.store.as_path().into())?;
    if let Some(plot) = &options.plot {
        let overwrite = crate::failure::overwrite(common.force);
        let plot = Output { role: Role::Plot, path: plot.clone(), kind: plot::KIND, overwrite };
        Paths::default().reading(Role::Input, &options.store).writing(plot).check()?;
    }
    let store = open(&options.store)?;
    let memory = common.memory.map_or_else(machine::default_memory, |size| size.0);
    let threads = sorted(&common.threads, || vec![1, machine::threads()]);
    let heights = sorted(&options.block_rows, || grid::default_heights(&store));
    let ks = sorted(&options.k, Vec::new);
    grid::check_heights(&store, &heights)?;
    // The first grid refuses impossible cases before anything is copied; the second plans with the
    // shapes of the copies.
    let foreseen = Grid::plan(|rows| grid::foreseen(&store, rows), &heights, &threads, &ks, memory)?;
    let scratch = foreseen.scratch_bytes(store.cells());
    let copies = Copies::make(&store, &heights, options.tmp.as_deref(), scratch, progress)?;
    let grid = Grid::plan(|rows| Ok(copies.of_height(rows).shape), &heights, &threads, &ks, memory)?;

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

/// Opens a store. If `path` is not a store, the failure says how to make one.
fn open(path: &Path) -> Result<Store, Failure> {
    match Store::open(path) {
        Err(error @ StorageError::NotAStore { .. }) => Err(Failure::new(
            Code::BadData,
            format!("{error}; make a store first, with: partwise convert INPUT -o NAME.pw"),
        )),
        store => Ok(store?),
    }
}

/// The typed numbers in ascending order, each once; `default` if the user typed none.
fn sorted(typed: &[NonZeroUsize], default: impl FnOnce() -> Vec<usize>) -> Vec<usize> {
    let mut list: Vec<usize> =
        if typed.is_empty() { default() } else { typed.iter().map(|number| number.get()).collect() };
    list.sort_unstable();
    list.dedup();
    list
}
