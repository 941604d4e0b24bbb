//! One case, in a process of its own: the hidden verb `bench-case`, which `bench` starts.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clap::Args;
use partwise::driver::{InitSpec, NmfConfig, fit};
use partwise::storage::{Monitor, Store};
use partwise::{DataShape, FitId, FitMonitor, StopReason, TraceRow};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::options::Common;
use crate::progress::Progress;
use crate::{mapping, print};
use partwise::machine;

#[derive(Args, Debug)]
pub(crate) struct Options {
    store: PathBuf,
    #[arg(short = 'k')]
    k: usize,
    /// All passes, including the first, which is not reported.
    #[arg(long)]
    passes: usize,
    /// The folder for W if it does not fit into the memory.
    #[arg(long)]
    scratch: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The figures of a case.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// The wall time of each pass except the first, which runs with cold buffers.
    pub(crate) seconds: Vec<f64>,
    /// The time that compute threads waited for the disk in each of these passes.
    pub(crate) waiting_seconds: Vec<f64>,
    /// The processor time of all threads in each of these passes.
    pub(crate) cpu_seconds: Vec<f64>,
    pub(crate) peak_rss_bytes: u64,
}

/// The settings of every case: those of a fit, with a start that takes no passes.
pub(super) fn config(k: usize) -> NmfConfig {
    NmfConfig::new(k).with_init(InitSpec::Random).with_tol(0.0)
}

pub(crate) fn run(options: &Options, progress: &Progress) -> Result<(), Failure> {
    let config = config(options.k).with_max_passes(options.passes).with_seed(options.common.one_seed()?);
    let mut store = Store::open(&options.store)?;
    let plan =
        config.with_scratch(options.scratch.clone()).plan(&DataShape::of_store(&store)?, &options.common.machine())?;
    if plan.execution.map_store {
        mapping::map(&mut store)?;
    }
    let clock = Clock { progress, marks: Mutex::default() };
    let fit = fit(&store, &plan, &clock)?;
    if fit.stop == StopReason::Cancelled {
        return Err(Failure::interrupted());
    }
    let marks = clock.marks.into_inner().unwrap_or_else(PoisonError::into_inner);
    let timed = fit.trace.iter().skip(1);
    print::json(&Measured {
        seconds: timed.clone().map(|row| row.seconds).collect(),
        waiting_seconds: timed.map(|row| row.waiting_seconds).collect(),
        cpu_seconds: marks.windows(2).map(|pair| pair[1] - pair[0]).collect(),
        peak_rss_bytes: machine::peak_rss(),
    })
}

/// A monitor that reads the processor time at the end of each pass, and shows nothing.
struct Clock<'a> {
    progress: &'a Progress,
    marks: Mutex<Vec<f64>>,
}

impl FitMonitor for Clock<'_> {
    fn pass(&self, _: FitId, _: &TraceRow) {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).push(machine::cpu_seconds());
    }
}

impl Monitor for Clock<'_> {
    fn cancelled(&self) -> bool {
        self.progress.cancelled()
    }
}
