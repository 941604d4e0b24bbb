//! The one place that maps files into memory.

use partwise::storage::Store;

use crate::failure::Failure;

/// Maps the blocks of `store` into memory.
#[expect(unsafe_code, reason = "a map of files that somebody else could change; argued below")]
pub(crate) fn map(store: &mut Store) -> Result<(), Failure> {
    // SAFETY: the files of a finished store are never modified or truncated by this program:
    // conversions write into a folder of another name and rename it, which leaves the mapped files
    // alive. If a user truncates a block file during a fit, the handler of the signal names the
    // file and ends the process (`launch/crash.rs`).
    unsafe { store.map() }.map_err(Failure::from)
}
