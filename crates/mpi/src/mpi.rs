//! What the rest of the program sees of MPI.

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

/// How long the thread that may call MPI is given to end all processes, before another does, and before this one just ends.
const ABORTING: Duration = Duration::from_secs(1);
/// How long MPI may take to end once all processes have come to the end.
const LEAVING: Duration = Duration::from_secs(2);

/// How MPI is used.
#[derive(Default)]
pub struct Setup {
    /// Flags that all processes learn of; as many in each.
    pub flags: Vec<Flag>,
    /// Called, from a thread of its own, when there was no sign of life from all processes for so long; from the moment on at
    /// which MPI is started.
    pub watchdog: Option<(Duration, Box<dyn FnOnce() + Send>)>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let watchdog = self.watchdog.as_ref().map(|(patience, _)| patience);
        f.debug_struct("Setup").field("flags", &self.flags).field("watchdog", &watchdog).finish()
    }
}

/// MPI could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError {
    /// What the library or the system said.
    pub message: String,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MPI does not start: {}", self.message)
    }
}

impl std::error::Error for StartError {}

/// This process among those that a launcher has started.
///
/// However the program ends, it ends with [`finish`](Mpi::finish) in all processes or with [`abort`](Mpi::abort) in one of
/// them: a process that just goes leaves the others waiting.
#[derive(Debug)]
pub struct Mpi {
    rank: usize,
    size: usize,
    node: String,
    node_size: usize,
    line: Mutex<Line>,
    /// For an abort while another thread waits for a sum.
    ask: Sender<Ask>,
    over: Arc<AtomicBool>,
    /// MPI has been finished, and is not to be called any more.
    finished: AtomicBool,
}

/// The way to the thread that talks, for one at a time.
#[derive(Debug)]
struct Line {
    ask: Sender<Ask>,
    answers: Receiver<Answer>,
}

/// What the thread finds out when it starts MPI.
struct Here {
    rank: usize,
    size: usize,
    node: String,
    node_size: usize,
}

impl Mpi {
    /// Starts MPI, once in a process, and the thread that talks.
    ///
    /// # Errors
    ///
    /// - MPI does not start, or not for a program with threads
    /// - the system gives no thread
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
        thread::Builder::new().name("mpi".into()).spawn(talk).map_err(|error| failed(error.to_string()))?;
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

    /// What the library calls this node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// How many of the processes are on this node.
    pub fn node_size(&self) -> usize {
        self.node_size
    }

    /// Ends MPI. All processes call it, and wait for each other. `code` is what this one is to end with.
    ///
    /// A library may hang here. All work is done then, so a process for which MPI does not end in two seconds ends at once with
    /// `code`.
    ///
    /// # Errors
    ///
    /// When a process is lost.
    pub fn finish(&self, code: i32) -> Result<(), CommError> {
        let line = self.line();
        let Answer::Leaving = line.ask(Ask::Leave)? else { return Err(apart()) };
        // Nobody needs to be missed any more.
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

    /// Ends all processes, this one with exit code `code`, which is what launchers then end with. May be called from any
    /// thread, whatever the others do.
    pub fn abort(&self, code: i32) -> ! {
        if self.finished.load(Ordering::Relaxed) {
            exit_now(code);
        }
        self.over.store(true, Ordering::Relaxed);
        // Where MPI's own thread has gone or is stuck in a sum, this one calls.
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

/// Ends this process at once with this exit code; nothing runs that runs at an exit, so nothing can wait there. For a process
/// that cannot [`abort`](Mpi::abort), since MPI does not start.
pub fn exit_now(code: i32) -> ! {
    raw::exit_now(code)
}

/// Who and where this process is.
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

    /// In pieces, whose sums are copied: memory for one of them.
    fn all_reduce_sum(&self, parts: &mut [&mut [i64]]) -> Result<(), CommError> {
        let line = self.line();
        let words = parts.iter().map(|part| part.len()).sum();
        #[expect(unsafe_code, reason = "a borrow that ends with an answer, which the compiler cannot see")]
        // SAFETY: `ask` waits for the answer, which comes when the sums are made, or for the end of the thread; `parts` are
        // borrowed until then, and nobody looks at them here.
        let lent = unsafe { Lent::new(parts) };
        match line.ask(Ask::Sum(lent, words))? {
            Answer::Summed => Ok(()),
            _ => Err(CommError { message: "processes do not add up".into() }),
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
        // The thread may have said that all is lost, and ended, before it was asked.
        let sent = self.send(ask);
        self.hear().and_then(|heard| sent.map(|()| heard))
    }
}

fn apart() -> CommError {
    CommError { message: "processes do not end together".into() }
}

fn gone() -> CommError {
    CommError { message: "MPI has ended".into() }
}
