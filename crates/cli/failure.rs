//! How a run ends: exit codes, and the one line on stderr that says what, where and what to do.

use std::io::Write;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::time::Duration;

use partwise::driver::comm::CommError;
use partwise::driver::simulate::SimulateError;
use partwise::driver::{CheckpointError, ConfigError, DriverError};
use partwise::storage::{ErrorKind, StorageError};

use crate::launch;

/// Why a run ends without what was asked for. The codes are part of the program's contract.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    /// Nothing where another process says it.
    message: String,
    known: Known,
}

/// Which processes know of a failure, where there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// This one.
    Here,
    /// All of them.
    Everywhere,
    /// Another, which will end all: this one is to wait for that, and to end them itself when it is not.
    Elsewhere,
}

/// Exit codes beside 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The request makes no sense.
    Usage = 2,
    /// The input's content is wrong or damaged.
    BadData = 65,
    /// There is no such input.
    NoInput = 66,
    /// Several processes were started, and MPI is not there or does not work.
    Unavailable = 69,
    /// A defect of ours.
    Defect = 70,
    /// The output is there already, or cannot be made there.
    CannotCreate = 73,
    /// Reading or writing failed.
    Io = 74,
    /// Stopped from outside with its state kept: to be run again.
    Again = 75,
    /// Nothing moves any more, or a process is lost.
    Stuck = 76,
    /// The user stopped the run.
    Interrupted = 130,
}

impl Code {
    /// The meaning of the exit code of another run of the program.
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

    /// What another process says, and all know.
    pub(crate) fn elsewhere(code: Code) -> Self {
        Self::new(code, "")
    }

    /// Another process cannot be heard any more.
    pub(crate) fn lost(error: CommError) -> Self {
        Failure { known: Known::Elsewhere, ..Self::new(Code::Stuck, error.to_string()) }
    }

    /// The same, now that all processes know of it.
    pub(crate) fn agreed(self) -> Self {
        Failure { known: Known::Everywhere, ..self }
    }

    /// The same, told of `node`.
    pub(crate) fn at(self, node: &str) -> Self {
        Failure { message: format!("node {node}: {}", self.message), ..self }
    }

    /// What the run ends with.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Whether all processes know of it.
    pub(crate) fn is_agreed(&self) -> bool {
        self.known == Known::Everywhere
    }

    /// How long another process may take to say what has happened, before this one does.
    pub(crate) fn patience(&self) -> Duration {
        if self.known == Known::Elsewhere { launch::ALL_TURNS } else { Duration::ZERO }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    pub(crate) fn interrupted() -> Self {
        Self::new(Code::Interrupted, "interrupted; nothing unfinished was left behind")
    }

    /// An interruption after which something useful stays.
    pub(crate) fn interrupted_keeping(what: &str) -> Self {
        Self::new(Code::Interrupted, format!("interrupted; no result was written, {what}"))
    }

    /// Stopped so that another run goes on.
    pub(crate) fn again(what: &str) -> Self {
        Self::new(Code::Again, format!("stopped as asked; {what}"))
    }

    /// This stop, so that another run goes on. Who was to say it still is.
    pub(crate) fn for_another_run(self, what: &str) -> Self {
        let message = if self.message.is_empty() { self.message } else { Self::again(what).message };
        Failure { code: Code::Again, message, known: self.known }
    }

    /// Whether the user stopped the run.
    pub(crate) fn is_interruption(&self) -> bool {
        self.code == Code::Interrupted
    }

    /// Prints the line, if it is for this process to say, and gives the exit code.
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
            ErrorKind::Cancelled => return Self::interrupted(),
        };
        Self::new(code, crate::remedy::line(&error))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let code = if matches!(error, ConfigError::Empty { .. }) { Code::BadData } else { Code::Usage };
        Self::new(code, error.to_string())
    }
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        let code = match error {
            DriverError::Storage(error) => return error.into(),
            DriverError::Cancelled => return Self::interrupted(),
            DriverError::Checkpoint(ref error) => match error {
                CheckpointError::Foreign { .. } | CheckpointError::Exists { .. } => Code::CannotCreate,
                CheckpointError::Unseen { .. } => Code::Io,
                _ => Code::Usage,
            },
            DriverError::Scratch { .. } => Code::Io,
            DriverError::Start { .. } | DriverError::Range { .. } | DriverError::Magnitude { .. } => Code::BadData,
            DriverError::Threads { .. } => Code::Usage,
            DriverError::Comm(error) => return Self::lost(error),
            DriverError::Elsewhere { .. } => {
                return Failure { known: Known::Elsewhere, ..Self::new(Code::Io, error.to_string()) };
            }
            _ => Code::Defect,
        };
        Self::new(code, error.to_string())
    }
}

impl From<SimulateError> for Failure {
    fn from(error: SimulateError) -> Self {
        match error {
            SimulateError::Storage(error) => error.into(),
            error => Self::usage(error.to_string()),
        }
    }
}

/// One line on stderr, `partwise: …`. A stderr that is closed is no reason to fail.
pub(crate) fn say(message: &str) {
    // In one write: what launchers say may come in between two.
    let line = format!("partwise: {}\n", message.replace('\n', " "));
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// What clap has to say of a mistake, in one line.
pub(crate) fn mistake(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    // clap explains in paragraphs: the mistake, tips, then usage and where help is.
    let told = text.split("\n\n").take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more"));
    // How to give a positional argument that begins with a dash is never what was wrong here.
    let told = told.filter(|part| !part.contains("tip: to pass"));
    let told = told.map(|part| part.trim().trim_start_matches("error: ")).collect::<Vec<_>>().join("; ");
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    Failure::usage(format!("{told} (partwise --help and partwise VERB --help tell more)"))
}

/// A panic is a defect of ours: one line that says where it is and asks for a report. [`Code::Defect`] is what `main`
/// ends with afterwards, once unwinding has cleaned up; other processes, which would wait for this one, are ended here.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let what = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
        // The others may have come to the same place.
        if launch::has_turn() {
            say(&format!(
                "{}a defect of ours{place}: {what}; please report it with this line and your command at {}/issues",
                launch::place(),
                env!("CARGO_PKG_REPOSITORY")
            ));
        }
        launch::abort_others(Code::Defect);
    }));
}

/// The failure that stands for a panic, whose line [`report_panics`] has printed.
pub(crate) fn defect() -> Failure {
    Failure::new(Code::Defect, "")
}
