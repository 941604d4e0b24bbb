//! What is typed: the verbs, and the options that mean the same with each of them.

use std::num::NonZeroUsize;

use clap::{Args, Parser, Subcommand};
use partwise::driver::Machine;

use crate::failure::say;
use crate::launch::Share;
use crate::machine;
use crate::size::ByteSize;
use crate::{bench, convert, export, fit, info, plan, simulate, verify};

/// Non-negative matrix factorization X ≈ W·H of single-cell data larger than memory.
///
/// X is cells × genes; W (usages, cells × k) and H (spectra, k × genes) are non-negative. Rows are streamed from disk
/// within the memory given, on every core, and the result is an AnnData file.
#[derive(Debug, Parser)]
#[command(
    name = "partwise",
    version,
    disable_help_subcommand = true,
    after_help = "Examples:\n  \
        partwise fit pbmc3k.h5ad -k 10          factorize; the result is pbmc3k.nmf.h5ad\n  \
        partwise info pbmc3k.nmf.h5ad           what is inside\n  \
        partwise fit --help                     every option of a verb, with examples"
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// One thing to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Fit(fit::Options),
    Convert(convert::Options),
    Info(info::Options),
    Verify(verify::Options),
    Export(export::Options),
    Plan(plan::Options),
    Simulate(simulate::Options),
    Bench(bench::Options),
    #[command(hide = true)]
    BenchCase(bench::case::Options),
}

impl Verb {
    /// The options that verbs have in common; `bench` has its own.
    fn common(&self) -> Option<&Common> {
        match self {
            Verb::Fit(options) => Some(&options.common),
            Verb::Convert(options) => Some(&options.common),
            Verb::Info(options) => Some(&options.common),
            Verb::Verify(options) => Some(&options.common),
            Verb::Export(options) => Some(&options.common),
            Verb::Plan(options) => Some(&options.common),
            Verb::Simulate(options) => Some(&options.common),
            Verb::Bench(_) | Verb::BenchCase(_) => None,
        }
    }

    /// Whether no progress is wanted.
    pub(crate) fn quiet(&self) -> bool {
        match self {
            Verb::Bench(options) => options.quiet(),
            verb => verb.common().is_none_or(|common| common.quiet),
        }
    }

    /// How long nothing may move, if that was said; for verbs that watch over it.
    pub(crate) fn watchdog(&self) -> Option<u64> {
        match self {
            Verb::Fit(options) => options.watchdog,
            _ => None,
        }
    }

    /// Says once what is allowed and yet odd. A case of `bench` stays silent: `bench` has said it.
    pub(crate) fn remark(&self) {
        let most = match self {
            Verb::Bench(options) => options.most_threads(),
            verb => verb.common().and_then(|common| common.threads),
        };
        let cores = machine::threads();
        if let Some(threads) = most.filter(|threads| threads.get() > cores) {
            say(&format!("{threads} threads on {cores} cores: no faster than {cores}, and more memory"));
        }
    }
}

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
    threads: Option<NonZeroUsize>,
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
        self.machine_among(Share::WHOLE)
    }

    /// The same, for a process with this share of the machine.
    pub(crate) fn machine_among(&self, share: Share) -> Machine {
        let processes = share.processes as u64;
        let memory = self.memory.map_or_else(|| machine::default_memory() / processes, |size| size.0);
        let cores = || machine::threads().min(share.cores.unwrap_or(usize::MAX));
        Machine::new(self.threads.map_or_else(cores, NonZeroUsize::get), memory)
            .with_cache(machine::page_cache(memory.saturating_mul(processes)) / processes)
    }
}

fn threads(typed: &str) -> Result<NonZeroUsize, &'static str> {
    typed.parse().map_err(|_| "the number of threads is 1 or more")
}
