//! The common options, which mean the same for every verb.

use std::num::NonZeroUsize;

use clap::Args;
use partwise::{Machine, machine};

use crate::failure::Failure;
use crate::launch::Quota;
use crate::list::List;
use crate::size::ByteSize;

/// The common options. Every verb accepts them all; a verb ignores those that it has no use for.
#[derive(Args, Debug)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// The most memory that the process may use, such as 500M or 2G (1K = 1024 bytes) [default:
    /// half of the memory of the machine or its cgroup, divided by the number of processes on it]
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// The number of threads; it does not change the result [default: the number of cores that the
    /// process may use]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// The seed of all random numbers; the same seed gives the same bits. fit and plan take several:
    /// 0,1,2 or 0..9
    #[arg(long, value_name = "N", default_value_t = List(vec![0]))]
    pub(crate) seed: List<u64>,
    /// Print one JSON object on stdout at the end, instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Print no progress on stderr; warnings and failures remain
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Replace outputs that exist already
    #[arg(long)]
    pub(crate) force: bool,
}

impl Common {
    /// The only seed, for verbs that have no use for several.
    ///
    /// # Errors
    ///
    /// When the user typed several.
    pub(crate) fn one_seed(&self) -> Result<u64, Failure> {
        self.seed
            .only()
            .ok_or_else(|| Failure::usage(format!("--seed {}: only fit and plan take several seeds", self.seed)))
    }

    /// The threads and the memory that the user asked for, or the defaults of this machine.
    pub(crate) fn machine(&self) -> Machine {
        self.machine_among(Quota::WHOLE)
    }

    /// The same for a process with this quota of the machine.
    pub(crate) fn machine_among(&self, quota: Quota) -> Machine {
        let processes = quota.processes as u64;
        let memory = self.memory.map_or_else(|| machine::default_memory() / processes, |size| size.0);
        let cores = || machine::threads().min(quota.cores.unwrap_or(usize::MAX));
        Machine::new(self.threads.map_or_else(cores, NonZeroUsize::get), memory)
            .with_cache(machine::page_cache(memory.saturating_mul(processes)) / processes)
    }
}

fn threads(typed: &str) -> Result<NonZeroUsize, &'static str> {
    typed.parse().map_err(|_| "the number of threads is 1 or more")
}
