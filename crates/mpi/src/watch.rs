//! The watchdog: notices if some process no longer answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, sleep};
use std::time::Duration;

/// The time between two looks at the number of beats.
const TICK: Duration = Duration::from_millis(250);

/// Starts a thread that calls `lost`, once, if `beats` does not grow for `patience`. Ends when
/// `over` is set.
///
/// It counts its own ticks, not time, so that a process that was suspended for a while does not
/// count as silent.
///
/// # Errors
///
/// When the system cannot start a thread.
pub(crate) fn watch(
    beats: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    patience: Duration,
    lost: impl FnOnce() + Send + 'static,
) -> std::io::Result<()> {
    let ticks = patience.as_millis().div_ceil(TICK.as_millis()).max(1);
    let watch = move || {
        let (mut last, mut silent) = (beats.load(Ordering::Relaxed), 0);
        while !over.load(Ordering::Relaxed) {
            sleep(TICK);
            let now = beats.load(Ordering::Relaxed);
            silent = if now == last { silent + 1 } else { 0 };
            last = now;
            if silent >= ticks {
                return lost();
            }
        }
    };
    Builder::new().name("watchdog".into()).spawn(watch).map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn silence_is_noticed_and_beats_are_not() {
        let (beats, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (lost, heard) = mpsc::channel();
        let began = Instant::now();
        watch(Arc::clone(&beats), Arc::clone(&over), Duration::from_secs(1), move || lost.send(()).unwrap()).unwrap();
        while began.elapsed() < Duration::from_secs(2) {
            beats.fetch_add(1, Ordering::Relaxed);
            assert!(heard.try_recv().is_err());
            sleep(Duration::from_millis(50));
        }
        heard.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(2700));
    }
}
