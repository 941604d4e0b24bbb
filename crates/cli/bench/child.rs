//! Starts the process of one case, watches it, and stops it when the user interrupts the run.

use std::io::Read;
use std::path::Path;
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::time::Duration;

use partwise::storage::{Monitor, StorageError};

use super::case::Measured;
use super::grid::Case;
use crate::failure::{Code, Failure};
use crate::progress::Progress;

/// The time between two looks at a child. A case with times worth comparing takes a hundred times
/// longer.
const LOOK: Duration = Duration::from_millis(5);

/// The running program, even if its file has been replaced since the start.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// One run of a case.
pub(super) struct Child<'a> {
    pub(super) store: &'a Path,
    pub(super) case: &'a Case,
    pub(super) memory: u64,
    pub(super) passes: usize,
    pub(super) seed: u64,
    /// The folder for W if it does not fit into the memory.
    pub(super) scratch: &'a Path,
}

impl Child<'_> {
    /// Runs the case and returns its figures.
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
        // Both outputs are short and fit into a pipe, so the process has not waited for a reader.
        let (figures, errors) = (text(process.0.stdout.take()), text(process.0.stderr.take()));
        if !status.success() {
            return Err(self.failure(status, &errors));
        }
        serde_json::from_str(&figures).map_err(|error| self.defect(&format!("printed no figures: {error}")))
    }

    /// The failure of the process, with its own last line.
    fn failure(&self, status: ExitStatus, errors: &str) -> Failure {
        let message = errors.lines().last().unwrap_or_default().trim_start_matches("partwise: ");
        match status.code().and_then(Code::of_exit) {
            Some(Code::Interrupted) => Failure::interrupted(),
            Some(code) if !message.is_empty() => Failure::new(code, message),
            _ => self.defect(&format!("ended with {status}; if the machine ran out of memory, try a lower --memory")),
        }
    }

    fn defect(&self, what: &str) -> Failure {
        let Case { block_rows, threads, k, .. } = self.case;
        Failure::new(
            Code::Defect,
            format!("the case of {block_rows} rows per block, {threads} threads and k = {k} {what}"),
        )
    }
}

/// A process that ends when this is dropped.
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
        // It leaves nothing behind, because its scratch files have no names. After a normal end
        // both calls do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // If the read fails, the text is incomplete: a shorter message, or JSON that the caller
        // reports as broken.
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn cannot(what: &'static str, error: &std::io::Error) -> Failure {
    Failure::from(StorageError::io(what, Path::new("partwise"), std::io::Error::new(error.kind(), error.to_string())))
}
