//! The options that mean the same with every verb.

use std::num::NonZeroUsize;

use clap::Args;
use partwise::driver::Machine;

use crate::launch::Quota;
use crate::machine;
use crate::size::ByteSize;

/// Options that every verb takes and that mean the same with each, as far as it has a use for them.
#[derive(Args, Debug)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Most memory the process may take (64M = 64·2²⁰ bytes; K, M, G, T) [default: half of what the machine or its cgroup
    /// has, shared by the processes on it]
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// Threads [default: as many as there are cores to use]; the result does not depend on it
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Seed of everything random; the same seed gives the same bits
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print one JSON object on stdout when done
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress and no pass-by-pass errors on stderr; warnings and failures remain
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Overwrite outputs that exist
    #[arg(long)]
    pub(crate) force: bool,
}

impl Common {
    /// The threads and the memory that were asked for, or what the machine gives.
    pub(crate) fn machine(&self) -> Machine {
        self.machine_among(Quota::WHOLE)
    }

    /// The same, for a process with this quota of the machine.
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
