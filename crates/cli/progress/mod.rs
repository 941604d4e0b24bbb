//! Progress on stderr: a bar on a terminal, a line every few seconds in a file or pipe, nothing
//! with `--quiet`.

mod bar;
mod lines;

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use partwise::storage::{Monitor, Unit, Warning};

use crate::allocator;
use crate::failure::say;
use crate::interrupt::Interrupt;
use crate::remedy;
use crate::watchdog::Signs;
use crate::wording::thousands;
use bar::Bar;
use lines::Lines;

/// The monitor of the program: shows progress, prints warnings and reports signals to the work.
pub(crate) struct Progress {
    view: View,
    interrupt: Interrupt,
    signs: Signs,
}

enum View {
    /// Prints nothing, not even warnings, because another process prints them.
    Mute,
    Silent,
    Bar(Bar),
    Lines(Lines),
}

impl Progress {
    /// Shows progress unless `quiet`. Prints nothing at all unless this process `leads` the others.
    /// The work stops when `interrupt` has a signal.
    /// Progress also counts in `signs`.
    pub(crate) fn new(quiet: bool, leads: bool, interrupt: Interrupt, signs: Signs) -> Self {
        let view = match quiet {
            _ if !leads => View::Mute,
            true => View::Silent,
            false if stderr().is_terminal() => View::Bar(Bar::default()),
            false => View::Lines(Lines::default()),
        };
        Progress { view, interrupt, signs }
    }

    /// The signals that the run has received.
    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Prints a note about the work, unless progress is hidden.
    pub(crate) fn note(&self, message: &str) {
        self.line(&format!("partwise: {message}"));
    }

    /// Prints a warning. `--quiet` does not hide it.
    pub(crate) fn warning(&self, warning: &str) {
        let warn = || say(&format!("warning: {warning}"));
        match &self.view {
            View::Mute => (),
            View::Bar(bar) => bar.aside(warn),
            View::Silent | View::Lines(_) => warn(),
        }
    }

    /// Prints a line as it is, unless progress is hidden.
    pub(crate) fn line(&self, line: &str) {
        let print = || drop(writeln!(stderr().lock(), "{line}"));
        match &self.view {
            View::Mute | View::Silent => (),
            View::Bar(bar) => bar.aside(print),
            View::Lines(_) => print(),
        }
    }
}

impl Monitor for Progress {
    fn start(&self, stage: &str, total: u64, unit: Unit) {
        self.signs.moved();
        match &self.view {
            View::Mute | View::Silent => (),
            View::Bar(bar) => bar.start(stage, total, unit),
            View::Lines(lines) => lines.start(stage, total, unit),
        }
    }

    fn advance(&self, done: u64) {
        self.signs.moved();
        match &self.view {
            View::Mute | View::Silent => (),
            View::Bar(bar) => bar.advance(done),
            View::Lines(lines) => lines.advance(done),
        }
    }

    fn finish(&self) {
        self.signs.moved();
        match &self.view {
            View::Mute | View::Silent => (),
            View::Bar(bar) => bar.finish(),
            View::Lines(lines) => lines.finish(),
        }
    }

    fn freed(&self) {
        allocator::release();
    }

    fn warn(&self, warning: &Warning) {
        self.warning(&remedy::of_warning(warning));
    }

    fn cancelled(&self) -> bool {
        self.interrupt.asked()
    }
}

/// The rate of `done` units in `time`.
fn rate(done: u64, unit: Unit, time: Duration) -> String {
    let per_second = done as f64 / time.as_secs_f64().max(1e-9);
    match unit {
        Unit::Entries => format!("{} entries/s", thousands(per_second as u64)),
        Unit::Rows => format!("{} cells/s", thousands(per_second as u64)),
        Unit::Bytes => format!("{:.0} MiB/s", per_second / f64::from(1 << 20)),
        Unit::Passes => format!("{per_second:.2} passes/s"),
        Unit::Spectra => format!("{} spectra/s", thousands(per_second as u64)),
    }
}
