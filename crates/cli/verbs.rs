//! The command line: the verbs, and the function that runs each of them.

use clap::{Parser, Subcommand};
use partwise::machine;

use crate::failure::{Failure, say};
use crate::launch::World;
use crate::options::Common;
use crate::progress::Progress;
use crate::watchdog::Patience;
use crate::{
    bench, consensus, convert, export, fit, genes, info, pca, plan, report, simulate, sweep, transform, verify,
};

const EXAMPLES: &str = "Examples:
  partwise fit pbmc3k.h5ad -k 10          factorize; the result is pbmc3k.nmf.h5ad
  partwise info pbmc3k.nmf.h5ad           show the contents of a file
  partwise fit --help                     explain all options of a verb, with examples";

const EXIT_CODES: &str = "Exit codes:
    0  done
    2  the command line or a setting is wrong
   65  the input is damaged, or its values are unusable
   66  the input does not exist
   69  an MPI launcher started several processes, but MPI is missing or does not work
   70  a defect of partwise: please report it
   73  the output exists already, is in use, or cannot be created there
   74  reading or writing failed
   75  stopped by a batch system: run the command again to continue
   76  no progress, or a process is lost
  130  interrupted

On failure, one line on stderr names the problem, the file and the remedy.";

/// Factorize single-cell data larger than memory: X ≈ W·H, with no negative values
///
/// X holds the data, n cells × m genes. W holds the usages, n cells × k components. H holds the
/// spectra, k components × m genes. The program reads X from disk block by block, stays within the
/// memory that you allow, and uses all cores. The result is an AnnData file, which anndata and
/// scanpy can open. The same data, settings and seed give the same bits, for any amount of memory
/// and any number of threads.
#[derive(Debug, Parser)]
#[command(
    name = "partwise",
    version,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}")
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// A verb, with the options that the user typed.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Fit(fit::Options),
    Pca(pca::Options),
    Genes(genes::Options),
    Report(report::Options),
    Convert(convert::Options),
    Info(info::Options),
    Verify(verify::Options),
    Export(export::Options),
    Plan(plan::Options),
    Transform(transform::Options),
    Sweep(sweep::Options),
    Consensus(consensus::Options),
    Simulate(simulate::Options),
    Bench(bench::Options),
    #[command(hide = true)]
    BenchCase(bench::case::Options),
}

impl Verb {
    /// Runs the verb.
    ///
    /// # Errors
    ///
    /// When the verb fails.
    pub(crate) fn run(&self, world: &World, progress: &Progress) -> Result<(), Failure> {
        match self {
            Verb::Fit(options) => fit::run(options, world, progress),
            Verb::Pca(options) => pca::run(options, world, progress),
            Verb::Genes(options) => genes::run(options, world, progress),
            Verb::Report(options) => report::run(options, progress),
            Verb::Convert(options) => convert::run(options, progress),
            Verb::Info(options) => info::run(options),
            Verb::Verify(options) => verify::run(options, progress),
            Verb::Export(options) => export::run(options, progress),
            Verb::Plan(options) => plan::run(options),
            Verb::Transform(options) => transform::run(options, world, progress),
            Verb::Sweep(options) => sweep::run(options, world, progress),
            Verb::Consensus(options) => consensus::run(options, world, progress),
            Verb::Simulate(options) => simulate::run(options, progress),
            Verb::Bench(options) => bench::run(options, progress),
            Verb::BenchCase(options) => bench::case::run(options, progress),
        }
    }

    /// How long a run may stand still; `None` for verbs that one process runs alone.
    pub(crate) fn patience(&self) -> Option<Patience> {
        match self {
            Verb::Fit(options) => Some(options.patience),
            Verb::Pca(options) => Some(options.patience),
            Verb::Transform(options) => Some(options.patience),
            Verb::Sweep(options) => Some(options.patience),
            Verb::Consensus(options) => Some(options.patience),
            _ => None,
        }
    }

    /// Whether several processes can run it together.
    pub(crate) fn is_distributed(&self) -> bool {
        self.patience().is_some()
    }

    /// The common options; `None` for `bench`, which has a list of threads.
    fn common(&self) -> Option<&Common> {
        match self {
            Verb::Fit(options) => Some(&options.common),
            Verb::Pca(options) => Some(&options.common),
            Verb::Genes(options) => Some(&options.common),
            Verb::Report(options) => Some(&options.common),
            Verb::Convert(options) => Some(&options.common),
            Verb::Info(options) => Some(&options.common),
            Verb::Verify(options) => Some(&options.common),
            Verb::Export(options) => Some(&options.common),
            Verb::Plan(options) => Some(&options.common),
            Verb::Transform(options) => Some(&options.common),
            Verb::Sweep(options) => Some(&options.common),
            Verb::Consensus(options) => Some(&options.common),
            Verb::Simulate(options) => Some(&options.common),
            Verb::Bench(_) | Verb::BenchCase(_) => None,
        }
    }

    /// Whether progress is hidden: by `--quiet`, and always in a case of `bench`.
    pub(crate) fn quiet(&self) -> bool {
        match self {
            Verb::Bench(options) => options.quiet(),
            verb => verb.common().is_none_or(|common| common.quiet),
        }
    }

    /// Prints a note if there are more threads than cores. A case of `bench` prints none, because
    /// `bench` has printed it.
    pub(crate) fn remark(&self) {
        let most = match self {
            Verb::Bench(options) => options.most_threads(),
            verb => verb.common().and_then(|common| common.threads),
        };
        let cores = machine::threads();
        if let Some(threads) = most.filter(|threads| threads.get() > cores) {
            say(&format!("{threads} threads on {cores} cores are no faster than {cores} threads and use more memory"));
        }
    }
}
