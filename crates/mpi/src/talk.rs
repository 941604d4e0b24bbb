//! The thread that makes the calls: beat after beat, and a sum whenever all have come to it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::mpi::Flag;
use crate::pulse::{Beat, Place, Verdict};
use crate::raw::{self, World};

/// Pauses between looks at a pulse under way: a process at work looks seldom. One that waits begins with the shortest, and
/// pauses the longer the longer it has waited, by this part of that time.
const AT_WORK: Duration = Duration::from_millis(4);
const SHORTEST: Duration = Duration::from_micros(20);
const PART: u32 = 50;

/// What the thread is asked for.
pub(crate) enum Ask {
    /// To meet the others for a sum of so many numbers, which follow in pieces once they have come.
    Sum(usize),
    /// The next piece.
    Piece(Vec<i64>),
    /// To end MPI with the others.
    Leave,
    /// To end all processes.
    Abort(i32),
}

/// What it answers.
pub(crate) enum Answer {
    /// The others have come: pieces may be sent.
    Met,
    /// The sum of a piece.
    Piece(Vec<i64>),
    /// MPI has ended.
    Left,
    /// It did not go well, and will not any more.
    Lost(String),
}

/// What the thread works with.
pub(crate) struct Talk {
    pub(crate) world: World,
    pub(crate) size: usize,
    pub(crate) asked: Receiver<Ask>,
    pub(crate) answers: Sender<Answer>,
    /// Flags that all processes learn of.
    pub(crate) flags: Vec<Flag>,
    /// Counted up with every sign of life from all.
    pub(crate) beats: Arc<AtomicU64>,
}

/// How the thread ends.
enum End {
    /// MPI is to be finished.
    Left,
    /// Whoever asks has gone.
    Alone,
    /// What the library, or the others, said.
    Lost(String),
}

impl Talk {
    /// Talks until it is told to leave, or until something is lost.
    pub(crate) fn run(mut self) {
        let end = self.beat_on().unwrap_or_else(End::Lost);
        let answer = match end {
            End::Left => match self.world.finish() {
                Ok(()) => Answer::Left,
                Err(message) => Answer::Lost(message),
            },
            End::Lost(message) => Answer::Lost(message),
            End::Alone => return,
        };
        // Nobody is left to hear it where the main thread has gone.
        let _ = self.answers.send(answer);
    }

    fn beat_on(&mut self) -> Result<End, String> {
        let mut place = Place::Working;
        let mut since = Instant::now();
        loop {
            let said_at = place;
            let said = Beat::of(said_at, self.flags.iter().map(|flag| flag.own.load(Ordering::Relaxed)));
            self.world.begin_pulse(&said.to_sum())?;
            let heard = loop {
                if let Some(sum) = self.world.pulse_has_ended()? {
                    break Beat::from_sum(sum);
                }
                match self.asked.recv_timeout(pause(place, since)) {
                    Ok(Ask::Sum(words)) => (place, since) = (Place::Summing(words), Instant::now()),
                    Ok(Ask::Leave) => (place, since) = (Place::Leaving, Instant::now()),
                    Ok(Ask::Abort(code)) => raw::abort(code),
                    Ok(Ask::Piece(_)) => return Err("a piece of a sum that nobody has met for".into()),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return Ok(End::Alone),
                }
            };
            self.beats.fetch_add(1, Ordering::Relaxed);
            for (flag, raised) in self.flags.iter().zip(heard.raised()) {
                if raised {
                    flag.heard.store(true, Ordering::Relaxed);
                }
            }
            match heard.verdict(said_at, self.size) {
                Verdict::Wait => self.rest(&mut place, &mut since),
                Verdict::Leave => return Ok(End::Left),
                Verdict::Disagree(how) => return Err(how),
                Verdict::Sum => {
                    let Place::Summing(words) = said_at else {
                        unreachable!("a sum is only made where one is asked for")
                    };
                    if !self.sum(words)? {
                        return Ok(End::Alone);
                    }
                    place = Place::Working;
                }
            }
        }
    }

    /// A process at work leaves some time between two pulses.
    fn rest(&self, place: &mut Place, since: &mut Instant) {
        if *place != Place::Working {
            return;
        }
        match self.asked.recv_timeout(AT_WORK) {
            Ok(Ask::Sum(words)) => (*place, *since) = (Place::Summing(words), Instant::now()),
            Ok(Ask::Leave) => (*place, *since) = (Place::Leaving, Instant::now()),
            Ok(Ask::Abort(code)) => raw::abort(code),
            // The next look at the pulse tells.
            Ok(Ask::Piece(_)) | Err(_) => {}
        }
    }

    /// Adds up `words` numbers as they come in pieces; false where nobody sends them any more.
    fn sum(&mut self, words: usize) -> Result<bool, String> {
        if self.answers.send(Answer::Met).is_err() {
            return Ok(false);
        }
        let mut free: VecDeque<Vec<i64>> = VecDeque::new();
        let mut left = words;
        while left > 0 {
            let said = match self.asked.recv() {
                Ok(Ask::Piece(said)) => said,
                Ok(Ask::Abort(code)) => {
                    raw::abort(code);
                    continue;
                }
                Ok(Ask::Sum(_) | Ask::Leave) => return Err("a sum was given up half-way".into()),
                Err(_) => return Ok(false),
            };
            let mut heard = free.pop_front().unwrap_or_default();
            heard.clear();
            heard.resize(said.len(), 0);
            self.world.all_reduce_sum(&said, &mut heard)?;
            self.beats.fetch_add(1, Ordering::Relaxed);
            left = left.saturating_sub(said.len());
            // What was said is the place for the next sum.
            free.push_back(said);
            if self.answers.send(Answer::Piece(heard)).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// How long to wait before the next look.
fn pause(place: Place, since: Instant) -> Duration {
    match place {
        Place::Working => AT_WORK,
        Place::Summing(_) | Place::Leaving => (since.elapsed() / PART).clamp(SHORTEST, AT_WORK),
    }
}
