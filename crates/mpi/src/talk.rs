//! The MPI thread: it makes beat after beat, and a sum whenever all processes have arrived at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use partwise_driver::nodes::PIECE_BYTES;

use crate::flag::Flag;
use crate::pulse::{Beat, Place, Verdict};
use crate::raw::{self, Lent, World};

/// Pauses between two looks at a pulse under way. A process that works looks rarely. A process that
/// waits starts with the shortest pause; later each pause is this fraction (1/`PART`) of the time
/// that it has waited.
const AT_WORK: Duration = Duration::from_millis(4);
const SHORTEST: Duration = Duration::from_micros(20);
const PART: u32 = 100;
/// The numbers of one piece of a sum, as the forecast for many nodes assumes.
const PIECE: usize = PIECE_BYTES as usize / size_of::<i64>();
/// The pause between two pulses of a process that works. It ends early when the process arrives at
/// a sum.
const REST: Duration = Duration::from_millis(20);

/// A request to the thread.
pub(crate) enum Ask {
    /// Add up these arrays, of this many numbers in all, with the other processes. The caller does
    /// not touch them until there is an answer, or this thread has ended.
    Sum(Lent, usize),
    /// End MPI together with the other processes.
    Leave,
    /// End all processes.
    Abort(i32),
}

/// An answer of the thread.
pub(crate) enum Answer {
    /// The arrays hold the sums.
    Summed,
    /// All processes have reached the end, and MPI is about to end.
    Leaving,
    /// MPI has ended.
    Left,
    /// MPI failed, or the processes disagree; no further request can succeed.
    Lost(String),
}

/// The state of the thread.
pub(crate) struct Talk {
    pub(crate) world: World,
    pub(crate) size: usize,
    pub(crate) asked: Receiver<Ask>,
    pub(crate) answers: Sender<Answer>,
    /// Flags that all processes share.
    pub(crate) flags: Vec<Flag>,
    /// A buffer for the sums of a piece; empty before the first.
    pub(crate) sums: Vec<i64>,
    /// Grows whenever all processes have answered.
    pub(crate) beats: Arc<AtomicU64>,
}

/// How the thread ends.
enum End {
    /// All processes have reached the end, so MPI can end.
    Left,
    /// The other threads have dropped the channels.
    Alone,
    /// MPI failed, or the processes disagree, with this message.
    Lost(String),
}

impl Talk {
    /// Runs until a request ends it, or until something is lost.
    pub(crate) fn run(mut self) {
        let end = self.beat_on().unwrap_or_else(End::Lost);
        let answer = match end {
            End::Left => {
                let _ = self.answers.send(Answer::Leaving);
                match self.world.finish() {
                    Ok(()) => Answer::Left,
                    Err(message) => Answer::Lost(message),
                }
            }
            End::Lost(message) => Answer::Lost(message),
            End::Alone => return,
        };
        // The send fails if the main thread has ended, and then nobody needs the answer.
        let _ = self.answers.send(answer);
    }

    fn beat_on(&mut self) -> Result<End, String> {
        let mut here = Here::at(Place::Working);
        loop {
            let said_at = here.place;
            let said = Beat::of(said_at, self.flags.iter().map(|flag| flag.own.load(Ordering::Relaxed)));
            self.world.begin_pulse(&said.to_sum())?;
            let heard = loop {
                if let Some(sum) = self.world.pulse_has_ended()? {
                    break Beat::from_sum(sum);
                }
                let pause = here.pause();
                if !self.listen(&mut here, pause) {
                    return Ok(End::Alone);
                }
            };
            self.beats.fetch_add(1, Ordering::Relaxed);
            for (flag, raised) in self.flags.iter().zip(heard.raised()) {
                if raised {
                    flag.heard.store(true, Ordering::Relaxed);
                }
            }
            match heard.verdict(said_at, self.size) {
                Verdict::Wait if here.place != Place::Working => (),
                Verdict::Wait if self.listen(&mut here, REST) => (),
                Verdict::Wait => return Ok(End::Alone),
                Verdict::Leave => return Ok(End::Left),
                Verdict::Disagree(how) => return Err(how),
                Verdict::Sum => {
                    if let Some(lent) = here.lent.take() {
                        self.sum(lent)?;
                    }
                    here = Here::at(Place::Working);
                    if self.answers.send(Answer::Summed).is_err() {
                        return Ok(End::Alone);
                    }
                }
            }
        }
    }

    /// Takes a request if one arrives within `pause`. Returns false if no thread is left to send
    /// any.
    fn listen(&self, here: &mut Here, pause: Duration) -> bool {
        match self.asked.recv_timeout(pause) {
            Ok(Ask::Sum(lent, words)) => *here = Here { lent: Some(lent), ..Here::at(Place::Summing(words)) },
            Ok(Ask::Leave) => *here = Here::at(Place::Leaving),
            Ok(Ask::Abort(code)) => raw::abort(code),
            Err(RecvTimeoutError::Timeout) => (),
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        true
    }

    /// Adds up arrays for which all processes have arrived.
    fn sum(&mut self, mut lent: Lent) -> Result<(), String> {
        for piece in lent.pieces(PIECE) {
            self.sums.resize(PIECE, 0);
            let sums = &mut self.sums[..piece.len()];
            self.world.all_reduce_sum(piece, sums)?;
            piece.copy_from_slice(sums);
            self.beats.fetch_add(1, Ordering::Relaxed);
            if let Ok(Ask::Abort(code)) = self.asked.try_recv() {
                raw::abort(code);
            }
        }
        Ok(())
    }
}

/// The state of this process, since when, and its arrays.
struct Here {
    place: Place,
    since: Instant,
    lent: Option<Lent>,
}

impl Here {
    fn at(place: Place) -> Self {
        Here { place, since: Instant::now(), lent: None }
    }

    /// The pause before the next look.
    fn pause(&self) -> Duration {
        match self.place {
            Place::Working => AT_WORK,
            Place::Summing(_) | Place::Leaving => (self.since.elapsed() / PART).clamp(SHORTEST, AT_WORK),
        }
    }
}
