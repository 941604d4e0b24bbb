//! How a panic or a watchdog ends the run: one process prints a line, and all processes stop.
//!
//! The panic hook and the watchdogs run outside the normal flow of calls, so they find the
//! processes in a static.

use std::panic::PanicHookInfo;
use std::sync::mpsc;
use std::thread::Builder;
use std::time::Duration;

use super::WORLD;
use super::crash;
use super::processes::{Processes, exit_now};
use crate::failure::{Code, Failure, say};

/// The time that a line may take to be printed.
const PRINTING: Duration = Duration::from_millis(500);

/// Installs a panic hook. It prints one line with the place of the panic and ends the other
/// processes, which would wait for this one. After unwinding has cleaned up, `main` ends this
/// process with [`defect`].
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let what = info.payload_as_str().unwrap_or("no message");
        if is_refused_memory(what) {
            crash::end_without_memory(format_args!("{what}"));
        }
        let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
        // A panic while unwinding aborts. So does one in a function that C calls.
        crash::reported();
        // The other processes may panic at the same place.
        if has_turn() {
            say(&format!(
                "{}a defect of partwise{place}: {what}; please report it with this line and your command at {}/issues",
                node(),
                env!("CARGO_PKG_REPOSITORY")
            ));
        }
        abort_others(Code::Defect);
    }));
}

/// Whether a panic says that the system refused memory. The standard library panics in this way
/// where a new thread gets no stack for its signal handlers.
fn is_refused_memory(what: &str) -> bool {
    what.ends_with(&format!("(os error {})", libc::ENOMEM))
}

/// The failure of a run that panicked. The hook of [`report_panics`] has printed its line.
pub(crate) fn defect() -> Failure {
    Failure::reported(Code::Defect)
}

/// Ends the run: some process has not answered for `patience`.
pub(super) fn lost(patience: Duration) {
    stuck(format!(
        "no answer from all processes for {} s: a process is frozen, or a node or the network is down (change the limit with \
         --watchdog SECONDS)",
        patience.as_secs()
    ))
}

/// Ends the run: this process has made no progress for `patience`.
pub(crate) fn idle(patience: Duration) -> ! {
    stuck(format!(
        "no progress for {} s: the disk does not answer, or the machine has no time for this process (change the limit with \
         --watchdog SECONDS)",
        patience.as_secs()
    ))
}

/// Prints the message if it is this process's turn, and ends all processes.
fn stuck(message: String) -> ! {
    // In a thread, because a write to a stderr that nobody reads may block for ever.
    let (printed, done) = mpsc::channel();
    let print = move || {
        say(&format!("{}{message}", node()));
        let _ = printed.send(());
    };
    if has_turn() && Builder::new().spawn(print).is_ok() {
        let _ = done.recv_timeout(PRINTING);
    }
    abort_others(Code::Stuck);
    exit_now(Code::Stuck as i32)
}

/// Waits for this process's turn to print, and returns whether it still has to. A process that is
/// alone never waits.
pub(super) fn has_turn() -> bool {
    WORLD.get().is_none_or(|world| world.has_turn(Duration::ZERO))
}

/// The other processes, if there are any.
fn processes() -> Option<&'static Processes> {
    WORLD.get().and_then(|world| world.processes.as_ref())
}

/// The name of this node, if there are several processes.
pub(super) fn node_name() -> Option<&'static str> {
    processes().map(Processes::node)
}

/// The start of a line that names this node; empty if the process is alone.
fn node() -> String {
    node_name().map_or_else(String::new, |name| format!("node {name}: "))
}

/// Ends all processes at once, if there are several. Any thread may call it.
fn abort_others(code: Code) {
    if let Some(processes) = processes() {
        processes.abort(code as i32);
    }
}
