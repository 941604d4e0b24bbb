//! Progress as lines, if stderr is a file or a pipe: the first after two seconds of a stage, then
//! one every ten seconds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use partwise::storage::Unit;

use super::rate;
use crate::failure::say;
use crate::wording::duration;

/// A shorter stage prints nothing.
const PATIENCE: Duration = Duration::from_secs(2);
/// The time between two lines of a stage.
const INTERVAL: Duration = Duration::from_secs(10);

/// The current stage, if there is one.
#[derive(Default)]
pub(super) struct Lines {
    stage: Mutex<Option<Stage>>,
}

struct Stage {
    name: String,
    total: u64,
    unit: Unit,
    done: u64,
    began: Instant,
    /// The time since the start of the stage at which the next line is due.
    due: Duration,
}

impl Lines {
    pub(super) fn start(&self, stage: &str, total: u64, unit: Unit) {
        let stage = Stage { name: stage.into(), total, unit, done: 0, began: Instant::now(), due: PATIENCE };
        *self.stage() = Some(stage);
    }

    pub(super) fn advance(&self, done: u64) {
        if let Some(stage) = &mut *self.stage() {
            stage.done += done;
            let elapsed = stage.began.elapsed();
            if elapsed >= stage.due {
                stage.due = elapsed + INTERVAL;
                say(&stage.line(elapsed));
            }
        }
    }

    pub(super) fn finish(&self) {
        if let Some(stage) = self.stage().take() {
            let elapsed = stage.began.elapsed();
            if elapsed >= PATIENCE {
                say(&format!("{}: done in {} ({})", stage.name, duration(elapsed), stage.rate(elapsed)));
            }
        }
    }

    fn stage(&self) -> MutexGuard<'_, Option<Stage>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage {
    fn line(&self, elapsed: Duration) -> String {
        let rate = self.rate(elapsed);
        if self.total == 0 || self.done == 0 {
            return format!("{}: {} so far ({rate})", self.name, duration(elapsed));
        }
        let part = (self.done as f64 / self.total as f64).min(1.0);
        let left = elapsed.mul_f64(1.0 / part - 1.0);
        format!("{}: {:.0} % ({rate}, {} left)", self.name, 100.0 * part, duration(left))
    }

    fn rate(&self, elapsed: Duration) -> String {
        rate(self.done, self.unit, elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_percentage_rate_and_time_left() {
        let stage = Stage {
            name: "convert".into(),
            total: 4_000_000,
            unit: Unit::Rows,
            done: 1_000_000,
            began: Instant::now(),
            due: PATIENCE,
        };
        assert_eq!(stage.line(Duration::from_secs(10)), "convert: 25 % (100,000 cells/s, 30 s left)");
        let unknown = Stage { total: 0, unit: Unit::Bytes, done: 300 << 20, ..stage };
        assert_eq!(unknown.line(Duration::from_secs(3)), "convert: 3.00 s so far (100 MiB/s)");
    }
}
