//! The command line: its verbs, and the function that carries each of them out.

use clap::{Parser, Subcommand};

use crate::failure::{Failure, say};
use crate::launch::World;
use crate::options::Common;
use crate::progress::Progress;
use crate::{bench, convert, export, fit, info, machine, plan, simulate, verify};

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
    /// Carries the verb out.
    ///
    /// # Errors
    ///
    /// When it does not do what was asked for.
    pub(crate) fn run(&self, world: &World, progress: &Progress) -> Result<(), Failure> {
        match self {
            Verb::Fit(options) => fit::run(options, world, progress),
            Verb::Convert(options) => convert::run(options, progress),
            Verb::Info(options) => info::run(options),
            Verb::Verify(options) => verify::run(options, progress),
            Verb::Export(options) => export::run(options, progress),
            Verb::Plan(options) => plan::run(options),
            Verb::Simulate(options) => simulate::run(options, progress),
            Verb::Bench(options) => bench::run(options, progress),
            Verb::BenchCase(options) => bench::case::run(options, progress),
        }
    }

    /// Whether several processes can work on it together.
    pub(crate) fn is_distributed(&self) -> bool {
        matches!(self, Verb::Fit(_))
    }

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

    /// Whether `--quiet` was typed. A case of `bench` is quiet always.
    pub(crate) fn quiet(&self) -> bool {
        match self {
            Verb::Bench(options) => options.quiet(),
            verb => verb.common().is_none_or(|common| common.quiet),
        }
    }

    /// The seconds of `--watchdog`, if they were typed.
    pub(crate) fn watchdog(&self) -> Option<u64> {
        match self {
            Verb::Fit(options) => options.watchdog,
            _ => None,
        }
    }

    /// Remarks on settings that are allowed and yet odd. A case of `bench` makes no remark, because `bench` has made it.
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
