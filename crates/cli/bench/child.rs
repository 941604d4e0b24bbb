//! The process of one case: started, watched, and stopped when the user says so.

use std::io::Read;
use std::path::Path;
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::time::Duration;

use partwise::storage::{Monitor, StorageError};

use super::case::Measured;
use super::grid::Case;
use crate::failure::{Code, Failure};
use crate::progress::Progress;

/// Time between two looks at a child; a case takes a hundred times longer where times are worth comparing.
const LOOK: Duration = Duration::from_millis(5);

/// The program that runs, even where its file has been replaced since it was started.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// A run of a case.
pub(super) struct Child<'a> {
    pub(super) store: &'a Path,
    pub(super) case: &'a Case,
    pub(super) memory: u64,
    pub(super) passes: usize,
    pub(super) seed: u64,
    /// Where W goes if the memory does not hold it.
    pub(super) scratch: &'a Path,
}

impl Child<'_> {
    /// Runs the case in a process of its own.
    pub(super) fn run(&self, progress: &Progress) -> Result<Measured, Failure> {
        let mut command = Command::new(THIS_PROGRAM);
        command.arg("bench-case").arg(self.store).arg("--scratch").arg(self.scratch);
        for (option, value) in [
            ("-k", self.case.k as u64),
            ("--threads", self.case.threads as u64),
            ("--memory", self.memory),
            ("--passes", self.passes as u64),
            ("--seed", self.seed),
        ] {
            command.arg(option).arg(value.to_string());
        }
        command.arg("--quiet").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Running(command.spawn().map_err(|error| cannot("start", &error))?);
        let status = process.wait(progress)?;
        // Both are short, so a pipe holds them and the process has not waited for a reader.
        let (said, complained) = (text(process.0.stdout.take()), text(process.0.stderr.take()));
        if !status.success() {
            return Err(self.failure(status, &complained));
        }
        serde_json::from_str(&said).map_err(|error| self.defect(&format!("gave no figures: {error}")))
    }

    /// Hands on what the process has said of its failure.
    fn failure(&self, status: ExitStatus, complained: &str) -> Failure {
        let message = complained.lines().last().unwrap_or_default().trim_start_matches("partwise: ");
        match status.code().and_then(Code::of_exit) {
            Some(Code::Interrupted) => Failure::interrupted(),
            Some(code) if !message.is_empty() => Failure::new(code, message),
            _ => self.defect(&format!("ended with {status}; was it out of memory? try a lower --memory")),
        }
    }

    fn defect(&self, what: &str) -> Failure {
        let Case { block_rows, threads, k, .. } = self.case;
        Failure::new(
            Code::Defect,
            format!("the case of {block_rows} rows a block, {threads} threads and k = {k} {what}"),
        )
    }
}

/// A process that is ended when nobody waits for it any more.
struct Running(Process);

impl Running {
    fn wait(&mut self, progress: &Progress) -> Result<ExitStatus, Failure> {
        loop {
            if progress.cancelled() {
                return Err(Failure::interrupted());
            }
            match self.0.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => std::thread::sleep(LOOK),
                Err(error) => return Err(cannot("watch", &error)),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has nothing to tidy up: its scratch files have no names. After an orderly end both calls do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What cannot be read is missing from a message, or is no JSON and said to be none.
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn cannot(what: &'static str, error: &std::io::Error) -> Failure {
    Failure::from(StorageError::io(what, Path::new("partwise"), std::io::Error::new(error.kind(), error.to_string())))
}
