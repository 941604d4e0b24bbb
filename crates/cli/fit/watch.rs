//! The program around a job: shows its passes, writes the trace, and stands between the processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use partwise::driver::CheckpointEvent;
use partwise::driver::comm::Comm;
use partwise::job::{Host, Note};
use partwise::storage::{Monitor, Store, Unit, Warning};
use partwise::{FitId, FitMonitor, Plan, TraceRow};

use super::timeline::Timeline;
use super::trace::Trace;
use crate::failure::Failure;
use crate::keep::{Known, tell_waiting};
use crate::launch::World;
use crate::progress::Progress;
use crate::wording::relative_error;
use crate::{mapping, notes};

/// The host of a job.
pub(super) struct Watch<'a> {
    progress: &'a Progress,
    world: &'a World,
    /// Where the trace goes, in the process that writes it.
    path: Option<&'a Path>,
    timeline: Option<&'a Timeline>,
    is_set: bool,
    /// Whether the trace of an earlier run goes on, and whether fits say from which pass.
    resume: bool,
    has_checkpoints: bool,
    /// Results written.
    written: AtomicUsize,
    trace: Mutex<Option<Trace>>,
    kept: Known,
    /// The pass of several fits that is being told.
    shared: Mutex<Shared>,
    /// The store, once it is there; whether fits have begun.
    store: Mutex<Option<PathBuf>>,
    begun: AtomicBool,
}

/// Errors of the fits that share a pass.
#[derive(Default)]
struct Shared {
    pass: usize,
    fits: usize,
    least: Option<(f64, FitId)>,
    most: Option<(f64, FitId)>,
}

impl<'a> Watch<'a> {
    /// Will write passes to the file at `path` and open the timeline, if there are such files.
    pub(super) fn new(
        progress: &'a Progress,
        world: &'a World,
        (path, timeline): (Option<&'a Path>, Option<&'a Timeline>),
        is_set: bool,
        (resume, has_checkpoints): (bool, bool),
    ) -> Self {
        let (trace, kept, shared, store) = (Mutex::default(), Known::default(), Mutex::default(), Mutex::default());
        let (begun, written) = (AtomicBool::new(false), AtomicUsize::new(0));
        Watch {
            progress,
            world,
            path,
            timeline,
            is_set,
            resume,
            has_checkpoints,
            written,
            trace,
            kept,
            shared,
            store,
            begun,
        }
    }

    /// The fits that have a checkpoint, and the reads of the data before it.
    pub(super) fn kept(&self) -> BTreeMap<FitId, usize> {
        self.kept.passes()
    }

    /// Results written so far.
    pub(super) fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// The store of the fits, if they have begun.
    pub(super) fn store(&self) -> Option<PathBuf> {
        if self.begun.load(Ordering::Relaxed) { lock(&self.store).clone() } else { None }
    }

    /// Why the trace could not be written, if it could not.
    pub(super) fn failure(&self) -> Option<Failure> {
        lock(&self.trace).as_mut().and_then(Trace::failure)
    }

    /// Prints the line of the last pass of several fits.
    pub(super) fn tell_shared(&self) {
        let shared = std::mem::take(&mut *lock(&self.shared));
        if let (Some(least), Some(most)) = (shared.least, shared.most) {
            let of = |(error, fit): (f64, FitId)| format!("{} ({fit})", relative_error(error));
            let errors = match shared.fits {
                1 => of(least),
                fits => format!("{} to {}, {fits} fits", of(least), of(most)),
            };
            self.progress.line(&format!("pass {:>3}  relative error {errors}", shared.pass));
        }
    }

    fn with_trace(&self, act: impl FnOnce(&mut Trace)) {
        if let Some(trace) = lock(&self.trace).as_mut() {
            act(trace);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a pass is worth a line: the first ones, and then every tenth.
fn is_told(pass: usize) -> bool {
    pass <= 10 || pass.is_multiple_of(10)
}

impl Shared {
    fn add(&mut self, fit: FitId, row: &TraceRow) {
        let error = (row.relative_error, fit);
        self.pass = row.pass;
        self.fits += 1;
        if self.least.is_none_or(|least| error.0 < least.0) {
            self.least = Some(error);
        }
        if self.most.is_none_or(|most| error.0 > most.0) {
            self.most = Some(error);
        }
    }
}

impl Host for Watch<'_> {
    type Error = Failure;

    fn comm(&self) -> &dyn Comm {
        self.world.comm()
    }

    fn agree<T>(&self, mine: Result<T, Failure>) -> Result<T, Failure> {
        self.world.agree(mine)
    }

    fn note(&self, note: &Note<'_>) {
        if let Note::Written { .. } = note {
            self.written.fetch_add(1, Ordering::Relaxed);
        }
        notes::told(note).into_iter().for_each(|told| self.progress.note(&told));
    }

    fn check_data(&self, store: &Store) -> Result<(), Failure> {
        *lock(&self.store) = Some(store.path().to_path_buf());
        self.world.check_store(store)
    }

    fn may_map(&self) -> bool {
        true
    }

    fn map(&self, store: &mut Store) -> Result<(), Failure> {
        mapping::map(store)
    }

    fn begin(&self, plan: &Plan) -> Result<(), Failure> {
        if let Some(path) = self.path {
            let mut trace = Trace::open(path, self.is_set, self.resume)?;
            // With checkpoints the fits themselves say where they begin.
            if self.resume && !self.has_checkpoints {
                plan.models.iter().for_each(|model| trace.begin(model.id(), &[]));
            }
            *lock(&self.trace) = Some(trace);
        }
        self.timeline.map_or(Ok(()), Timeline::open)?;
        self.begun.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl FitMonitor for Watch<'_> {
    fn pass(&self, fit: FitId, row: &TraceRow) {
        self.with_trace(|trace| trace.add(fit, row));
        if !is_told(row.pass) {
            return;
        }
        match self.is_set {
            true => lock(&self.shared).add(fit, row),
            false => self.progress.line(&line(row)),
        }
    }

    fn checkpoint(&self, fit: FitId, event: &CheckpointEvent<'_>) {
        let of_fit = if self.is_set { format!("{fit}: ") } else { String::new() };
        self.kept.hear((fit, &of_fit), event, self.progress);
        match event {
            CheckpointEvent::Resumed { trace: rows, .. } => self.with_trace(|trace| trace.begin(fit, rows)),
            CheckpointEvent::Nothing => self.with_trace(|trace| trace.begin(fit, &[])),
            _ => (),
        }
    }

    fn wave(&self, wave: usize, waves: usize) {
        self.progress.note(&format!("wave {wave} of {waves}"));
    }

    fn waiting(&self, host: &str, pid: u32) {
        tell_waiting(host, pid, self.progress);
    }
}

impl Monitor for Watch<'_> {
    fn start(&self, stage: &str, total: u64, unit: Unit) {
        self.tell_shared();
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
        self.progress.cancelled() || lock(&self.trace).as_ref().is_some_and(Trace::has_failed)
    }
}

/// A pass of one fit, for people.
fn line(row: &TraceRow) -> String {
    let error = relative_error(row.relative_error);
    let fate = if row.accepted { "" } else { "  (rose: undone)" };
    let change =
        if row.relative_decrease.is_nan() { String::new() } else { format!("  change {:.1e}", row.relative_decrease) };
    format!("pass {:>3}  relative error {error}{change}  {:.2} s{fate}", row.pass, row.seconds)
}

#[cfg(test)]
mod tests {
    use super::super::trace::tests::row;
    use super::*;

    #[test]
    fn a_pass_is_one_short_line() {
        assert_eq!(line(&row()), "pass   3  relative error 0.4153  0.80 s");
        let undone = TraceRow { accepted: false, relative_decrease: -1e-4, relative_error: 1e-5, ..row() };
        assert_eq!(line(&undone), "pass   3  relative error < 0.001  change -1.0e-4  0.80 s  (rose: undone)");
    }
}
