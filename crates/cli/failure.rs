//! How a run fails: the exit code, and one line on stderr that names the problem, the place and the
//! remedy.

use std::io::Write;
use std::process::ExitCode;

use partwise::driver::comm::CommError;
use partwise::driver::consensus::ConsensusError;
use partwise::driver::simulate::SimulateError;
use partwise::driver::{CheckpointError, ConfigError, DriverError};
use partwise::job::JobError;
use partwise::storage::{ErrorKind, Overwrite, StorageError};
use partwise_report::ReportError;

use crate::remedy;

/// The reason why a run ends without the result that the user asked for: an exit code and a line.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    /// Empty if the line is printed already, or by another process.
    message: String,
    known: Known,
}

/// The processes that know of a failure, if there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Only this one.
    Here,
    /// All of them.
    Everywhere,
    /// Another one, which will end all of them. This process waits for that, and ends them itself
    /// if it waits too long.
    Elsewhere,
}

/// Exit codes other than 0. They are part of the program's contract: scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The command line or a setting is wrong.
    Usage = 2,
    /// The input's content is wrong or damaged.
    BadData = 65,
    /// The input does not exist.
    NoInput = 66,
    /// A launcher started several processes, and MPI is missing or does not work.
    Unavailable = 69,
    /// A bug in this program.
    Defect = 70,
    /// The output exists already, is in use, or cannot be created there.
    CannotCreate = 73,
    /// Reading or writing failed.
    Io = 74,
    /// A batch system stopped the run, and another run of the same command continues it.
    Again = 75,
    /// The run makes no progress, or a process is lost.
    Stuck = 76,
    /// The user interrupted the run.
    Interrupted = 130,
}

impl Code {
    /// The code that another run of the program exited with; `None` if `code` is not one of ours.
    pub(crate) fn of_exit(code: i32) -> Option<Code> {
        use Code::{Again, BadData, CannotCreate, Defect, Interrupted, Io, NoInput, Stuck, Unavailable, Usage};
        let all = [Usage, BadData, NoInput, Unavailable, Defect, CannotCreate, Io, Again, Stuck, Interrupted];
        all.into_iter().find(|known| *known as i32 == code)
    }
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Failure { code, message: message.into(), known: Known::Here }
    }

    /// A failure that prints nothing here: its line is printed already, or by another process.
    pub(crate) fn reported(code: Code) -> Self {
        Self::new(code, "")
    }

    /// The connection to another process is lost.
    pub(crate) fn lost(error: CommError) -> Self {
        Failure { known: Known::Elsewhere, ..Self::new(Code::Stuck, error.to_string()) }
    }

    /// This failure, once all processes know of it.
    pub(crate) fn agreed(self) -> Self {
        Failure { known: Known::Everywhere, ..self }
    }

    /// This failure, with the name of the node in its line.
    pub(crate) fn at(self, node: &str) -> Self {
        Failure { message: format!("node {node}: {}", self.message), ..self }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Whether all processes know of it.
    pub(crate) fn is_agreed(&self) -> bool {
        self.known == Known::Everywhere
    }

    /// Whether another process knows of it and will end all processes.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.known == Known::Elsewhere
    }

    /// A mistake in the command line or a setting.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// An interruption that leaves nothing behind.
    pub(crate) fn interrupted() -> Self {
        Self::new(Code::Interrupted, "interrupted; no unfinished file was left behind")
    }

    /// An interruption that leaves something useful: `what` is a clause such as "the store x.pw is
    /// kept".
    pub(crate) fn interrupted_keeping(what: &str) -> Self {
        Self::new(Code::Interrupted, format!("interrupted; no result was written, {what}"))
    }

    /// An interruption after the results of some fits: `what` is a clause as above.
    pub(crate) fn interrupted_with(results: usize, what: &str) -> Self {
        Self::new(Code::Interrupted, format!("interrupted; {results} results are written, {what}"))
    }

    /// A stop that another run continues from: `what` is a clause that names the state and the next
    /// command.
    pub(crate) fn again(what: &str) -> Self {
        Self::new(Code::Again, format!("stopped as asked; {what}"))
    }

    /// Turns an interruption into a stop that another run continues from. The same process prints
    /// it as before.
    pub(crate) fn for_another_run(self, what: &str) -> Self {
        let message = if self.message.is_empty() { self.message } else { Self::again(what).message };
        Failure { code: Code::Again, message, known: self.known }
    }

    /// Whether the user interrupted the run.
    pub(crate) fn is_interruption(&self) -> bool {
        self.code == Code::Interrupted
    }

    /// Prints the line, unless it is empty, and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            say(&self.message);
        }
        ExitCode::from(self.code as u8)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        let code = match error.kind() {
            ErrorKind::BadData => Code::BadData,
            ErrorKind::NotFound => Code::NoInput,
            ErrorKind::Exists => Code::CannotCreate,
            ErrorKind::Io => Code::Io,
            ErrorKind::Usage | ErrorKind::Memory => Code::Usage,
            ErrorKind::Cancelled => {
                return match error {
                    StorageError::Stopped { cells } => Self::interrupted_keeping(&format!(
                        "{cells} cells are converted and kept, the same command goes on after them"
                    )),
                    _ => Self::interrupted(),
                };
            }
        };
        Self::new(code, remedy::line(&error))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let is_empty = matches!(error, ConfigError::Empty { .. } | ConfigError::NothingKept { .. });
        let code = if is_empty { Code::BadData } else { Code::Usage };
        Self::new(code, remedy::of_config(&error))
    }
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        let code = match error {
            DriverError::Storage(error) => return error.into(),
            DriverError::Cancelled => return Self::interrupted(),
            DriverError::Checkpoint(ref error) => match error {
                CheckpointError::Foreign { .. } | CheckpointError::Exists { .. } | CheckpointError::InUse { .. } => {
                    Code::CannotCreate
                }
                CheckpointError::Unseen { .. } => Code::Io,
                _ => Code::Usage,
            },
            DriverError::Scratch { .. } => Code::Io,
            DriverError::Start { .. }
            | DriverError::StartRange { .. }
            | DriverError::Range { .. }
            | DriverError::Magnitude { .. }
            | DriverError::Constant { .. }
            | DriverError::Hvg(_) => Code::BadData,
            DriverError::Threads { .. } | DriverError::Settings { .. } => Code::Usage,
            DriverError::Comm(error) => return Self::lost(error),
            DriverError::Elsewhere(_) => {
                return Failure { known: Known::Elsewhere, ..Self::new(Code::Io, error.to_string()) };
            }
            _ => Code::Defect,
        };
        Self::new(code, remedy::of_driver(&error))
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        let code = match error {
            JobError::Storage(error) => return error.into(),
            JobError::Config(error) => return error.into(),
            JobError::Driver(error) => return error.into(),
            JobError::Values { .. }
            | JobError::Genes { .. }
            | JobError::NoneListed { .. }
            | JobError::RepeatedGenes { .. }
            | JobError::AmbiguousGenes { .. }
            | JobError::MissingGenes { .. }
            | JobError::NoSharedGene { .. } => Code::BadData,
            JobError::NoReplicates { .. } | JobError::CountsGone { .. } => Code::NoInput,
            JobError::NoCounts { .. } | JobError::NotSwept { .. } => Code::Usage,
            JobError::Consensus { error: ConsensusError::Density { .. }, .. } => Code::Usage,
            JobError::Consensus { .. } => Code::BadData,
            JobError::NoFolder { .. } => Code::Io,
            JobError::OtherStore { .. } | JobError::OtherResult { .. } | JobError::OtherSweep { .. } => {
                Code::CannotCreate
            }
            _ => Code::Usage,
        };
        Self::new(code, remedy::of_job(&error))
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        let code = match error {
            ReportError::Storage(error) => return error.into(),
            ReportError::OneResultOnly { .. } | ReportError::NoCells { .. } => Code::Usage,
            ReportError::Page(_) => Code::Defect,
            _ => Code::BadData,
        };
        Self::new(code, remedy::of_report(&error))
    }
}

impl From<SimulateError> for Failure {
    fn from(error: SimulateError) -> Self {
        match error {
            SimulateError::Storage(error) => error.into(),
            error => Self::usage(remedy::of_simulate(&error)),
        }
    }
}

/// The library's setting for `--force`.
pub(crate) fn overwrite(force: bool) -> Overwrite {
    if force { Overwrite::Replace } else { Overwrite::Refuse }
}

/// Prints one line on stderr, `partwise: …`. Ignores a stderr that is closed.
pub(crate) fn say(message: &str) {
    // One write, because the output of a launcher may come between two.
    let _ = std::io::stderr().write_all(format!("partwise: {}\n", in_one_line(message)).as_bytes());
}

/// The message without characters that break a line or steer a terminal: a damaged file may hold any.
fn in_one_line(message: &str) -> String {
    message.replace(|c: char| c.is_control() || ['\u{2028}', '\u{2029}'].contains(&c), " ")
}

/// The failure for a command line that clap rejects, in one line.
pub(crate) fn mistake(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    // clap prints paragraphs: the mistake, tips, the usage, and a hint at --help.
    let parts = text.split("\n\n").take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more"));
    // No verb takes a positional argument that begins with a dash, so this tip never helps.
    let parts = parts.filter(|part| !part.contains("tip: to pass"));
    let joined = parts.map(|part| part.trim().trim_start_matches("error: ")).collect::<Vec<_>>().join("; ");
    let line = joined.split_whitespace().collect::<Vec<_>>().join(" ");
    Failure::usage(format!("{line} (see partwise --help or partwise VERB --help)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_any_bytes_is_one_line() {
        assert_eq!(in_one_line("a\nb\r\u{85}c\u{1b}[2Jd\u{2028}é"), "a b  c [2Jd é");
    }
}
