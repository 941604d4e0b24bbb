//! Several processes of the program that work as one: how they start, agree and end.
//!
//! | file        | question                                                        |
//! |-------------|-----------------------------------------------------------------|
//! | `launcher`  | has an MPI launcher started this process together with others?  |
//! | `processes` | which functions of MPI are used, and what replaces them?        |
//! | `handshake` | which things must be the same in all processes?                 |
//! | `emergency` | how does a panic or a watchdog end all processes?               |
//! | `crash`     | how does a fatal signal, or a lack of memory, end the run?      |
//! | `line`      | how is a line put together without memory?                      |
//! | `quota`     | what part of a node may one of its processes take?              |
//!
//! If all processes know of a failure, all end and one prints the line. If only one process knows
//! of it, that process prints the line and ends the others, wherever they are.

mod crash;
mod emergency;
mod handshake;
mod launcher;
mod line;
mod processes;
mod quota;

use std::process::ExitCode;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use partwise::driver::comm::{Comm, CommError, Solo, all_gather};

use crate::failure::{Code, Failure, say};
use crate::interrupt::Interrupt;
use crate::watchdog::Signs;
use partwise::machine;
use processes::{Processes, exit_now};

pub(crate) use crash::{catch_crashes, out_of_memory};
pub(crate) use emergency::{defect, idle, report_panics};
pub(crate) use launcher::Launcher;
pub(crate) use quota::Quota;

/// Several processes may meet the same failure at once, so they print in turns. One turn is long
/// enough for the first to print its line and to end the others.
const TURN: Duration = Duration::from_secs(1);
const MOST_TURNS: u32 = 7;
/// The time after which every process has had its turn.
const ALL_TURNS: Duration = Duration::from_secs((MOST_TURNS as u64 + 1) * TURN.as_secs());

/// The processes of this run, for the panic hook and the watchdogs, which take no arguments.
static WORLD: OnceLock<World> = OnceLock::new();

/// The processes of this run.
#[derive(Debug)]
pub(crate) struct World {
    /// `None` if this process is alone.
    processes: Option<Processes>,
    interrupt: Interrupt,
    signs: Signs,
    quota: Quota,
    /// A note on the placement of the processes, if the placement is poor.
    remark: Option<String>,
}

impl World {
    /// A world of one process.
    pub(crate) fn alone() -> &'static World {
        WORLD.get_or_init(|| World {
            processes: None,
            interrupt: Interrupt::default(),
            signs: Signs::default(),
            quota: Quota::WHOLE,
            remark: None,
        })
    }

    /// The processes that `launcher` has started. A signal that reaches one of them reaches all. If
    /// some process does not answer for `patience`, or MPI hangs, this process ends them all.
    ///
    /// # Errors
    ///
    /// When the processes do not start together. One of them has printed the failure.
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
            // Some launchers kill the other processes as soon as one ends, so the one that prints
            // must end first.
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
            Err(message) => refuse(&format!("{name} started {size} processes, but {message}")),
        };
        if processes.size() != size {
            refuse(&format!(
                "{name} started {size} processes, but MPI sees {}; {}",
                processes.size(),
                launcher.remedy()
            ));
        }
        interrupt.ignore_more_terms();
        let interrupt = interrupt.clone();
        let (signs, quota) = (Signs::default(), Quota::WHOLE);
        let mut world = World { processes: Some(processes), interrupt, signs, quota, remark: None };
        let divided = world.divide(launcher);
        let world = WORLD.get_or_init(|| world);
        let ready = divided.and_then(|()| world.check_program());
        ready.map(|()| world).map_err(|failure| world.end(Err(failure)))
    }

    /// Determines the quota of this process.
    fn divide(&mut self, launcher: Launcher) -> Result<(), Failure> {
        let Some(processes) = &self.processes else { return Ok(()) };
        let cores = quota::cores(self.comm(), processes.node(), &machine::cpus_allowed()).map_err(Failure::lost)?;
        self.quota = Quota { processes: processes.node_size(), cores: Some(cores) };
        let (here, all) = (processes.node_size(), machine::cpus_of_node());
        if launcher.binds_to_one_core() && 2 * cores * here <= all {
            let each = all / here;
            self.remark = Some(format!(
                "each process may use {cores} of the {all} cores of its node, which is the default of {}; to use all cores, start \
                 it with --map-by ppr:{here}:node:pe={each}, or with --bind-to none",
                launcher.name
            ));
        }
        Ok(())
    }

    /// The sums over all processes. The watchdog knows that this process waits in them.
    pub(crate) fn comm(&self) -> &dyn Comm {
        self
    }

    /// The progress of this process, for the watchdog.
    pub(crate) fn signs(&self) -> &Signs {
        &self.signs
    }

    fn unwatched(&self) -> &dyn Comm {
        match &self.processes {
            Some(processes) => processes,
            None => &Solo,
        }
    }

    /// Whether there is no other process.
    pub(crate) fn is_alone(&self) -> bool {
        self.processes.is_none()
    }

    /// Whether this process prints and writes for all.
    pub(crate) fn leads(&self) -> bool {
        self.comm().rank() == 0
    }

    /// The part of its node that this process may take.
    pub(crate) fn quota(&self) -> Quota {
        self.quota
    }

    /// A note on the placement of the processes, if this process prints for all.
    pub(crate) fn remark(&self) -> Option<&str> {
        self.remark.as_deref().filter(|_| self.leads())
    }

    /// The largest `own` of all processes.
    pub(crate) fn largest(&self, own: u64) -> Result<u64, Failure> {
        let all = all_gather(self.comm(), own as i64).map_err(Failure::lost)?;
        Ok(all.into_iter().max().map_or(own, |most| most as u64))
    }

    /// Returns `own` if it is `Ok` in all processes. Otherwise all fail with the code of the first
    /// process that failed, and that process prints the line.
    ///
    /// # Errors
    ///
    /// When this or another process has failed.
    pub(crate) fn agree<T>(&self, own: Result<T, Failure>) -> Result<T, Failure> {
        let Some(processes) = &self.processes else { return own };
        let codes = all_gather(self.comm(), own.as_ref().map_or_else(|failure| failure.code() as i64, |_| 0));
        let codes = codes.map_err(Failure::lost)?;
        let Some(first) = codes.iter().position(|&code| code > 0) else { return own };
        match own {
            // A failure of all processes is not tied to a node.
            Err(failure) if first == processes.rank() => Err(match codes.iter().all(|&code| code == codes[first]) {
                true => failure.agreed(),
                false => failure.at(processes.node()).agreed(),
            }),
            _ => Err(Failure::reported(Code::of_exit(codes[first] as i32).unwrap_or(Code::Defect)).agreed()),
        }
    }

    /// Ends this process with the exit code of `result`, and the others if they do not know of the
    /// failure.
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

    /// Waits for `patience` and then for this process's turn to print. Returns whether it still has
    /// to print: if another process has ended all of them in the meantime, the launcher has sent
    /// TERM, long before it kills.
    fn has_turn(&self, patience: Duration) -> bool {
        let terminated_before = self.interrupt.terminated();
        sleep(patience + TURN * (self.comm().rank() as u32).min(MOST_TURNS));
        terminated_before || !self.interrupt.terminated()
    }

    /// Ends all processes because of a failure of this one. Prints it unless another process does.
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

impl Comm for World {
    fn rank(&self) -> usize {
        self.unwatched().rank()
    }

    fn size(&self) -> usize {
        self.unwatched().size()
    }

    fn all_reduce_sum(&self, parts: &mut [&mut [i64]]) -> Result<(), CommError> {
        self.signs.wait(|| self.unwatched().all_reduce_sum(parts))
    }
}
