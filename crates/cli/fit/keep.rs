//! Stopping fits and resuming them: the options, and the line at the stop.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use partwise::driver::{BatchJob, CheckpointSpec};
use partwise::storage::Overwrite;
use partwise::{FitId, machine};

use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// Where the state of fits is kept.
#[derive(Args, Debug)]
#[command(next_help_heading = "Stopping and resuming")]
pub(super) struct Keep {
    /// Keep the state of the fit in this folder, the last two checkpoints (of several fits, in a
    /// folder for each inside this one); Ctrl-C (exit code 130), TERM and USR1 (75) leave one as well. One
    /// run at a time may use the folder
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// Write a checkpoint after every N reads of the data [default: as often as takes less than 2 %
    /// of the time]
    #[arg(long, value_name = "N", requires = "checkpoint", value_parser = reads)]
    checkpoint_every: Option<NonZeroUsize>,
    /// Resume from the newest whole checkpoint, to the same bits as without a stop; without one, start
    /// at the beginning. Results that are finished, with the same data and settings, are kept, or
    /// replaced with --force
    #[arg(long)]
    pub(super) resume: bool,
}

impl Keep {
    /// The library's form of these options.
    pub(super) fn checkpoint(&self, overwrite: Overwrite) -> Option<CheckpointSpec> {
        // Without a slash at the end.
        let folder: PathBuf = self.checkpoint.as_ref()?.components().collect();
        let spec = CheckpointSpec::new(folder, machine::cpu_in_full());
        let spec = match self.checkpoint_every {
            Some(reads) => spec.with_every(reads.get()),
            None => spec,
        };
        Some(spec.with_resume(self.resume).with_overwrite(overwrite).with_job(batch_job()))
    }

    /// The end of a run that was asked to stop, with checkpoints after so many reads of the data.
    pub(super) fn stopped(
        &self,
        checkpoint: &CheckpointSpec,
        kept: &BTreeMap<FitId, usize>,
        (is_set, written): (bool, usize),
        interrupt: &Interrupt,
    ) -> Failure {
        let (folder, command) = (checkpoint.folder.display(), self.command());
        let state = match kept.values().next() {
            None => format!("it was too early for a checkpoint in {folder}; {command} to begin again"),
            Some(_) if is_set => {
                format!("{folder} holds checkpoints of {} fits; {command} to go on", kept.len())
            }
            Some(passes) => {
                format!("{folder} holds a checkpoint after {passes} reads of the data; {command} to go on")
            }
        };
        match interrupt.wants_another_run() {
            true => Failure::again(&state),
            false if written > 0 => Failure::interrupted_with(written, &state),
            false => Failure::interrupted_keeping(&state),
        }
    }

    /// The end of a run that was asked to stop before its fits began: `failure`, unless another run is
    /// wanted.
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

/// The start of a batch job that this process belongs to. Slurm counts how often it has started a job
/// again, and ends each start before the next.
fn batch_job() -> Option<BatchJob> {
    let start = std::env::var("SLURM_RESTART_COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    Some(BatchJob { id: std::env::var("SLURM_JOB_ID").ok()?, start })
}

fn reads(typed: &str) -> Result<NonZeroUsize, &'static str> {
    typed.parse().map_err(|_| "the number of reads between two checkpoints is 1 or more")
}
