//! The allocator: its settings, and the end of a run whose memory the system refuses.
//!
//! The kernel counts freed memory as resident until the allocator returns it, so it counts against
//! the budget. By default, glibc raises the size from which it returns freed memory as soon as the
//! program frees something large, and keeps an arena per thread. A fit of 50 million nonzeros in
//! 64 MiB then had 73 MiB resident, of which it used 54 MiB. Fixed thresholds and few arenas cost
//! no measurable time here, because buffers are large and live for whole passes.
//!
//! If the system refuses memory, the standard library would print a line of its own and abort,
//! which leaves unfinished files. No code of this program goes on without memory, so the allocator
//! ends the run instead. Nor do the libraries in C: without memory, HDF5 1.10 finds datasets
//! missing that are there, or crashes. So their functions for memory are defined here as well, and
//! the system's loader gives them to all libraries.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::launch;

#[global_allocator]
static ALLOCATOR: OrEnd = OrEnd;

/// The system's allocator. It ends the run rather than return a null pointer.
struct OrEnd;

#[expect(unsafe_code, reason = "a global allocator is unsafe to implement; this one passes every call on")]
// SAFETY: every call is passed on unchanged, and every result is the system's.
unsafe impl GlobalAlloc for OrEnd {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        there(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        there(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        there(unsafe { System.realloc(memory, layout, size) }, size)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[inline]
fn there(memory: *mut u8, size: usize) -> *mut u8 {
    if memory.is_null() { launch::out_of_memory(size) } else { memory }
}

/// The functions of C that give memory. They end the run as well, unless more is asked for than
/// work needs: a library that a damaged file makes ask for that checks the answer and reports it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "they have the names and the contracts of functions of C")]
mod c {
    use std::ffi::c_void;

    use crate::launch;

    /// Bytes of the largest request that ends the run if it is refused.
    const PLAUSIBLE: usize = 1 << 30;

    // SAFETY: glibc exports its own functions under these names, for programs that define the
    // others.
    unsafe extern "C" {
        fn __libc_malloc(size: usize) -> *mut c_void;
        fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
        fn __libc_realloc(memory: *mut c_void, size: usize) -> *mut c_void;
    }

    // SAFETY: has the signature and the contract of the function of C.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
        // SAFETY: passes the call on.
        there(unsafe { __libc_malloc(size) }, size)
    }

    // SAFETY: has the signature and the contract of the function of C.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
        // SAFETY: passes the call on.
        there(unsafe { __libc_calloc(count, size) }, count.saturating_mul(size))
    }

    // SAFETY: has the signature and the contract of the function of C.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn realloc(memory: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: the caller's contract is the same.
        let memory = unsafe { __libc_realloc(memory, size) };
        // Memory for nothing is null because it was freed.
        there(memory, size)
    }

    #[inline]
    fn there(memory: *mut c_void, size: usize) -> *mut c_void {
        if memory.is_null() && (1..=PLAUSIBLE).contains(&size) { launch::out_of_memory(size) } else { memory }
    }
}

/// Makes the allocator return large blocks at once. To be called before any thread starts.
pub(crate) fn settle() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "mallopt is C; it takes two integers and touches nothing of ours")]
    // SAFETY: no other thread runs yet, and every parameter is one that glibc documents.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 128 << 10);
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Returns the free memory inside the heap as well. To be called between two stages of work that
/// use different buffers.
pub(crate) fn release() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "malloc_trim is C; it is safe to call at any time from any thread")]
    // SAFETY: malloc_trim has no precondition.
    unsafe {
        libc::malloc_trim(0);
    }
}
