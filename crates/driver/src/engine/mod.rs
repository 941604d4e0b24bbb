//! The streaming engine: one pass over row blocks, with reading ahead, threads, progress and
//! interruption.
//!
//! A pass runs on **workers**. A worker is one compute thread and, if the data are not in memory,
//! one reader thread ahead of it. The reader takes the next block from the common queue and reads
//! it in segments of consecutive tiles into a ring of [`SEGMENTS`] buffers. The compute thread
//! decodes and folds them. So the queue balances blocks over workers, memory in flight is workers ×
//! segments for blocks of any height, and a worker reads its next block while it still computes on
//! the last. The worker that takes a block never shows in the result, because shares are added
//! exactly.
//!
//! If several processes work on one matrix, each folds its own [shard](crate::shard) of the blocks.
//! At the end of a pass one sum tells every process whether one of them was interrupted, and
//! another sum adds up the folds. A process that fails sends nothing to the others: the launcher
//! that started it ends them.
//!
//! Two ideas for stores that are not in the page cache were tried and given up (1 GB dense, disk of
//! 2 to 3 GB/s, two workers, on a machine with other work; worth another trial on a quiet one):
//!
//! - Readers that ask for the coming blocks by `POSIX_FADV_WILLNEED`: cold passes take a third
//!   longer, warm ones a fifth. The call waits if the disk's queue is full, and leaves small pages.
//! - One thread that reads ahead of the workers of a mapped store: cold passes take the same time,
//!   and the first warm pass is longer by the time of the reading.

mod fold;
mod worker;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use partwise_storage::{Monitor, Unit};
use tracing::info_span;

pub use fold::{Fold, TilePlace, Worker};

use crate::blocks::Blocks;
use crate::comm::{Comm, Solo};
use crate::error::DriverError;
use crate::shard::shards;

/// Segments in a worker's ring: one being computed on, one ready, one being read.
pub const SEGMENTS: usize = 3;

/// In which order a pass visits the blocks. When directions alternate, a pass starts with the
/// blocks that the page cache still holds from the end of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first block to the last.
    Forward,
    /// From the last block to the first.
    Backward,
}

impl Direction {
    /// The other way.
    pub fn reversed(self) -> Self {
        match self {
            Direction::Forward => Direction::Backward,
            Direction::Backward => Direction::Forward,
        }
    }
}

/// The time of a pass beside computing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Time that compute threads have waited for their readers, summed over workers and processes;
    /// zero if data are in memory.
    pub waiting: Duration,
    /// Time that this process has waited for slower ones after its own blocks.
    pub joining: Duration,
    /// Time that the sum over the processes then took.
    pub summing: Duration,
}

/// Runs passes; holds what all passes share.
#[derive(Clone, Copy)]
pub struct Engine<'m> {
    segment_bytes: usize,
    monitor: &'m dyn Monitor,
    comm: &'m dyn Comm,
}

impl std::fmt::Debug for Engine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("segment_bytes", &self.segment_bytes).finish_non_exhaustive()
    }
}

impl<'m> Engine<'m> {
    /// An engine that works alone, reads segments of about `segment_bytes` (at least a tile), and
    /// reports to `monitor`.
    pub fn new(segment_bytes: usize, monitor: &'m dyn Monitor) -> Self {
        Engine { segment_bytes, monitor, comm: &Solo }
    }

    /// The same engine for the part that this process has among `comm`.
    pub fn among(self, comm: &'m dyn Comm) -> Self {
        Engine { comm, ..self }
    }

    /// The blocks of `data` that this process has.
    pub fn shard(&self, data: &dyn Blocks) -> Range<usize> {
        shards(data, self.comm.size()).swap_remove(self.comm.rank())
    }

    /// Reports to the monitor that a pass over this process's part of `data` begins.
    pub fn announce(&self, stage: &str, data: &dyn Blocks) {
        let rows: usize = self.shard(data).map(|block| data.block(block).rows).sum();
        self.monitor.start(stage, rows as u64, Unit::Rows);
    }

    /// The monitor, which shows progress and asks for interruption.
    pub fn monitor(&self) -> &'m dyn Monitor {
        self.monitor
    }

    /// The processes that share its passes.
    pub fn comm(&self) -> &'m dyn Comm {
        self.comm
    }

    /// An engine with the same settings that reports to `monitor`.
    pub fn reporting_to<'n>(&self, monitor: &'n dyn Monitor) -> Engine<'n>
    where
        'm: 'n,
    {
        Engine { monitor, ..*self }
    }

    /// One pass: every block of this process's shard of `data` goes through `fold` once, on the
    /// given `workers`. Then the fold holds the sums of all processes.
    ///
    /// # Errors
    ///
    /// - The first error of any worker: a damaged or unreadable tile, a full scratch disk.
    /// - [`DriverError::Cancelled`], in all processes, if one was interrupted.
    /// - [`DriverError::Comm`]: a process is lost.
    ///
    /// After an error some blocks have been folded and some have not, so the caller drops the sums.
    pub fn pass<F: Fold>(
        &self,
        data: &dyn Blocks,
        fold: &F,
        workers: &mut [Worker<F::Local>],
        direction: Direction,
    ) -> Result<Spent, DriverError> {
        let _span = info_span!("blocks", workers = workers.len()).entered();
        let pass = Pass {
            data,
            fold,
            direction,
            blocks: self.shard(data),
            segment_bytes: self.segment_bytes,
            monitor: self.monitor,
            next: AtomicUsize::new(0),
            waited_ns: AtomicU64::new(0),
            halted: AtomicBool::new(false),
            error: Mutex::new(None),
        };
        match workers {
            [worker] if data.resident() => worker::resident(&pass, worker),
            workers => std::thread::scope(|scope| {
                for worker in workers {
                    let started = if data.resident() {
                        worker::spawn(scope, "worker", || worker::resident(&pass, worker))
                    } else {
                        worker::streaming(&pass, worker, scope)
                    };
                    if let Err(error) = started {
                        pass.halt(error);
                    }
                }
            }),
        }
        let waited = pass.waited_ns.into_inner();
        let cancelled = match pass.error.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            None => false,
            Some(DriverError::Cancelled) => true,
            Some(error) => return Err(error),
        };
        self.join(fold, cancelled, waited)
    }

    /// The end of a pass: all processes learn whether one was interrupted, and if none was, add up.
    fn join<F: Fold>(&self, fold: &F, cancelled: bool, waited_ns: u64) -> Result<Spent, DriverError> {
        let began = Instant::now();
        let mut said = [i64::from(cancelled), waited_ns as i64];
        self.comm.all_reduce_sum(&mut [&mut said])?;
        let [cancelled, waited_ns] = said;
        if cancelled > 0 {
            return Err(DriverError::Cancelled);
        }
        let joining = began.elapsed();
        if self.comm.size() > 1 {
            fold.merge(self.comm)?;
        }
        Ok(Spent { waiting: Duration::from_nanos(waited_ns as u64), joining, summing: began.elapsed() - joining })
    }
}

/// The state that the workers of one pass share.
struct Pass<'p, F> {
    data: &'p dyn Blocks,
    fold: &'p F,
    direction: Direction,
    blocks: Range<usize>,
    segment_bytes: usize,
    monitor: &'p dyn Monitor,
    next: AtomicUsize,
    waited_ns: AtomicU64,
    halted: AtomicBool,
    error: Mutex<Option<DriverError>>,
}

impl<F> Pass<'_, F> {
    /// The next block that no worker has taken; `None` at the end, or if the pass has failed or was
    /// interrupted.
    fn next_block(&self) -> Option<usize> {
        if self.stopping() {
            return None;
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        (turn < self.blocks.len()).then(|| match self.direction {
            Direction::Forward => self.blocks.start + turn,
            Direction::Backward => self.blocks.end - 1 - turn,
        })
    }

    /// Whether the workers should stop; notices an interruption.
    fn stopping(&self) -> bool {
        if !self.halted.load(Ordering::Relaxed) && self.monitor.cancelled() {
            self.halt(DriverError::Cancelled);
        }
        self.halted.load(Ordering::Relaxed)
    }

    /// Adds time that a compute thread has waited for its reader.
    fn waited(&self, time: Duration) {
        self.waited_ns.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    /// A guard that a worker's thread holds: if the thread panics, the others stop at their next
    /// segment.
    fn halt_on_panic(&self) -> impl Drop {
        struct Guard<'g>(&'g AtomicBool);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.store(true, Ordering::Relaxed);
                }
            }
        }
        Guard(&self.halted)
    }

    /// Ends the pass; the first error is the one reported.
    fn halt(&self, error: DriverError) {
        self.error.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(error);
        self.halted.store(true, Ordering::Relaxed);
    }
}
