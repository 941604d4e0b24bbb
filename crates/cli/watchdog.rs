//! Detects stalled work. A disk that never answers looks to the program like a slow one, so the
//! watchdog measures the time without any sign of progress, from the start of the work to its end:
//!
//! | sign                                       | reported by                    |
//! |--------------------------------------------|--------------------------------|
//! | a piece of a file has been read or written | [`partwise::storage::traffic`] |
//! | a stage has begun, advanced or ended       | the monitor                    |
//! | the process computes                       | the system                     |
//!
//! A process whose disk does not answer gives none of them, whatever it was about to do: open,
//! read, map, write, flush or rename a file. So no step of the work needs code of its own for this.
//! A process that waits for others may wait for ever: the others have watchdogs of their own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, sleep};
use std::time::Duration;

use clap::Args;
use partwise::machine;
use partwise::storage::traffic;

/// The option of the verbs that several processes can run together.
#[derive(Args, Debug, Clone, Copy, Default)]
pub(crate) struct Patience {
    /// End the run, with exit code 76, when nothing has moved for so long: a process is lost, or a disk
    /// does not answer; 0: never [default: 300 for several processes, 0 for one alone]
    #[arg(long, value_name = "SECONDS", help_heading = "Stopping and resuming")]
    watchdog: Option<u64>,
}

impl Patience {
    /// The limit on time without progress; `None`: there is none.
    pub(crate) fn limit(self, is_alone: bool) -> Option<Duration> {
        patience(self.watchdog, is_alone)
    }
}

/// The default limit in seconds if several processes work together.
const AMONG_SEVERAL: u64 = 300;
/// The time between two looks.
const TICK: Duration = Duration::from_millis(250);
/// The part of one core that a process uses at least when it computes. Threads that keep watch, and
/// that of MPI, use a few hundredths.
const COMPUTING: f64 = 0.1;

/// The progress of the work of this process, as the watchdog sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signs(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    /// Grows whenever the monitor hears of progress.
    moves: AtomicU64,
    /// Whether this process waits for others, which may take any time.
    waiting: AtomicBool,
}

/// What the process has done so far, apart from [`Signs`].
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    /// Pieces of files that it has read or written.
    pieces: u64,
    /// The processor time that it has used, in seconds.
    computed: f64,
}

impl Done {
    fn by_this_process() -> Self {
        Done { pieces: traffic::pieces(), computed: machine::cpu_seconds() }
    }

    /// Whether the process did more than keep watch in the tick since `before`.
    fn is_beyond(&self, before: &Done) -> bool {
        self.pieces != before.pieces || self.computed - before.computed > COMPUTING * TICK.as_secs_f64()
    }
}

/// Ends the watch when it is dropped.
#[derive(Debug)]
pub(crate) struct Watching(Arc<AtomicBool>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Signs {
    /// Marks progress.
    pub(crate) fn moved(&self) {
        self.0.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls `meet`, in which this process waits for others.
    pub(crate) fn wait<T>(&self, meet: impl FnOnce() -> T) -> T {
        self.0.waiting.store(true, Ordering::Relaxed);
        let met = meet();
        self.moved();
        self.0.waiting.store(false, Ordering::Relaxed);
        met
    }

    /// Calls `lost`, once, if there is no progress for `patience` while the returned value lives. It
    /// counts looks, not time, so that a process that was suspended for a while does not count as
    /// stalled.
    ///
    /// # Errors
    ///
    /// When the system cannot start a thread.
    pub(crate) fn watch(&self, patience: Duration, lost: impl FnOnce() + Send + 'static) -> io::Result<Watching> {
        self.watch_with(patience, Done::by_this_process, lost)
    }

    fn watch_with(
        &self,
        patience: Duration,
        done: impl Fn() -> Done + Send + 'static,
        lost: impl FnOnce() + Send + 'static,
    ) -> io::Result<Watching> {
        let signs = Arc::clone(&self.0);
        let most = patience.as_millis().div_ceil(TICK.as_millis()).max(1);
        let over = Arc::new(AtomicBool::new(false));
        let watching = Watching(Arc::clone(&over));
        let watch = move || {
            let look = || (signs.moves.load(Ordering::Relaxed), done());
            let (mut last, mut still) = (look(), 0);
            while still < most {
                sleep(TICK);
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let now = look();
                let moved = now.0 != last.0 || now.1.is_beyond(&last.1);
                still = if moved || signs.waiting.load(Ordering::Relaxed) { 0 } else { still + 1 };
                last = now;
            }
            lost();
        };
        Builder::new().name("still moving".into()).spawn(watch)?;
        Ok(watching)
    }
}

/// The limit on time without progress, from the `typed` seconds; `None`, also for 0 seconds: no
/// limit.
fn patience(typed: Option<u64>, alone: bool) -> Option<Duration> {
    let seconds = typed.unwrap_or(if alone { 0 } else { AMONG_SEVERAL });
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn only_work_that_gives_no_sign_is_lost() {
        let signs = Signs::default();
        let (lost, heard) = mpsc::channel();
        let (pieces, milliseconds) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (read, computed) = (Arc::clone(&pieces), Arc::clone(&milliseconds));
        let done = move || Done {
            pieces: read.load(Ordering::Relaxed),
            computed: 1e-3 * computed.load(Ordering::Relaxed) as f64,
        };
        let patience = Duration::from_millis(500);
        let watching = signs.watch_with(patience, done, move || lost.send(()).unwrap()).unwrap();
        let quiet = |time: u64| heard.recv_timeout(Duration::from_millis(time)).is_err();
        let gives = |sign: &dyn Fn()| {
            (0..20).all(|_| {
                sign();
                quiet(50)
            })
        };
        let grows = |number: &AtomicU64, by| {
            let _ = number.fetch_add(by, Ordering::Relaxed);
        };
        assert!(gives(&|| signs.moved()), "the monitor hears of progress");
        assert!(gives(&|| grows(&pieces, 1)), "it reads");
        assert!(gives(&|| grows(&milliseconds, 1000)), "it computes");
        assert!(signs.wait(|| quiet(1500)), "it waits for others");
        // The cost of the watch itself is no sign.
        assert!(!(0..400).all(|_| {
            grows(&milliseconds, 1);
            quiet(50)
        }));
        drop(watching);
    }

    #[test]
    fn nothing_is_lost_once_the_work_has_ended() {
        let (lost, heard) = mpsc::channel();
        let ended = move || lost.send(()).unwrap();
        drop(Signs::default().watch_with(Duration::from_millis(500), Done::default, ended).unwrap());
        assert!(heard.recv_timeout(Duration::from_millis(1500)).is_err());
    }

    #[test]
    fn a_process_alone_is_not_watched_unless_asked() {
        assert_eq!(patience(None, true), None);
        assert_eq!(patience(Some(0), false), None);
        assert_eq!(patience(None, false), Some(Duration::from_secs(300)));
        assert_eq!(patience(Some(7), true), Some(Duration::from_secs(7)));
    }
}
