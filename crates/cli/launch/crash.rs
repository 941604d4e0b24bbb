//! How a fatal signal, or memory that the system refuses, ends the run: one line, no unfinished
//! file, and an exit code of the contract.
//!
//! | event                                              | line              | code |
//! |----------------------------------------------------|-------------------|------|
//! | a crash while the HDF5 library has a file open     | names the file    | 65   |
//! | a bus error in a map of a file that became shorter | names the file    | 65   |
//! | a bus error in another map                         | names the file    | 74   |
//! | no end of a call of the HDF5 library               | names the file    | 65   |
//! | the system refuses memory                          | names the size    | 2    |
//! | the HDF5 library exits for lack of memory          | names the file    | 2    |
//! | any other crash                                    | asks for a report | 70   |
//!
//! The HDF5 library is written in C and trusts much of what it reads: of a few hundred randomly
//! damaged files, some crash it, and one keeps it busy for ever. To run it in a process of its own
//! would catch the same cases, but that process would have to be started, budgeted and ended too.
//!
//! A signal handler may only call functions that are safe in one. So nothing here allocates or
//! waits for a lock, the line is put together in a static buffer, and the process ends without
//! exit handlers. The record of files is that of [`partwise::storage::crash`].
#![expect(unsafe_code, reason = "handlers of signals, and the end of the process, are C")]

use std::ffi::{c_int, c_void};
use std::fmt::{self, Write};
use std::mem;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use partwise::storage::crash::{self, Culprit};

use super::emergency::{has_turn, node_name};
use super::line::Line;
use crate::failure::Code;

/// The signals that end a process because of its own doing.
const FATAL: [(c_int, &str); 5] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGABRT, "SIGABRT"),
];

/// The time of the processor that one call of the HDF5 library may take, in seconds. A call that
/// reads takes a few seconds at most; one that waits for a disk takes none.
const LONGEST_CALL: i64 = 60;
/// The time between two looks at the calls.
const TICK: Duration = Duration::from_secs(1);

/// The thread that ends the process; 0 before that.
static ENDING: AtomicUsize = AtomicUsize::new(0);
/// Whether a line about the end has been printed already.
static REPORTED: AtomicBool = AtomicBool::new(false);
/// In static memory, because the stack of a signal handler is small.
static LINE: Mutex<Line> = Mutex::new(Line::new());

/// Handles fatal signals from now on. To be called before any thread starts.
pub(crate) fn catch_crashes() {
    for (signal, _) in FATAL {
        // SAFETY: the action is zeroed (no flags, an empty mask) and then complete. The handler
        // calls nothing but functions that are safe in one. It runs on the alternate stack that
        // the standard library gives each of its threads, where there is one.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = on_fatal_signal as *const () as usize;
            // Without NODEFER, a crash in the handler would end the process without a line.
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
    }
    // SAFETY: the function may be called at any exit.
    unsafe { libc::atexit(on_exit) };
    // Without a thread to watch, calls without end are the only difference.
    let _ = thread::Builder::new().name("hdf5 calls".into()).stack_size(64 << 10).spawn(watch_calls);
}

/// Notes that a line has been printed that explains the end, so that an abort prints no other.
pub(super) fn reported() {
    REPORTED.store(true, Ordering::Relaxed);
}

extern "C" fn on_fatal_signal(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: the system passes a valid record to a handler with SA_SIGINFO; every fatal signal of
    // another process has the fields of `kill`, and every fault has an address.
    let (from_outside, address) = unsafe {
        let outside = (*info).si_code <= 0 && (*info).si_pid() != libc::getpid();
        (outside, if (*info).si_code > 0 { (*info).si_addr() as usize } else { 0 })
    };
    if from_outside {
        // Somebody wants the process to end in this way, perhaps with a dump of its memory.
        // SAFETY: both calls take numbers and are safe in a handler.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
        return;
    }
    let name = FATAL.iter().find(|(number, _)| *number == signal).map_or("a signal", |(_, name)| name);
    begin_to_end(name);
    crash::remove_unfinished();
    crash::culprit(address, |culprit| match culprit {
        Some(Culprit::Hdf5(path)) => end(Code::BadData, |line| {
            line.push(path.to_bytes());
            let _ =
                write!(line, ": is damaged: reading it crashed the HDF5 library ({name}); copy or download it again");
        }),
        Some(Culprit::Shortened(path)) => end(Code::BadData, |line| {
            line.push(path.to_bytes());
            line.push(b": is damaged: it became shorter while it was read; convert the input again");
        }),
        Some(Culprit::Unreadable(path)) => end(Code::Io, |line| {
            line.push(path.to_bytes());
            line.push(b": cannot read: the disk, or the network to it, failed; run again when it works");
        }),
        None => end(Code::Defect, |line| {
            let issues = concat!(env!("CARGO_PKG_REPOSITORY"), "/issues");
            let _ =
                write!(line, "a defect of partwise: it crashed ({name}); please report it with this line and your ");
            let _ = write!(line, "command at {issues}");
        }),
    })
}

/// Where it lacks memory for a node of a list, the HDF5 library calls `exit` (1.10).
extern "C" fn on_exit() {
    if crash::is_inside_hdf5() {
        end_without_memory(format_args!("the HDF5 library got none from the system"));
    }
}

/// Ends the run: the system has refused `bytes` of memory.
pub(crate) fn out_of_memory(bytes: usize) -> ! {
    end_without_memory(format_args!("the system refused {bytes} bytes"))
}

/// Ends the run for lack of memory.
pub(super) fn end_without_memory(why: fmt::Arguments<'_>) -> ! {
    begin_to_end("out of memory");
    crash::remove_unfinished();
    crash::culprit(0, |culprit| {
        end(Code::Usage, |line| {
            if let Some(Culprit::Hdf5(path)) = culprit {
                line.push(path.to_bytes());
                line.push(b": ");
            }
            let _ = write!(
                line,
                "out of memory: {why}; give less with --memory or --threads, or raise the limit of the \
                 process (ulimit -v) or of the job"
            );
        })
    })
}

/// Ends the run if a call of the HDF5 library takes the processor for too long.
fn watch_calls() {
    let (mut last, mut since) = (None, 0);
    loop {
        thread::sleep(TICK);
        let (call, now) = (crash::call_under_way(), seconds_of_processor());
        if call.is_none() || call != last {
            (last, since) = (call, now);
        } else if now - since > LONGEST_CALL {
            begin_to_end("a call without end");
            crash::remove_unfinished();
            crash::culprit(0, |culprit| {
                end(Code::BadData, |line| {
                    line.push(if let Some(Culprit::Hdf5(path)) = culprit { path.to_bytes() } else { b"the file" });
                    line.push(b": is damaged: the HDF5 library finds no end in it; copy or download it again");
                })
            })
        }
    }
}

/// The time that the threads of this process have computed.
fn seconds_of_processor() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to `time`.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec
}

/// Makes this thread the one that ends the process. Another one that crashes meanwhile waits, and
/// a crash on the way to the end ends the process at once.
fn begin_to_end(what: &str) {
    // SAFETY: takes no argument.
    let me = unsafe { libc::pthread_self() } as usize;
    match ENDING.compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => (),
        Err(thread) if thread == me => {
            for text in ["partwise: crashed at its end: ", what, "\n"] {
                put(text.as_bytes());
            }
            exit(Code::Defect)
        }
        Err(_) => loop {
            thread::sleep(TICK);
        },
    }
}

/// Prints the line, unless another thread or process has printed why the run ends, and exits.
fn end(code: Code, say: impl FnOnce(&mut Line)) -> ! {
    if REPORTED.load(Ordering::Relaxed) {
        exit(Code::Defect);
    }
    if has_turn()
        && let Ok(mut line) = LINE.try_lock()
    {
        line.push(b"partwise: ");
        if let Some(node) = node_name() {
            for text in ["node ", node, ": "] {
                line.push(text.as_bytes());
            }
        }
        say(&mut line);
        put(line.finished());
    }
    exit(code)
}

/// Writes to stderr. Ignores a stderr that is closed.
fn put(text: &[u8]) {
    // SAFETY: the pointer and the length are those of a slice.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
}

fn exit(code: Code) -> ! {
    exit_now(code as c_int)
}

/// Ends this process without exit handlers, so that none can hang.
pub(super) fn exit_now(code: c_int) -> ! {
    // SAFETY: takes a number.
    unsafe { libc::_exit(code) }
}
