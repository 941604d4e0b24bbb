//! One case, in a process of its own: `partwise bench-case`, which `bench` starts and nobody types.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clap::Args;
use partwise::driver::{InitSpec, NmfConfig, fit};
use partwise::storage::{Monitor, Store};
use partwise::{DataShape, FitMonitor, TraceRow};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::options::Common;
use crate::progress::Progress;
use crate::{machine, mapping, print};

#[derive(Args, Debug)]
pub(crate) struct Options {
    store: PathBuf,
    #[arg(short = 'k')]
    k: usize,
    /// Passes in all; the first is not told.
    #[arg(long)]
    passes: usize,
    /// Where W goes if the memory does not hold it.
    #[arg(long)]
    scratch: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Wall time of each pass but the first, which finds cold buffers.
    pub(crate) seconds: Vec<f64>,
    /// Time in each of them that compute threads waited for the disk.
    pub(crate) waiting_seconds: Vec<f64>,
    /// Processor time in each of them, of all threads.
    pub(crate) cpu_seconds: Vec<f64>,
    pub(crate) peak_rss_bytes: u64,
}

/// The settings of every case: those of a fit, from a start that takes no passes of its own.
pub(super) fn config(k: usize) -> NmfConfig {
    NmfConfig::new(k).with_init(InitSpec::Random).with_tol(0.0)
}

pub(crate) fn run(options: &Options, progress: &Progress) -> Result<(), Failure> {
    let config = config(options.k).with_max_passes(options.passes).with_seed(options.common.seed);
    let mut store = Store::open(&options.store)?;
    let plan =
        config.with_scratch(options.scratch.clone()).plan(&DataShape::from(&store), &options.common.machine())?;
    if plan.map_store {
        mapping::map(&mut store)?;
    }
    let clock = Clock { progress, marks: Mutex::default() };
    let fit = fit(&store, &plan, &clock)?;
    let marks = clock.marks.into_inner().unwrap_or_else(PoisonError::into_inner);
    let timed = fit.trace.iter().skip(1);
    print::json(&Measured {
        seconds: timed.clone().map(|row| row.seconds).collect(),
        waiting_seconds: timed.map(|row| row.waiting_seconds).collect(),
        cpu_seconds: marks.windows(2).map(|pair| pair[1] - pair[0]).collect(),
        peak_rss_bytes: machine::peak_rss(),
    })
}

/// Looks at the processor's clock whenever a pass ends; nobody reads what else a case says.
struct Clock<'a> {
    progress: &'a Progress,
    marks: Mutex<Vec<f64>>,
}

impl FitMonitor for Clock<'_> {
    fn pass(&self, _: &TraceRow) {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).push(machine::cpu_seconds());
    }
}

impl Monitor for Clock<'_> {
    fn cancelled(&self) -> bool {
        self.progress.cancelled()
    }
}
