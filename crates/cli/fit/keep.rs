//! Stopping a fit and going on with it: the options, and what is said when it stops.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use partwise::driver::CheckpointSpec;

use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::{machine, output};

/// Where the state of a fit is kept.
#[derive(Args, Debug)]
#[command(next_help_heading = "Stopping and going on")]
pub(super) struct Keep {
    /// Keep the state of the fit in this folder, the last two checkpoints; a stop by Ctrl-C (exit code 130), TERM or USR1 (75)
    /// leaves one as well
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// A checkpoint after every N reads of the data [default: as often as takes less than 2 % of the time]
    #[arg(long, value_name = "N", requires = "checkpoint", value_parser = reads)]
    checkpoint_every: Option<NonZeroUsize>,
    /// Go on from the newest whole checkpoint in the folder, to the same bits as without a stop; where there is none, start at
    /// the beginning
    #[arg(long, requires = "checkpoint")]
    pub(super) resume: bool,
}

impl Keep {
    /// What was typed, as the library's.
    pub(super) fn checkpoint(&self, force: bool) -> Option<CheckpointSpec> {
        // Without a slash at the end.
        let folder: PathBuf = self.checkpoint.as_ref()?.components().collect();
        let mut spec = CheckpointSpec::new(folder);
        spec.every = self.checkpoint_every.map(NonZeroUsize::get);
        spec.resume = self.resume;
        spec.overwrite = output::overwrite(force);
        spec.cpu = machine::cpu_in_full();
        Some(spec)
    }

    /// The end of a fit that was asked to stop, with a checkpoint after `kept` reads of the data, if there is one.
    pub(super) fn stopped(&self, checkpoint: &CheckpointSpec, kept: Option<usize>, interrupt: &Interrupt) -> Failure {
        let folder = checkpoint.folder.display();
        let what = match kept {
            Some(passes) => {
                format!("{folder} holds a checkpoint after {passes} reads of the data; {} to go on", self.command())
            }
            None => format!("it was too early for a checkpoint in {folder}; {} to begin again", self.command()),
        };
        match interrupt.wants_another_run() {
            true => Failure::again(&what),
            false => Failure::interrupted_keeping(&what),
        }
    }

    /// The end of a run that was asked to stop before its fit began, which `failure` is unless another run is wanted.
    pub(super) fn answer(&self, failure: Failure, interrupt: &Interrupt) -> Failure {
        match self.checkpoint.is_some() && interrupt.wants_another_run() {
            true => failure.for_another_run(&format!("the fit had not begun; {} to begin again", self.command())),
            false => failure,
        }
    }

    fn command(&self) -> &'static str {
        if self.resume { "run the same command again" } else { "run the same command with --resume" }
    }
}

fn reads(typed: &str) -> Result<NonZeroUsize, &'static str> {
    typed.parse().map_err(|_| "the number of reads between two checkpoints is 1 or more")
}
