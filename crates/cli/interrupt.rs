//! Signals that ask the run to end: the work in hand is finished or dropped cleanly, and what can be kept is kept.
//!
//! Ctrl-C is a person's: the run is over. USR1 and TERM are a batch system's, whose time for this run is up: it is to go on in
//! another. A second Ctrl-C, or a second TERM, ends the process at once; but not a second TERM to one of several processes, whose
//! launcher says it to all as soon as the first of them has ended.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};

use crate::failure::Code;

/// The exit code after a second TERM, as a shell has it: a batch system that counts it as its own doing gives the run another go.
const TERMINATED: i32 = 128 + SIGTERM;

/// What has been asked of the run so far. Clones hear the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt {
    int: Signal,
    term: Signal,
    usr1: Signal,
    /// What ends the process at a second TERM.
    impatience: Option<SigId>,
}

/// Whether a signal has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signal {
    /// To this process.
    pub(crate) here: Arc<AtomicBool>,
    /// To any of several, this one among them. Not the same flag: a signal sent to all of them may reach this one after it has
    /// heard of it, and is no second one.
    pub(crate) elsewhere: Arc<AtomicBool>,
}

impl Signal {
    fn has_come(&self) -> bool {
        self.here.load(Ordering::Relaxed) || self.elsewhere.load(Ordering::Relaxed)
    }
}

impl Interrupt {
    /// Whether the run should end.
    pub(crate) fn asked(&self) -> bool {
        self.signals().iter().any(|signal| signal.has_come())
    }

    /// Whether this process was told to end by TERM, which is also how a launcher ends it.
    pub(crate) fn terminated(&self) -> bool {
        self.term.here.load(Ordering::Relaxed)
    }

    /// All signals that ask for an end.
    pub(crate) fn signals(&self) -> [&Signal; 3] {
        [&self.int, &self.term, &self.usr1]
    }

    /// Takes a TERM that comes again for the same one, from now on.
    pub(crate) fn bear_with_term(&self) {
        self.impatience.map(signal_hook::low_level::unregister);
    }

    /// Whether it should end so that another run goes on.
    pub(crate) fn wants_another_run(&self) -> bool {
        self.asked() && !self.int.has_come()
    }
}

/// Listens from now on.
pub(crate) fn arm() -> io::Result<Interrupt> {
    let mut interrupt = Interrupt::default();
    for (signal, asked, code) in
        [(SIGINT, &interrupt.int.here, Code::Interrupted as i32), (SIGTERM, &interrupt.term.here, TERMINATED)]
    {
        // The order matters: the shutdown looks at the flag before this very signal sets it.
        let shutdown = signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(asked))?;
        signal_hook::flag::register(signal, Arc::clone(asked))?;
        if signal == SIGTERM {
            interrupt.impatience = Some(shutdown);
        }
    }
    signal_hook::flag::register(SIGUSR1, Arc::clone(&interrupt.usr1.here))?;
    // A file larger than the system's limit (`ulimit -f`) then is an error of the write, which cleans up, and no death.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    Ok(interrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_who_ends_a_run_does_not_want_another() {
        let interrupt = Interrupt::default();
        assert!(!interrupt.asked() && !interrupt.wants_another_run());
        interrupt.usr1.elsewhere.store(true, Ordering::Relaxed);
        assert!(interrupt.asked() && interrupt.wants_another_run());
        interrupt.int.here.store(true, Ordering::Relaxed);
        assert!(interrupt.asked() && !interrupt.wants_another_run());
    }
}
