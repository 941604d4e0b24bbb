//! Processes as threads of one process: the slow, obviously correct twin of the libraries that
//! connect real ones.

use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use partwise_driver::comm::{Comm, CommError};

/// Longer than any sum in these tests takes. A longer wait has no end.
const PATIENCE: Duration = Duration::from_secs(120);

/// One process among threads. Dropping it hangs up: sums that it has not arrived at fail in all
/// others.
pub(crate) struct ThreadComm {
    rank: usize,
    line: Arc<Line>,
}

/// The state that all processes share.
struct Line {
    size: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Number of the sum that is being made.
    sum: u64,
    /// The processes that have brought their share of it.
    here: Vec<bool>,
    /// Lengths of the parts, as the first process brought them.
    lengths: Vec<usize>,
    shares: Vec<i64>,
    /// The result of the sum before. It stays until all have brought the next share, so all have
    /// read it by then.
    result: Vec<i64>,
    /// The processes that hung up, in that order.
    gone: Vec<usize>,
}

impl ThreadComm {
    /// As many ends of one line.
    pub(crate) fn line(size: usize) -> Vec<Self> {
        let state = State { here: vec![false; size], ..State::default() };
        let line = Arc::new(Line { size, state: Mutex::new(state), changed: Condvar::new() });
        (0..size).map(|rank| ThreadComm { rank, line: line.clone() }).collect()
    }
}

impl Line {
    // A process that panics has brought its share whole or not at all.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Comm for ThreadComm {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.line.size
    }

    fn all_reduce_sum(&self, parts: &mut [&mut [i64]]) -> Result<(), CommError> {
        let lost = |message: String| CommError { message };
        let mut state = self.line.lock();
        if let Some(rank) = state.gone.first() {
            return Err(lost(format!("process {rank} has hung up before sum {}", state.sum)));
        }
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        if state.here.iter().all(|here| !here) {
            state.shares = vec![0; lengths.iter().sum()];
            state.lengths = lengths.clone();
        }
        assert!(!state.here[self.rank], "process {} has two threads in one sum", self.rank);
        assert_eq!(lengths, state.lengths, "process {} makes another sum than the first one here", self.rank);
        let mine: Vec<i64> = parts.iter().flat_map(|part| part.iter()).copied().collect();
        state.shares.iter_mut().zip(&mine).for_each(|(sum, share)| {
            *sum = sum.checked_add(*share).unwrap_or_else(|| panic!("a sum of process {} overflows", self.rank));
        });
        state.here[self.rank] = true;

        let number = state.sum;
        if state.here.iter().all(|&here| here) {
            state.result = std::mem::take(&mut state.shares);
            state.here.fill(false);
            state.sum += 1;
            self.line.changed.notify_all();
        }
        let until = Instant::now() + PATIENCE;
        while state.sum == number {
            if let Some(rank) = state.gone.first() {
                return Err(lost(format!("process {rank} has hung up before sum {number}")));
            }
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                state.gone.push(self.rank);
                return Err(lost(format!("not all came to sum {number}: {:?}", state.here)));
            };
            state = self.line.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut result = state.result.as_slice();
        for part in parts {
            let (front, rest) = result.split_at(part.len());
            part.copy_from_slice(front);
            result = rest;
        }
        Ok(())
    }
}

impl Drop for ThreadComm {
    fn drop(&mut self) {
        self.line.lock().gone.push(self.rank);
        self.line.changed.notify_all();
    }
}

/// The result of `run` in each of `size` processes, by rank.
///
/// # Panics
///
/// When a process does, with the message of the first one to end: the others may only have missed
/// it.
pub(crate) fn together<T: Send>(size: usize, run: impl Fn(&ThreadComm) -> T + Sync) -> Vec<T> {
    let ends = ThreadComm::line(size);
    let line = ends.first().map(|end| end.line.clone());
    let run = &run;
    let mut ended: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = ends.into_iter().map(|end| scope.spawn(move || run(&end))).collect();
        threads.into_iter().map(|thread| Some(thread.join())).collect()
    });
    for rank in line.into_iter().flat_map(|line| std::mem::take(&mut line.lock().gone)) {
        if let Some(Err(panic)) = ended[rank].take_if(|ended| ended.is_err()) {
            resume_unwind(panic);
        }
    }
    ended.into_iter().flatten().filter_map(Result::ok).collect()
}
