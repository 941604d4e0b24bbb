//! The calls of the MPI library, with their return codes. All `unsafe` code for MPI is here.
//!
//! The safe layer of the binding drops return codes and sets no error handler, so this file uses
//! the raw layer. Sums go from one buffer into another, because `MPI_IN_PLACE` is a macro that the
//! binding does not carry over.
#![expect(unsafe_code, reason = "MPI is a C library")]

use std::ffi::{CStr, c_char, c_int};
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr;

use mpi::ffi;

use crate::hydra::Launcher;

/// The room for a name or a message of the library, in characters: more than any MPI needs.
const TEXT: usize = 1 << 13;

/// MPI after its start. Only the thread that started it may use it.
pub(crate) struct World {
    pulse: Pulse,
    /// Keeps the type from moving to another thread: only the one that initialized MPI may call it.
    _here: PhantomData<*const ()>,
}

/// Arrays of one thread that another thread works on.
pub(crate) struct Lent(Vec<(*mut i64, usize)>);

// SAFETY: the arrays are plain memory and, by the contract of `new`, nothing else accesses them in
// the meantime.
unsafe impl Send for Lent {}

impl Lent {
    /// Lends `parts`.
    ///
    /// # Safety
    ///
    /// - `parts` outlive the returned value, or at least the last use of its
    ///   [`pieces`](Self::pieces).
    /// - Nothing else reads or writes them in between.
    pub(crate) unsafe fn new(parts: &mut [&mut [i64]]) -> Self {
        Lent(parts.iter_mut().map(|part| (part.as_mut_ptr(), part.len())).collect())
    }

    /// The arrays, one after the other, cut into pieces of at most `most` numbers.
    pub(crate) fn pieces(&mut self, most: usize) -> impl Iterator<Item = &mut [i64]> {
        // SAFETY: pointer and length are those of a live slice that nothing else accesses (`new`).
        // The borrow of `self` makes this the only access to it, and no two of the arrays overlap.
        let parts =
            self.0.iter_mut().map(|&mut (start, length)| unsafe { std::slice::from_raw_parts_mut(start, length) });
        parts.flat_map(move |part| part.chunks_mut(most))
    }
}

/// A sum of a few integers under way. Its buffers do not move until it has ended.
#[derive(Default)]
struct Pulse {
    said: Box<[i64]>,
    heard: Box<[i64]>,
    request: Option<ffi::MPI_Request>,
}

impl World {
    /// Initializes MPI.
    ///
    /// # Errors
    ///
    /// The message of the library, or a note that it does not support threads.
    pub(crate) fn start() -> Result<World, String> {
        let mut provided = 0;
        // SAFETY: the call takes no arguments of the program, and writes to `provided`. MPI is
        // initialized at most once: this is called by the one thread that `Mpi::start` makes, which
        // may be called once.
        let code = unsafe {
            let funneled = ffi::RSMPI_THREAD_FUNNELED;
            ffi::MPI_Init_thread(ptr::null_mut(), ptr::null_mut(), funneled, &raw mut provided)
        };
        check(code)?;
        // SAFETY: the constants of the library are written once, before `main`.
        let funneled = unsafe { ffi::RSMPI_THREAD_FUNNELED };
        if provided < funneled {
            return Err("this MPI cannot be used by a program with threads (MPI_THREAD_FUNNELED)".into());
        }
        // SAFETY: MPI is initialized, and the handles are constants of the library.
        check(unsafe { ffi::MPI_Comm_set_errhandler(ffi::RSMPI_COMM_WORLD, ffi::RSMPI_ERRORS_RETURN) })?;
        Ok(World { pulse: Pulse::default(), _here: PhantomData })
    }

    /// The rank of this process, and the number of processes.
    pub(crate) fn rank_and_size(&self) -> Result<(usize, usize), String> {
        let (mut rank, mut size) = (0, 0);
        // SAFETY: MPI is initialized; the calls write to both numbers.
        unsafe {
            check(ffi::MPI_Comm_rank(ffi::RSMPI_COMM_WORLD, &raw mut rank))?;
            check(ffi::MPI_Comm_size(ffi::RSMPI_COMM_WORLD, &raw mut size))?;
        }
        Ok((rank as usize, size as usize))
    }

    /// The number of processes on this node. All processes must call it.
    pub(crate) fn node_size(&self) -> Result<usize, String> {
        let mut size = 0;
        // SAFETY: MPI is initialized; the new communicator is used and freed here only.
        unsafe {
            let mut node = ffi::RSMPI_COMM_NULL;
            let (world, shared) = (ffi::RSMPI_COMM_WORLD, ffi::RSMPI_COMM_TYPE_SHARED);
            check(ffi::MPI_Comm_split_type(world, shared, 0, ffi::RSMPI_INFO_NULL, &raw mut node))?;
            check(ffi::MPI_Comm_size(node, &raw mut size))?;
            check(ffi::MPI_Comm_free(&raw mut node))?;
        }
        Ok(size as usize)
    }

    /// The name of this node.
    pub(crate) fn node(&self) -> Result<String, String> {
        let mut text = [0; TEXT];
        let mut length = 0;
        // SAFETY: MPI is initialized and writes at most MPI_MAX_PROCESSOR_NAME characters, which
        // are fewer than there is room.
        check(unsafe { ffi::MPI_Get_processor_name(text.as_mut_ptr(), &raw mut length) })?;
        Ok(read(&text))
    }

    /// Begins a sum of these integers. The previous one must have ended.
    pub(crate) fn begin_pulse(&mut self, said: &[i64]) -> Result<(), String> {
        assert!(self.pulse.request.is_none(), "one pulse at a time");
        self.pulse.said = said.into();
        self.pulse.heard = vec![0; said.len()].into();
        // SAFETY: MPI is initialized; the buffers have `said.len()` integers each, and nothing
        // accesses or frees them before the request has ended: only `pulse_has_ended` reads them,
        // and drops the request only then.
        unsafe {
            let mut request = ffi::RSMPI_REQUEST_NULL;
            let (from, into) = (self.pulse.said.as_ptr().cast(), self.pulse.heard.as_mut_ptr().cast());
            let (integers, sum, world) = (ffi::RSMPI_INT64_T, ffi::RSMPI_SUM, ffi::RSMPI_COMM_WORLD);
            check(ffi::MPI_Iallreduce(from, into, said.len() as c_int, integers, sum, world, &raw mut request))?;
            self.pulse.request = Some(request);
        }
        Ok(())
    }

    /// Lets the library work on the sum, and returns it once it is complete.
    pub(crate) fn pulse_has_ended(&mut self) -> Result<Option<&[i64]>, String> {
        let request = self.pulse.request.as_mut().expect("a pulse is under way");
        let mut ended = 0;
        // SAFETY: the request comes from `begin_pulse` and has not ended yet.
        check(unsafe { ffi::MPI_Test(request, &raw mut ended, ffi::RSMPI_STATUS_IGNORE) })?;
        if ended == 0 {
            return Ok(None);
        }
        self.pulse.request = None;
        Ok(Some(&self.pulse.heard))
    }

    /// Adds up `said` over all processes, into `heard`. Waits for them.
    pub(crate) fn all_reduce_sum(&self, said: &[i64], heard: &mut [i64]) -> Result<(), String> {
        assert_eq!(said.len(), heard.len(), "a place for every sum");
        let count = c_int::try_from(said.len()).map_err(|_| "too many numbers for one sum".to_owned())?;
        // SAFETY: MPI is initialized; both buffers have `count` integers. They do not overlap,
        // because one borrow is shared and one exclusive.
        check(unsafe {
            let (from, into) = (said.as_ptr().cast(), heard.as_mut_ptr().cast());
            ffi::MPI_Allreduce(from, into, count, ffi::RSMPI_INT64_T, ffi::RSMPI_SUM, ffi::RSMPI_COMM_WORLD)
        })
    }

    /// Ends MPI in this process. Waits for all processes.
    pub(crate) fn finish(self) -> Result<(), String> {
        assert!(self.pulse.request.is_none(), "the last pulse has ended");
        if let Some(launcher) = version().starts_with("MPICH").then(|| Launcher::here(duplicate)).flatten() {
            // The barrier of the library comes first: in the barrier of the launcher, a process
            // does not work on messages that are still under way. SAFETY: MPI is initialized.
            check(unsafe { ffi::MPI_Barrier(ffi::RSMPI_COMM_WORLD) })?;
            launcher.barrier()?;
            return launcher.leave();
        }
        // SAFETY: MPI is initialized, no sum is under way, and this call consumes `self`.
        check(unsafe { ffi::MPI_Finalize() })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A sum that is still under way may write into its buffers as long as the process lives.
        if self.pulse.request.is_some() {
            std::mem::forget(std::mem::take(&mut self.pulse));
        }
    }
}

/// Ends all processes with this exit code. By the standard it does not return. A call from a thread
/// other than the MPI thread is a last resort, which the libraries in use allow.
pub(crate) fn abort(code: i32) {
    // SAFETY: this process has initialized MPI; the call changes nothing that is read afterwards.
    unsafe { ffi::MPI_Abort(ffi::RSMPI_COMM_WORLD, code) };
}

/// Ends this process at once, without exit handlers.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: it takes a number and ends the process.
    unsafe { libc::_exit(code) }
}

/// Turns a return code into a result.
///
/// # Errors
///
/// The message of the library, if the code is not `MPI_SUCCESS`.
fn check(code: c_int) -> Result<(), String> {
    if code == ffi::MPI_SUCCESS as c_int {
        return Ok(());
    }
    let mut text = [0; TEXT];
    let mut length = 0;
    // SAFETY: the library writes at most MPI_MAX_ERROR_STRING characters, which are fewer than
    // there is room.
    let found = unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr(), &raw mut length) };
    if found == ffi::MPI_SUCCESS as c_int { Err(read(&text)) } else { Err(format!("MPI error {code}")) }
}

/// The text up to the first zero.
fn read(text: &[c_char; TEXT]) -> String {
    // SAFETY: the array was zero and the library writes fewer characters than it has.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned()
}

/// A duplicate of the file with this number, which this process has inherited.
fn duplicate(number: RawFd) -> io::Result<File> {
    // SAFETY: the launcher names the number of this file, and it stays open as long as the process
    // lives, because nothing here closes it. If the number has no file, `dup` fails.
    unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned().map(File::from)
}

/// The name and version of the library.
fn version() -> String {
    let mut text = [0; TEXT];
    let mut length = 0;
    // SAFETY: may be called at any time; the library writes at most MPI_MAX_LIBRARY_VERSION_STRING
    // characters, in MPICH 8192.
    unsafe { ffi::MPI_Get_library_version(text.as_mut_ptr(), &raw mut length) };
    read(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_arrays_of_all_lengths_once() {
        let mut arrays: Vec<Vec<i64>> = [0, 3, 1, 0, 7, 2].iter().map(|&length| vec![0; length]).collect();
        for most in 1..=13 {
            let mut parts: Vec<&mut [i64]> = arrays.iter_mut().map(Vec::as_mut_slice).collect();
            // SAFETY: the arrays outlive the pieces, and nothing else accesses them in between.
            let mut lent = unsafe { Lent::new(&mut parts) };
            for piece in lent.pieces(most) {
                assert!((1..=most).contains(&piece.len()));
                piece.iter_mut().for_each(|value| *value += 1);
            }
        }
        assert!(arrays.iter().flatten().all(|&count| count == 13));
    }
}
