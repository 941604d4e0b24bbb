//! When the next checkpoint is due.

use std::time::{Duration, Instant};

/// Between two checkpoints lies at least this many times the cost of one in work, so that
/// checkpoints take less than two parts in a hundred of the time.
const WORTH: f64 = 50.0;
/// The assumed minimum cost of a checkpoint, and its assumed rate before one was written (a slow
/// disk).
const LEAST: Duration = Duration::from_millis(20);
const BYTES_PER_SECOND: f64 = 200e6;

/// Compares the work since the last checkpoint with the cost of one.
#[derive(Debug)]
pub(super) struct Clock {
    /// End of the last checkpoint, or the start of the fit.
    since: Instant,
    /// Cost of the last one, seconds a byte.
    per_byte: f64,
    /// Fits that write checkpoints in the same passes: together they spend what one may.
    fits: f64,
}

impl Clock {
    /// Starts now, for one of `fits` fits that share passes.
    pub(super) fn start(fits: usize) -> Self {
        Clock { since: Instant::now(), per_byte: 1.0 / BYTES_PER_SECOND, fits: fits as f64 }
    }

    /// Whether there has been enough work for a checkpoint of `bytes` bytes.
    pub(super) fn due(&self, bytes: u64) -> bool {
        let cost = LEAST.as_secs_f64() + self.per_byte * bytes as f64;
        due(self.since.elapsed().as_secs_f64(), self.fits * cost)
    }

    /// Starts again after a checkpoint whose cost is no measure for others.
    pub(super) fn start_anew(&mut self) {
        self.since = Instant::now();
    }

    /// A checkpoint of `bytes` bytes has been written in `cost` seconds.
    pub(super) fn wrote(&mut self, bytes: u64, cost: f64) {
        *self = Clock { since: Instant::now(), per_byte: cost / bytes.max(1) as f64, ..*self };
    }
}

fn due(work: f64, cost: f64) -> bool {
    work >= cost * WORTH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_costs_at_most_a_fiftieth_of_the_work() {
        assert!(!due(4.999, 0.1) && due(5.0, 0.1));
        let mut clock = Clock::start(1);
        assert!(!clock.due(1 << 40));
        // A second for each byte, and then none: the start of the clock is the same moment.
        clock.wrote(10, 10.0);
        assert!(!clock.due(10));
        clock.since -= Duration::from_secs(499);
        assert!(!clock.due(10));
        clock.since -= Duration::from_secs(3);
        assert!(clock.due(10));
        // Of two fits each waits twice as long.
        clock.fits = 2.0;
        assert!(!clock.due(10));
        clock.since -= Duration::from_secs(502);
        assert!(clock.due(10));
    }
}
