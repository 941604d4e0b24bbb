//! Settings of the allocator. The kernel counts freed memory as resident until the allocator
//! returns it, so it counts against the budget.
//!
//! By default, glibc raises the size from which it returns freed memory as soon as the program
//! frees something large, and keeps an arena per thread. A fit of 50 million nonzeros in 64 MiB
//! then had 73 MiB resident, of which it used 54 MiB. Fixed thresholds and few arenas cost no
//! measurable time here, because buffers are large and live for whole passes.

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
