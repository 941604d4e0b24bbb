//! Several processes of the program working as one: how they come together, agree, and end.
//!
//! | file        | question                                                        |
//! |-------------|-----------------------------------------------------------------|
//! | `launcher`  | has a launcher started others beside this process?              |
//! | `processes` | what is needed of MPI, and what is there in a program without?  |
//! | `handshake` | what has to be the same in all processes?                       |
//! | `emergency` | how does a panic or a watchdog end all processes?               |
//! | `quota`     | what part of a node may one of its processes take?              |
//!
//! A failure that all know of ends in all of them, and one says it. A failure that one process has for itself, while the others may
//! be anywhere, is said by that one, which then ends the others.

mod emergency;
mod handshake;
mod launcher;
mod processes;
mod quota;

use std::process::ExitCode;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use partwise::driver::comm::{Comm, Solo, gather};

use crate::failure::{Code, Failure, say};
use crate::interrupt::Interrupt;
use crate::machine;
use processes::{Processes, exit_now};

pub(crate) use emergency::{defect, idle, report_panics};
pub(crate) use launcher::Launcher;
pub(crate) use quota::Quota;

/// Between the processes that may find the same thing at once: as long as it takes the first to speak and to end the others.
const TURN: Duration = Duration::from_secs(1);
const MOST_TURNS: u32 = 7;
/// By then every process that has something to say has said it.
const ALL_TURNS: Duration = Duration::from_secs((MOST_TURNS as u64 + 1) * TURN.as_secs());

/// For the panic hook and the watchdogs, which nothing can be handed to.
static WORLD: OnceLock<World> = OnceLock::new();

/// The processes of this run.
#[derive(Debug)]
pub(crate) struct World {
    /// Where there are several.
    processes: Option<Processes>,
    interrupt: Interrupt,
    quota: Quota,
    /// What to say about how the processes lie on the node, if anything.
    remark: Option<String>,
}

impl World {
    /// Of the one process that there is.
    pub(crate) fn alone() -> &'static World {
        WORLD.get_or_init(|| World {
            processes: None,
            interrupt: Interrupt::default(),
            quota: Quota::WHOLE,
            remark: None,
        })
    }

    /// Of those that `launcher` has started. Signals that reach one reach all; when none has been heard for `patience`, or MPI hangs,
    /// this one ends them all.
    ///
    /// # Errors
    ///
    /// When the processes do not come together. The failure has been said then, by one of them.
    #[cfg_attr(
        not(feature = "mpi"),
        expect(unreachable_code, unused_assignments, reason = "without MPI there are never several")
    )]
    pub(crate) fn of(
        launcher: Launcher,
        interrupt: &Interrupt,
        patience: Option<Duration>,
    ) -> Result<&'static World, ExitCode> {
        let refuse = |message: &str| {
            // Whoever ends first may have the launcher end the others.
            if launcher.is_first() {
                say(message);
            } else {
                sleep(2 * TURN);
            }
            exit_now(Code::Unavailable as i32)
        };
        let (name, size) = (launcher.name, launcher.size);
        let lost = move || emergency::lost(patience.unwrap_or_default());
        let processes = match processes::start(interrupt, patience, lost) {
            Ok(processes) => processes,
            Err(message) => refuse(&format!("{name} has started {size} processes, but {message}")),
        };
        if processes.size() != size {
            refuse(&format!(
                "{name} has started {size} processes, but MPI sees {}; {}",
                processes.size(),
                launcher.remedy()
            ));
        }
        interrupt.bear_with_term();
        let interrupt = interrupt.clone();
        let mut world = World { processes: Some(processes), interrupt, quota: Quota::WHOLE, remark: None };
        let divided = world.divide(launcher);
        let world = WORLD.get_or_init(|| world);
        let ready = divided.and_then(|()| world.check_program());
        ready.map(|()| world).map_err(|failure| world.end(Err(failure)))
    }

    /// Finds out what this process may take of its node.
    fn divide(&mut self, launcher: Launcher) -> Result<(), Failure> {
        let Some(processes) = &self.processes else { return Ok(()) };
        let cores = quota::cores(self.comm(), processes.node(), &machine::cpus_allowed()).map_err(Failure::lost)?;
        self.quota = Quota { processes: processes.node_size(), cores: Some(cores) };
        let (here, all) = (processes.node_size(), machine::cpus_of_node());
        if launcher.binds_to_one_core() && 2 * cores * here <= all {
            let each = all / here;
            self.remark = Some(format!(
                "each process may use {cores} of the {all} cores of its node: {} binds so unless told otherwise; for all of \
                 them: --map-by ppr:{here}:node:pe={each}, or --bind-to none",
                launcher.name
            ));
        }
        Ok(())
    }

    /// What processes say to each other.
    pub(crate) fn comm(&self) -> &dyn Comm {
        match &self.processes {
            Some(processes) => processes,
            None => &Solo,
        }
    }

    /// Whether there is no other process.
    pub(crate) fn is_alone(&self) -> bool {
        self.processes.is_none()
    }

    /// Whether this is the process that speaks for all.
    pub(crate) fn leads(&self) -> bool {
        self.comm().rank() == 0
    }

    /// What this process may take of its node.
    pub(crate) fn quota(&self) -> Quota {
        self.quota
    }

    /// What the user should know about how the processes lie on their nodes.
    pub(crate) fn remark(&self) -> Option<&str> {
        self.remark.as_deref().filter(|_| self.leads())
    }

    /// The largest of what the processes have.
    pub(crate) fn largest(&self, mine: u64) -> Result<u64, Failure> {
        let all = gather(self.comm(), mine as i64).map_err(Failure::lost)?;
        Ok(all.into_iter().max().map_or(mine, |most| most as u64))
    }

    /// What this process has done, if all have; otherwise all fail alike, and the first that failed by itself says why.
    ///
    /// # Errors
    ///
    /// When this or another process has failed.
    pub(crate) fn agree<T>(&self, mine: Result<T, Failure>) -> Result<T, Failure> {
        let Some(processes) = &self.processes else { return mine };
        let codes = gather(processes, mine.as_ref().map_or_else(|failure| failure.code() as i64, |_| 0));
        let codes = codes.map_err(Failure::lost)?;
        let Some(first) = codes.iter().position(|&code| code > 0) else { return mine };
        match mine {
            // What all have is no node's.
            Err(failure) if first == processes.rank() => Err(match codes.iter().all(|&code| code == codes[first]) {
                true => failure.agreed(),
                false => failure.at(processes.node()).agreed(),
            }),
            _ => Err(Failure::reported(Code::of_exit(codes[first] as i32).unwrap_or(Code::Defect)).agreed()),
        }
    }

    /// Ends this process, and the others, as `result` says.
    pub(crate) fn end(&self, result: Result<(), Failure>) -> ExitCode {
        let Some(processes) = &self.processes else {
            return result.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS);
        };
        let code = match result {
            Err(failure) if !failure.is_agreed() => self.end_all(failure),
            Err(failure) => {
                failure.report();
                failure.code() as u8
            }
            Ok(()) => 0,
        };
        match processes.finish(i32::from(code)) {
            Ok(()) => ExitCode::from(code),
            Err(error) => self.end_all(Failure::lost(error)),
        }
    }

    /// Waits `patience`, and until it is this process's turn to speak; whether it still is to speak then. Where another has ended all
    /// meanwhile, the launcher says so by a TERM, long before it kills.
    fn has_turn(&self, patience: Duration) -> bool {
        let told = self.interrupt.terminated();
        sleep(patience + TURN * (self.comm().rank() as u32).min(MOST_TURNS));
        told || !self.interrupt.terminated()
    }

    /// Ends all processes because of what this one has met, which it says unless another does.
    fn end_all(&self, failure: Failure) -> ! {
        let code = failure.code() as i32;
        let Some(processes) = &self.processes else { exit_now(code) };
        let patience = if failure.is_elsewhere() { ALL_TURNS } else { Duration::ZERO };
        if self.has_turn(patience) {
            failure.at(processes.node()).report();
        }
        processes.abort(code)
    }
}
