//! Stopping runs and resuming them: the options, the lines about checkpoints, and the line at the stop.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clap::Args;
use partwise::driver::{BatchJob, CheckpointEvent, CheckpointSpec};
use partwise::storage::Overwrite;
use partwise::{FitId, machine};

use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// Where the state of a run is kept.
#[derive(Args, Debug)]
#[command(next_help_heading = "Stopping and resuming")]
pub(crate) struct Keep {
    /// Keep the state of the run in this folder, the last two checkpoints (of several fits, in a
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
    pub(crate) resume: bool,
}

impl Keep {
    /// The library's form of these options.
    pub(crate) fn checkpoint(&self, overwrite: Overwrite) -> Option<CheckpointSpec> {
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
    pub(crate) fn stopped(
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

    /// The end of a run that was asked to stop before its passes began: `failure`, unless another run is
    /// wanted.
    pub(crate) fn answer(&self, failure: Failure, interrupt: &Interrupt) -> Failure {
        match self.checkpoint.is_some() && interrupt.wants_another_run() {
            true => failure.for_another_run(&format!("the passes had not begun; {} to begin again", self.command())),
            false => failure,
        }
    }

    /// Refuses to resume a run that neither `has_result` nor names a folder of checkpoints.
    pub(crate) fn check(&self, has_result: bool) -> Result<(), Failure> {
        match self.resume && self.checkpoint.is_none() && !has_result {
            true => Err(Failure::usage(
                "there is no result yet, and --resume needs the folder of the checkpoints: --checkpoint DIR",
            )),
            false => Ok(()),
        }
    }

    fn command(&self) -> &'static str {
        if self.resume { "run the same command again" } else { "run the same command with --resume" }
    }
}

/// The checkpoints that a run has, as it reports them.
#[derive(Default)]
pub(crate) struct Known(Mutex<BTreeMap<FitId, usize>>);

impl Known {
    /// The fits that have a checkpoint, and the reads of the data before it.
    pub(crate) fn passes(&self) -> BTreeMap<FitId, usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers an event, and shows it behind `prefix`.
    pub(crate) fn hear(&self, (fit, prefix): (FitId, &str), event: &CheckpointEvent<'_>, progress: &Progress) {
        match event {
            CheckpointEvent::Resumed { passes, .. } => {
                self.remember(fit, *passes);
                progress.note(&format!("{prefix}going on from a checkpoint, {passes} reads of the data behind it"));
            }
            CheckpointEvent::Nothing => {
                progress
                    .note(&format!("{prefix}there is no whole checkpoint to go on from: starting at the beginning"));
            }
            CheckpointEvent::Damaged { reason } => {
                progress.warning(&format!("{prefix}a checkpoint cannot be used, the one before it is tried: {reason}"));
            }
            CheckpointEvent::Written { passes, .. } => self.remember(fit, *passes),
            _ => (),
        }
    }

    fn remember(&self, fit: FitId, passes: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(fit, passes);
    }
}

/// Shows that another run may hold the folder.
pub(crate) fn tell_waiting(host: &str, pid: u32, progress: &Progress) {
    progress.note(&format!(
        "the checkpoint folder is locked by process {pid} on {host}; waiting to see whether that still runs"
    ));
}

/// The start of a batch job that this process belongs to. Slurm counts how often it has started a job
/// again, and ends each start before the next.
pub(crate) fn batch_job() -> Option<BatchJob> {
    let start = std::env::var("SLURM_RESTART_COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    Some(BatchJob { id: std::env::var("SLURM_JOB_ID").ok()?, start })
}

pub(crate) fn reads(typed: &str) -> Result<NonZeroUsize, &'static str> {
    typed.parse().map_err(|_| "the number of reads between two checkpoints is 1 or more")
}
