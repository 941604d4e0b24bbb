//! What is heard of a fit while it runs: the error of its passes on stderr, and every pass in the file of `--trace`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use partwise::driver::{CheckpointEvent, FitMonitor, TraceRow};
use partwise::storage::{Monitor, StorageError, Unit, Warning};

use crate::failure::{Code, Failure};
use crate::progress::Progress;
use crate::wording::relative_error;

/// The columns of the file, in the order of [`TraceRow`].
const COLUMNS: &str = "pass,loss,relative_error,relative_decrease,kkt_residual,accepted,extrapolation,usages_change,\
                       spectra_change,usages_nonzero,spectra_nonzero,bytes,seconds,waiting_seconds,joining_seconds,\
                       summing_seconds";

/// Whether the file at `path` is one that an earlier run has written passes to, or is empty.
pub(super) fn is_trace(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(COLUMNS.len() as u64).read_to_end(&mut start));
    read.is_ok() && path.is_file() && COLUMNS.as_bytes().starts_with(&start)
}

/// The monitor of a fit.
pub(super) struct Watch<'a> {
    progress: &'a Progress,
    trace: Option<Mutex<Trace>>,
    /// Reads of the data that the newest checkpoint has behind it; 0: there is none.
    kept: AtomicUsize,
}

/// A file that gets each pass when it ends, so that an interrupted run keeps what it has learned.
struct Trace {
    file: File,
    path: PathBuf,
    failed: Option<io::Error>,
}

impl Trace {
    /// A file at `path`. What is in one that is there stays until the fit [begins](Self::begin).
    fn open(path: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file =
            file.map_err(|error| Failure::new(Code::Io, format!("{}: cannot write: {error}", path.display())))?;
        Ok(Trace { file, path: path.into(), failed: None })
    }

    /// Empties the file, but for the passes that a resumed fit has behind it.
    fn begin(&mut self, rows: &[TraceRow]) {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        if let Err(error) = emptied.and_then(|()| writeln!(self.file, "{COLUMNS}")) {
            self.failed = Some(error);
        }
        rows.iter().for_each(|row| self.add(row));
    }

    fn add(&mut self, row: &TraceRow) {
        if let Err(error) = writeln!(self.file, "{}", record(row)) {
            self.failed.get_or_insert(error);
        }
    }
}

impl<'a> Watch<'a> {
    /// Writes passes to the file at `trace`, if there is one: a new one, unless the fit is to be resumed and says itself where it
    /// begins.
    pub(super) fn new(progress: &'a Progress, trace: Option<&Path>, resume: bool) -> Result<Self, Failure> {
        let open = |path: &Path| {
            let mut trace = Trace::open(path)?;
            if !resume {
                trace.begin(&[]);
            }
            Ok::<_, Failure>(Mutex::new(trace))
        };
        Ok(Watch { progress, trace: trace.map(open).transpose()?, kept: AtomicUsize::new(0) })
    }

    /// Reads of the data that the newest checkpoint has behind it, if there is one.
    pub(super) fn kept(&self) -> Option<usize> {
        Some(self.kept.load(Ordering::Relaxed)).filter(|&passes| passes > 0)
    }

    fn with_trace(&self, act: impl FnOnce(&mut Trace)) {
        if let Some(trace) = &self.trace {
            act(&mut trace.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The reason to stop that this monitor had itself: the trace could not be written.
    pub(super) fn failure(self) -> Option<Failure> {
        let trace = self.trace?.into_inner().unwrap_or_else(PoisonError::into_inner);
        trace.failed.map(|error| StorageError::io("write", &trace.path, error).into())
    }
}

impl FitMonitor for Watch<'_> {
    fn pass(&self, row: &TraceRow) {
        if row.pass <= 10 || row.pass.is_multiple_of(10) {
            self.progress.line(&line(row));
        }
        self.with_trace(|trace| trace.add(row));
    }

    fn checkpoint(&self, event: &CheckpointEvent<'_>) {
        match event {
            CheckpointEvent::Resumed { passes, trace: rows } => {
                self.kept.store(*passes, Ordering::Relaxed);
                self.progress.note(&format!("going on from a checkpoint, {passes} reads of the data behind it"));
                self.with_trace(|trace| trace.begin(rows));
            }
            CheckpointEvent::Nothing => {
                self.progress.note("there is no whole checkpoint to go on from: starting at the beginning");
                self.with_trace(|trace| trace.begin(&[]));
            }
            CheckpointEvent::Damaged { reason } => {
                self.progress.warning(&format!("a checkpoint cannot be used, the one before it is tried: {reason}"));
            }
            CheckpointEvent::Written { passes, .. } => self.kept.store(*passes, Ordering::Relaxed),
            _ => (),
        }
    }
}

impl Monitor for Watch<'_> {
    fn start(&self, stage: &str, total: u64, unit: Unit) {
        self.progress.start(stage, total, unit);
    }

    fn advance(&self, done: u64) {
        self.progress.advance(done);
    }

    fn finish(&self) {
        self.progress.finish();
    }

    fn freed(&self) {
        self.progress.freed();
    }

    fn warn(&self, warning: &Warning) {
        self.progress.warn(warning);
    }

    fn cancelled(&self) -> bool {
        let lost = |trace: &Mutex<Trace>| trace.lock().unwrap_or_else(PoisonError::into_inner).failed.is_some();
        self.progress.cancelled() || self.trace.as_ref().is_some_and(lost)
    }
}

/// A pass as people read it.
fn line(row: &TraceRow) -> String {
    let error = relative_error(row.relative_error);
    let fate = if row.accepted { "" } else { "  (rose: undone)" };
    let change =
        if row.relative_decrease.is_nan() { String::new() } else { format!("  change {:.1e}", row.relative_decrease) };
    format!("pass {:>3}  relative error {error}{change}  {:.2} s{fate}", row.pass, row.seconds)
}

/// A pass as a line of the file; numbers have the digits that give the same bits back, what is unknown is empty.
fn record(row: &TraceRow) -> String {
    let number = |value: f64| if value.is_finite() { value.to_string() } else { String::new() };
    [
        row.pass.to_string(),
        number(row.loss),
        number(row.relative_error),
        number(row.relative_decrease),
        number(row.kkt_residual),
        row.accepted.to_string(),
        number(row.extrapolation),
        number(row.usages_change),
        number(row.spectra_change),
        number(row.usages_nonzero),
        number(row.spectra_nonzero),
        row.bytes.to_string(),
        number(row.seconds),
        number(row.waiting_seconds),
        number(row.joining_seconds),
        number(row.summing_seconds),
    ]
    .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> TraceRow {
        TraceRow {
            pass: 3,
            loss: 12.5,
            relative_error: 0.41528,
            relative_decrease: f64::NAN,
            kkt_residual: 1e-3,
            accepted: true,
            extrapolation: 0.5,
            usages_change: 0.1,
            spectra_change: 0.2,
            usages_nonzero: 0.75,
            spectra_nonzero: 0.25,
            bytes: 1024,
            seconds: 0.8,
            waiting_seconds: 0.25,
            joining_seconds: 0.0,
            summing_seconds: 0.0,
        }
    }

    #[test]
    fn a_pass_is_one_short_line() {
        assert_eq!(line(&row()), "pass   3  relative error 0.4153  0.80 s");
        let undone = TraceRow { accepted: false, relative_decrease: -1e-4, relative_error: 1e-5, ..row() };
        assert_eq!(line(&undone), "pass   3  relative error < 0.001  change -1.0e-4  0.80 s  (rose: undone)");
    }

    #[test]
    fn the_file_has_a_field_for_every_column() {
        let record = record(&row());
        assert_eq!(record, "3,12.5,0.41528,,0.001,true,0.5,0.1,0.2,0.75,0.25,1024,0.8,0.25,0,0");
        assert_eq!(record.split(',').count(), COLUMNS.split(',').count());
    }
}
