//! The calls of the MPI library that are made, with their return codes. All `unsafe` around MPI is here.
//!
//! The safe layer of the binding drops return codes and sets no error handler, so it is its raw half that is used. Sums go
//! from one buffer into another: `MPI_IN_PLACE` is a macro that the binding does not carry over.
#![expect(unsafe_code, reason = "MPI is a C library")]

use std::ffi::{CStr, c_char, c_int};
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr;

use mpi::ffi;

use crate::hydra::Launcher;

/// Characters that the library may write for a name or a message: more than any MPI asks for.
const TEXT: usize = 1 << 13;

/// MPI, started. Belongs to the thread that started it.
pub(crate) struct World {
    pulse: Pulse,
    /// Not to be sent to another thread: only the one that initialized MPI may call it.
    _here: PhantomData<*const ()>,
}

/// Arrays of one thread while another works on them.
pub(crate) struct Lent(Vec<(*mut i64, usize)>);

// SAFETY: the arrays are plain memory that, by the contract of `new`, nobody else looks at meanwhile.
unsafe impl Send for Lent {}

impl Lent {
    /// Lends `parts`.
    ///
    /// # Safety
    ///
    /// - `parts` outlive what is returned, or at least the last look at its [`pieces`](Self::pieces).
    /// - Nobody reads or writes them in between.
    pub(crate) unsafe fn new(parts: &mut [&mut [i64]]) -> Self {
        Lent(parts.iter_mut().map(|part| (part.as_mut_ptr(), part.len())).collect())
    }

    /// The arrays, one after the other, cut into pieces of at most `most` numbers.
    pub(crate) fn pieces(&mut self, most: usize) -> impl Iterator<Item = &mut [i64]> {
        // SAFETY: pointer and length are those of a slice that is still there and that nobody else looks at (`new`); the borrow of
        // `self` keeps this the only way to it, and no two of the arrays overlap.
        let parts =
            self.0.iter_mut().map(|&mut (start, length)| unsafe { std::slice::from_raw_parts_mut(start, length) });
        parts.flat_map(move |part| part.chunks_mut(most))
    }
}

/// A sum of a few integers under way. Its buffers stay where they are until it has ended.
#[derive(Default)]
struct Pulse {
    said: Box<[i64]>,
    heard: Box<[i64]>,
    request: Option<ffi::MPI_Request>,
}

impl World {
    /// Initializes MPI, or says why that cannot be done.
    pub(crate) fn start() -> Result<World, String> {
        let mut provided = 0;
        // SAFETY: no arguments are given to look at, and `provided` is written to. MPI is initialized at most once: this
        // is called by the one thread that `Mpi::start` makes, which may be called once.
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

    /// Number of this process, and of all.
    pub(crate) fn rank_and_size(&self) -> Result<(usize, usize), String> {
        let (mut rank, mut size) = (0, 0);
        // SAFETY: MPI is initialized; both numbers are written to.
        unsafe {
            check(ffi::MPI_Comm_rank(ffi::RSMPI_COMM_WORLD, &raw mut rank))?;
            check(ffi::MPI_Comm_size(ffi::RSMPI_COMM_WORLD, &raw mut size))?;
        }
        Ok((rank as usize, size as usize))
    }

    /// How many processes share the memory of this node. All processes have to ask.
    pub(crate) fn node_size(&self) -> Result<usize, String> {
        let mut size = 0;
        // SAFETY: MPI is initialized; the communicator made is freed here, and used in between only.
        unsafe {
            let mut node = ffi::RSMPI_COMM_NULL;
            let (world, shared) = (ffi::RSMPI_COMM_WORLD, ffi::RSMPI_COMM_TYPE_SHARED);
            check(ffi::MPI_Comm_split_type(world, shared, 0, ffi::RSMPI_INFO_NULL, &raw mut node))?;
            check(ffi::MPI_Comm_size(node, &raw mut size))?;
            check(ffi::MPI_Comm_free(&raw mut node))?;
        }
        Ok(size as usize)
    }

    /// What the library calls this node.
    pub(crate) fn node(&self) -> Result<String, String> {
        let mut text = [0; TEXT];
        let mut length = 0;
        // SAFETY: MPI is initialized and writes at most MPI_MAX_PROCESSOR_NAME characters, which are fewer than there is room.
        check(unsafe { ffi::MPI_Get_processor_name(text.as_mut_ptr(), &raw mut length) })?;
        Ok(read(&text))
    }

    /// Begins a sum of these integers. The one before must have ended.
    pub(crate) fn begin_pulse(&mut self, said: &[i64]) -> Result<(), String> {
        assert!(self.pulse.request.is_none(), "one pulse at a time");
        self.pulse.said = said.into();
        self.pulse.heard = vec![0; said.len()].into();
        // SAFETY: MPI is initialized; the buffers have `said.len()` integers each and are neither touched nor freed before
        // the request has ended: `pulse_has_ended` alone looks at them, and forgets the request only then.
        unsafe {
            let mut request = ffi::RSMPI_REQUEST_NULL;
            let (from, into) = (self.pulse.said.as_ptr().cast(), self.pulse.heard.as_mut_ptr().cast());
            let (integers, sum, world) = (ffi::RSMPI_INT64_T, ffi::RSMPI_SUM, ffi::RSMPI_COMM_WORLD);
            check(ffi::MPI_Iallreduce(from, into, said.len() as c_int, integers, sum, world, &raw mut request))?;
            self.pulse.request = Some(request);
        }
        Ok(())
    }

    /// Whether the sum has ended, and then what it is. Lets the library work on it.
    pub(crate) fn pulse_has_ended(&mut self) -> Result<Option<&[i64]>, String> {
        let request = self.pulse.request.as_mut().expect("a pulse is under way");
        let mut ended = 0;
        // SAFETY: the request is the one that `begin_pulse` was given, and has not ended yet.
        check(unsafe { ffi::MPI_Test(request, &raw mut ended, ffi::RSMPI_STATUS_IGNORE) })?;
        if ended == 0 {
            return Ok(None);
        }
        self.pulse.request = None;
        Ok(Some(&self.pulse.heard))
    }

    /// Adds up what all processes have in `said`, into `heard`. Waits for them.
    pub(crate) fn all_reduce_sum(&self, said: &[i64], heard: &mut [i64]) -> Result<(), String> {
        assert_eq!(said.len(), heard.len(), "a place for every sum");
        let count = c_int::try_from(said.len()).map_err(|_| "too many numbers for one sum".to_owned())?;
        // SAFETY: MPI is initialized; both buffers have `count` integers and do not overlap, being borrowed in two ways.
        check(unsafe {
            let (from, into) = (said.as_ptr().cast(), heard.as_mut_ptr().cast());
            ffi::MPI_Allreduce(from, into, count, ffi::RSMPI_INT64_T, ffi::RSMPI_SUM, ffi::RSMPI_COMM_WORLD)
        })
    }

    /// Ends MPI in this process. Waits for all of them.
    pub(crate) fn finish(self) -> Result<(), String> {
        assert!(self.pulse.request.is_none(), "the last pulse has ended");
        if let Some(launcher) = version().starts_with("MPICH").then(|| Launcher::here(duplicate)).flatten() {
            // First the library's own: in the launcher's, a process does nothing for messages that are still under way.
            // SAFETY: MPI is initialized.
            check(unsafe { ffi::MPI_Barrier(ffi::RSMPI_COMM_WORLD) })?;
            launcher.barrier()?;
            return launcher.leave();
        }
        // SAFETY: MPI is initialized, nothing is under way, and `self` is gone afterwards.
        check(unsafe { ffi::MPI_Finalize() })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A sum that is still under way may write into its buffers for as long as the process lives.
        if self.pulse.request.is_some() {
            std::mem::forget(std::mem::take(&mut self.pulse));
        }
    }
}

/// Ends all processes with this exit code. Does not come back where the library keeps its word; from a thread that is not
/// MPI's own it is a last resort, which the libraries in use allow.
pub(crate) fn abort(code: i32) {
    // SAFETY: MPI has been initialized by this process; the call changes nothing that is looked at afterwards.
    unsafe { ffi::MPI_Abort(ffi::RSMPI_COMM_WORLD, code) };
}

/// Ends this process at once, with nothing that runs at an exit.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: it takes a number and ends the process.
    unsafe { libc::_exit(code) }
}

/// What the library says of a return code that is none of success.
fn check(code: c_int) -> Result<(), String> {
    if code == ffi::MPI_SUCCESS as c_int {
        return Ok(());
    }
    let mut text = [0; TEXT];
    let mut length = 0;
    // SAFETY: the library writes at most MPI_MAX_ERROR_STRING characters, which are fewer than there is room.
    let told = unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr(), &raw mut length) };
    if told == ffi::MPI_SUCCESS as c_int { Err(read(&text)) } else { Err(format!("MPI error {code}")) }
}

/// The characters up to the first zero.
fn read(text: &[c_char; TEXT]) -> String {
    // SAFETY: the array was zero and the library writes fewer characters than it has.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned()
}

/// The file behind a number that this process was started with, under a number of its own.
fn duplicate(number: RawFd) -> io::Result<File> {
    // SAFETY: the launcher has said which of its own files this is; it stays open for as long as the process lives, since nobody
    // here closes it. A number that stands for no file is an error of `dup`.
    unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned().map(File::from)
}

/// What the library says it is.
fn version() -> String {
    let mut text = [0; TEXT];
    let mut length = 0;
    // SAFETY: may be called at any time; the library writes at most MPI_MAX_LIBRARY_VERSION_STRING characters, in MPICH 8192.
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
            // SAFETY: the arrays are there, and left alone, until the pieces are through.
            let mut lent = unsafe { Lent::new(&mut parts) };
            for piece in lent.pieces(most) {
                assert!((1..=most).contains(&piece.len()));
                piece.iter_mut().for_each(|value| *value += 1);
            }
        }
        assert!(arrays.iter().flatten().all(|&count| count == 13));
    }
}
