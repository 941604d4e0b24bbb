//! The thread that makes the calls: beat after beat, and a sum whenever all have come to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use partwise_driver::plan::nodes::PIECE_BYTES;

use crate::flag::Flag;
use crate::pulse::{Beat, Place, Verdict};
use crate::raw::{self, Lent, World};

/// Pauses between looks at a pulse under way: a process at work looks seldom. One that waits begins with the shortest, and
/// pauses the longer the longer it has waited, by this part of that time.
const AT_WORK: Duration = Duration::from_millis(4);
const SHORTEST: Duration = Duration::from_micros(20);
const PART: u32 = 100;
/// Numbers of one piece of a sum: what `plan --nodes` reckons with.
const PIECE: usize = PIECE_BYTES as usize / size_of::<i64>();
/// Between two pulses of a process at work, which coming to a sum cuts short.
const REST: Duration = Duration::from_millis(20);

/// What the thread is asked for.
pub(crate) enum Ask {
    /// To meet the others for the sums of these arrays, of so many numbers in all. Whoever asks leaves them alone until there is
    /// an answer, or this thread has ended.
    Sum(Lent, usize),
    /// To end MPI with the others.
    Leave,
    /// To end all processes.
    Abort(i32),
}

/// What it answers.
pub(crate) enum Answer {
    /// The arrays are added up.
    Summed,
    /// All have come to the end: MPI is being finished.
    Leaving,
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
    /// Room for the sums of a piece, once there was one.
    pub(crate) sums: Vec<i64>,
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
        // Nobody is left to hear it where the main thread has gone.
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

    /// Takes what is asked within `pause`, if anything is; false where nobody is left to ask.
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

    /// Adds up arrays that all have come with.
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

/// Where this process is, since when, and with which arrays.
struct Here {
    place: Place,
    since: Instant,
    lent: Option<Lent>,
}

impl Here {
    fn at(place: Place) -> Self {
        Here { place, since: Instant::now(), lent: None }
    }

    /// How long to wait before the next look.
    fn pause(&self) -> Duration {
        match self.place {
            Place::Working => AT_WORK,
            Place::Summing(_) | Place::Leaving => (self.since.elapsed() / PART).clamp(SHORTEST, AT_WORK),
        }
    }
}
