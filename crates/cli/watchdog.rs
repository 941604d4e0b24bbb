//! Detects stalled work. A disk that never answers looks to the program like a slow one, so the
//! watchdog measures the time without progress.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, sleep};
use std::time::Duration;

use partwise::driver::comm::{Comm, CommError};

/// The default limit in seconds if several processes work together.
const AMONG_SEVERAL: u64 = 300;
/// The time between two looks at the counter.
const TICK: Duration = Duration::from_millis(250);

/// The progress of the work of this process, as the watchdog sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signs(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    /// Grows whenever something gets done.
    moves: AtomicU64,
    /// Whether a stage of work is under way. Between stages there is no progress to expect.
    at_work: AtomicBool,
    /// Whether this process waits for others, which may take any time.
    waiting: AtomicBool,
}

impl Signs {
    /// Marks the start of a stage.
    pub(crate) fn start(&self) {
        self.moved();
        self.0.at_work.store(true, Ordering::Relaxed);
    }

    /// Marks progress.
    pub(crate) fn moved(&self) {
        self.0.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// Marks the end of the stage.
    pub(crate) fn finish(&self) {
        self.0.at_work.store(false, Ordering::Relaxed);
    }

    /// Wraps `comm` so that time in its sums counts as waiting.
    pub(crate) fn over<'c>(&self, comm: &'c dyn Comm) -> Watched<'c> {
        Watched { comm, signs: self.clone() }
    }

    /// Calls `lost`, once, if there is no progress for `patience`. It counts looks, not time, so
    /// that a process that was suspended for a while does not count as stalled.
    ///
    /// # Errors
    ///
    /// When the system cannot start a thread.
    pub(crate) fn watch(&self, patience: Duration, lost: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let signs = Arc::clone(&self.0);
        let most = patience.as_millis().div_ceil(TICK.as_millis()).max(1);
        let watch = move || {
            let (mut last, mut still) = (0, 0);
            while still < most {
                sleep(TICK);
                let moves = signs.moves.load(Ordering::Relaxed);
                let expected = signs.at_work.load(Ordering::Relaxed) && !signs.waiting.load(Ordering::Relaxed);
                still = if expected && moves == last { still + 1 } else { 0 };
                last = moves;
            }
            lost();
        };
        Builder::new().name("still moving".into()).spawn(watch).map(drop)
    }
}

/// The limit on time without progress, from the `typed` seconds; `None`, also for 0 seconds: no
/// limit.
pub(crate) fn patience(typed: Option<u64>, alone: bool) -> Option<Duration> {
    let seconds = typed.unwrap_or(if alone { 0 } else { AMONG_SEVERAL });
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// A [`Comm`] that tells the watchdog when this process waits in a sum.
pub(crate) struct Watched<'c> {
    comm: &'c dyn Comm,
    signs: Signs,
}

impl Comm for Watched<'_> {
    fn rank(&self) -> usize {
        self.comm.rank()
    }

    fn size(&self) -> usize {
        self.comm.size()
    }

    fn all_reduce_sum(&self, parts: &mut [&mut [i64]]) -> Result<(), CommError> {
        self.signs.0.waiting.store(true, Ordering::Relaxed);
        let summed = self.comm.all_reduce_sum(parts);
        self.signs.moved();
        self.signs.0.waiting.store(false, Ordering::Relaxed);
        summed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn only_work_that_does_not_move_is_lost() {
        let signs = Signs::default();
        let (lost, heard) = mpsc::channel();
        signs.watch(Duration::from_millis(500), move || lost.send(()).unwrap()).unwrap();
        let quiet = |time: u64| heard.recv_timeout(Duration::from_millis(time)).is_err();
        assert!(quiet(1500), "between stages");
        signs.start();
        for _ in 0..20 {
            assert!(quiet(50), "at work");
            signs.moved();
        }
        signs.0.waiting.store(true, Ordering::Relaxed);
        assert!(quiet(1500), "waiting for others");
        signs.0.waiting.store(false, Ordering::Relaxed);
        assert!(heard.recv_timeout(Duration::from_secs(60)).is_ok());
    }

    #[test]
    fn a_process_alone_is_not_watched_unless_asked() {
        assert_eq!(patience(None, true), None);
        assert_eq!(patience(Some(0), false), None);
        assert_eq!(patience(None, false), Some(Duration::from_secs(300)));
        assert_eq!(patience(Some(7), true), Some(Duration::from_secs(7)));
    }
}
