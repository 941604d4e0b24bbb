//! The functions that the rest of the program calls.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use partwise_driver::comm::{Comm, CommError};

use crate::flag::Flag;
use crate::raw::{self, Lent, World};
use crate::talk::{Answer, Ask, Talk};
use crate::watch::watch;

/// The time for the MPI thread to abort all processes, after which another thread tries; and the
/// time for that one.
const ABORTING: Duration = Duration::from_secs(1);
/// The stack of the MPI thread. MPI libraries are made for the main threads of programs, which have
/// this much; only what is touched takes memory.
const STACK: usize = 8 << 20;
/// The time that MPI may take to end after all processes have reached the end.
const LEAVING: Duration = Duration::from_secs(2);

/// The settings of [`Mpi::start`].
#[derive(Default)]
pub struct Setup {
    /// Flags that all processes share; the same number in each process.
    pub flags: Vec<Flag>,
    /// A time limit, and a function that a thread of its own calls if some process does not answer
    /// for that long. The limit holds from the start of MPI on.
    pub watchdog: Option<(Duration, Box<dyn FnOnce() + Send>)>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let watchdog = self.watchdog.as_ref().map(|(patience, _)| patience);
        f.debug_struct("Setup").field("flags", &self.flags).field("watchdog", &watchdog).finish()
    }
}

/// MPI did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError {
    /// The message of the library or the system.
    pub message: String,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MPI does not start: {}", self.message)
    }
}

impl std::error::Error for StartError {}

/// The processes that a launcher has started, as this one sees them.
///
/// The program must end with [`finish`](Mpi::finish) in all processes, or with
/// [`abort`](Mpi::abort) in one of them. If a process ends in another way, the others wait for it.
#[derive(Debug)]
pub struct Mpi {
    rank: usize,
    size: usize,
    node: String,
    node_size: usize,
    line: Mutex<Line>,
    /// Used by an abort while another thread waits for a sum.
    ask: Sender<Ask>,
    over: Arc<AtomicBool>,
    /// Whether MPI has ended, so that it must not be called any more.
    finished: AtomicBool,
}

/// The channels to the MPI thread, for one caller at a time.
#[derive(Debug)]
struct Line {
    ask: Sender<Ask>,
    answers: Receiver<Answer>,
}

/// The place of this process, which the MPI thread finds out at the start.
struct Here {
    rank: usize,
    size: usize,
    node: String,
    node_size: usize,
}

impl Mpi {
    /// Starts MPI and the MPI thread. To be called once in a process.
    ///
    /// # Errors
    ///
    /// - MPI does not start, or does not support a program with threads
    /// - the system cannot start a thread
    pub fn start(setup: Setup) -> Result<Mpi, StartError> {
        let failed = |message: String| StartError { message };
        let (ask, asked) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let (started, start) = mpsc::channel();
        let (beats, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let counted = Arc::clone(&beats);
        let talk = move || match World::start().and_then(|world| Ok((here(&world)?, world))) {
            Err(message) => drop(started.send(Err(message))),
            Ok((here, world)) => {
                let size = here.size;
                if started.send(Ok(here)).is_ok() {
                    Talk { world, size, asked, answers: answer, flags: setup.flags, sums: Vec::new(), beats: counted }
                        .run();
                }
            }
        };
        let thread = thread::Builder::new().name("mpi".into()).stack_size(STACK);
        thread.spawn(talk).map_err(|error| failed(error.to_string()))?;
        if let Some((patience, lost)) = setup.watchdog {
            watch(beats, Arc::clone(&over), patience, lost).map_err(|error| failed(error.to_string()))?;
        }
        let here =
            start.recv().map_err(|_| failed("its thread has ended".into())).and_then(|said| said.map_err(failed));
        let here = here.inspect_err(|_| over.store(true, Ordering::Relaxed))?;
        let Here { rank, size, node, node_size } = here;
        let line = Mutex::new(Line { ask: ask.clone(), answers });
        Ok(Mpi { rank, size, node, node_size, line, ask, over, finished: AtomicBool::new(false) })
    }

    /// The name of this node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The number of processes on this node.
    pub fn node_size(&self) -> usize {
        self.node_size
    }

    /// Ends MPI. All processes call it and wait for each other. `code` is the exit code of this
    /// process.
    ///
    /// The MPI library may hang here. All work is done by then, so if MPI takes longer than two
    /// seconds, this process exits at once with `code`.
    ///
    /// # Errors
    ///
    /// When a process is lost.
    pub fn finish(&self, code: i32) -> Result<(), CommError> {
        let line = self.line();
        let Answer::Leaving = line.ask(Ask::Leave)? else { return Err(apart()) };
        // The watchdog has nothing left to watch.
        self.over.store(true, Ordering::Relaxed);
        match line.answers.recv_timeout(LEAVING) {
            Ok(Answer::Left) => {
                self.finished.store(true, Ordering::Relaxed);
                Ok(())
            }
            Ok(Answer::Lost(message)) => Err(CommError { message }),
            Ok(_) => Err(apart()),
            Err(RecvTimeoutError::Timeout) => exit_now(code),
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }

    /// Ends all processes. This one exits with `code`, and launchers then use it as their own exit
    /// code. Any thread may call it, in any state of the others.
    pub fn abort(&self, code: i32) -> ! {
        if self.finished.load(Ordering::Relaxed) {
            exit_now(code);
        }
        self.over.store(true, Ordering::Relaxed);
        // If the MPI thread has ended or hangs in a sum, a new thread calls MPI.
        let _ = self.ask.send(Ask::Abort(code));
        thread::sleep(ABORTING);
        let _ = thread::Builder::new().spawn(move || raw::abort(code));
        thread::sleep(ABORTING);
        exit_now(code)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends this process at once with this exit code. No exit handler runs, so none can hang. For a
/// process that cannot [`abort`](Mpi::abort), because MPI has not started.
pub fn exit_now(code: i32) -> ! {
    raw::exit_now(code)
}

/// Asks MPI for the rank and the node of this process.
fn here(world: &World) -> Result<Here, String> {
    let (rank, size) = world.rank_and_size()?;
    Ok(Here { rank, size, node: world.node()?, node_size: world.node_size()? })
}

impl Comm for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    /// Adds up in pieces and copies their sums, so it takes memory for one piece.
    fn all_reduce_sum(&self, parts: &mut [&mut [i64]]) -> Result<(), CommError> {
        let line = self.line();
        let words = parts.iter().map(|part| part.len()).sum();
        #[expect(unsafe_code, reason = "the borrow ends with the answer, which the compiler cannot see")]
        // SAFETY: `ask` returns when the sums are complete or the thread has ended; `parts` are
        // borrowed until then, and nothing accesses them here.
        let lent = unsafe { Lent::new(parts) };
        match line.ask(Ask::Sum(lent, words))? {
            Answer::Summed => Ok(()),
            _ => Err(CommError { message: "the processes do not add up together".into() }),
        }
    }
}

impl Line {
    fn send(&self, ask: Ask) -> Result<(), CommError> {
        self.ask.send(ask).map_err(|_| gone())
    }

    fn hear(&self) -> Result<Answer, CommError> {
        match self.answers.recv() {
            Ok(Answer::Lost(message)) => Err(CommError { message }),
            Ok(answer) => Ok(answer),
            Err(_) => Err(gone()),
        }
    }

    fn ask(&self, ask: Ask) -> Result<Answer, CommError> {
        // The thread may have reported a loss and ended before this question.
        let sent = self.send(ask);
        self.hear().and_then(|heard| sent.map(|()| heard))
    }
}

fn apart() -> CommError {
    CommError { message: "the processes do not end together".into() }
}

fn gone() -> CommError {
    CommError { message: "MPI has ended".into() }
}
