//! Ends from outside the work: a panic, and the two watchdogs. They find the processes in a static, because nothing can be
//! handed to them.

use std::panic::PanicHookInfo;
use std::sync::mpsc;
use std::thread::Builder;
use std::time::Duration;

use super::WORLD;
use super::processes::{Processes, exit_now};
use crate::failure::{Code, Failure, say};

/// How long a line may take to be written.
const SPEAKING: Duration = Duration::from_millis(500);

/// Makes a panic print one line that says where it is and asks for a report, and end the other processes, which would wait
/// for this one. [`defect`] is the failure that `main` ends with afterwards, once unwinding has cleaned up.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let what = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
        // The others may have come to the same place.
        if has_turn() {
            say(&format!(
                "{}a defect of ours{place}: {what}; please report it with this line and your command at {}/issues",
                node(),
                env!("CARGO_PKG_REPOSITORY")
            ));
        }
        abort_others(Code::Defect);
    }));
}

/// The failure that stands for a panic, whose line [`report_panics`] has printed.
pub(crate) fn defect() -> Failure {
    Failure::reported(Code::Defect)
}

/// Ends the run because there was no sign of life from all processes for `patience`.
pub(super) fn lost(patience: Duration) {
    stuck(format!(
        "no sign of life from all processes for {} s: one is frozen, or a node or the network is lost (--watchdog SECONDS says \
         how long to wait)",
        patience.as_secs()
    ))
}

/// Ends the run because nothing has moved in this process for `patience`.
pub(crate) fn idle(patience: Duration) -> ! {
    stuck(format!(
        "nothing has moved for {} s: a disk that does not answer, or a machine with no time for this process (--watchdog SECONDS \
         says how long to wait)",
        patience.as_secs()
    ))
}

/// Prints the message when it is this process's turn, and ends all processes.
fn stuck(message: String) -> ! {
    // In a thread: a stderr that nobody reads any more must not keep the process.
    let (said, heard) = mpsc::channel();
    let speak = move || {
        say(&format!("{}{message}", node()));
        let _ = said.send(());
    };
    if has_turn() && Builder::new().spawn(speak).is_ok() {
        let _ = heard.recv_timeout(SPEAKING);
    }
    abort_others(Code::Stuck);
    exit_now(Code::Stuck as i32)
}

/// Waits until it is this process's turn to print, and returns whether it still has to; at once if it is alone.
fn has_turn() -> bool {
    WORLD.get().is_none_or(|world| world.has_turn(Duration::ZERO))
}

/// The other processes, if there are any.
fn processes() -> Option<&'static Processes> {
    WORLD.get().and_then(|world| world.processes.as_ref())
}

/// The name of this node as the begin of a line, if there are several processes.
fn node() -> String {
    processes().map_or_else(String::new, |processes| format!("node {}: ", processes.node()))
}

/// Ends all processes at once, from whatever thread, if there are several.
fn abort_others(code: Code) {
    if let Some(processes) = processes() {
        processes.abort(code as i32);
    }
}
