//! Signals that stop the run: it finishes or drops its current work and keeps a checkpoint if it
//! can.
//!
//! | signal       | sender         | meaning                                                |
//! |--------------|----------------|--------------------------------------------------------|
//! | INT (Ctrl-C) | a person       | the run is over                                        |
//! | TERM, USR1   | a batch system | the time of this run is up; another run continues it   |
//!
//! A second Ctrl-C or a second TERM ends the process at once. One exception: if several processes
//! work together, a second TERM does nothing, because their launcher sends it to all as soon as the
//! first of them has ended.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};

use crate::failure::Code;

/// The exit code after a second TERM, the same as in a shell: a batch system recognises its own
/// signal in it and runs the job again.
const TERMINATED: i32 = 128 + SIGTERM;

/// The signals that the run has received so far. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt {
    int: Signal,
    term: Signal,
    usr1: Signal,
    /// The handler that ends the process at a second TERM.
    impatience: Option<SigId>,
}

/// Whether a signal has arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signal {
    /// At this process.
    pub(crate) here: Arc<AtomicBool>,
    /// At any of several processes, this one included. A flag of its own: a signal that is sent to
    /// all processes may reach this one after it has learned of it from another, and then counts
    /// once.
    pub(crate) elsewhere: Arc<AtomicBool>,
}

impl Signal {
    fn has_arrived(&self) -> bool {
        self.here.load(Ordering::Relaxed) || self.elsewhere.load(Ordering::Relaxed)
    }
}

impl Interrupt {
    /// Whether the run should stop.
    pub(crate) fn asked(&self) -> bool {
        self.signals().iter().any(|signal| signal.has_arrived())
    }

    /// Whether this process itself has received TERM, which is also how a launcher ends it.
    pub(crate) fn terminated(&self) -> bool {
        self.term.here.load(Ordering::Relaxed)
    }

    /// All signals that stop the run.
    pub(crate) fn signals(&self) -> [&Signal; 3] {
        [&self.int, &self.term, &self.usr1]
    }

    /// Ignores every further TERM from now on.
    pub(crate) fn ignore_more_terms(&self) {
        self.impatience.map(signal_hook::low_level::unregister);
    }

    /// Whether the run should stop so that another run can continue it.
    pub(crate) fn wants_another_run(&self) -> bool {
        self.asked() && !self.int.has_arrived()
    }
}

/// Handles signals from now on.
pub(crate) fn arm() -> io::Result<Interrupt> {
    let mut interrupt = Interrupt::default();
    for (signal, asked, code) in
        [(SIGINT, &interrupt.int.here, Code::Interrupted as i32), (SIGTERM, &interrupt.term.here, TERMINATED)]
    {
        // The order matters: the handler that ends the process reads the flag before the same
        // signal sets it.
        let shutdown = signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(asked))?;
        signal_hook::flag::register(signal, Arc::clone(asked))?;
        if signal == SIGTERM {
            interrupt.impatience = Some(shutdown);
        }
    }
    signal_hook::flag::register(SIGUSR1, Arc::clone(&interrupt.usr1.here))?;
    // With a handler, a file beyond the system's limit (`ulimit -f`) is an error of the write, and
    // the run cleans up; without one, the signal kills the process.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    Ok(interrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_c_asks_for_no_further_run() {
        let interrupt = Interrupt::default();
        assert!(!interrupt.asked() && !interrupt.wants_another_run());
        interrupt.usr1.elsewhere.store(true, Ordering::Relaxed);
        assert!(interrupt.asked() && interrupt.wants_another_run());
        interrupt.int.here.store(true, Ordering::Relaxed);
        assert!(interrupt.asked() && !interrupt.wants_another_run());
    }
}
