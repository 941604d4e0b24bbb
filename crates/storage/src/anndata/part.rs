//! The temporary file of an output: it lies beside its destination, and one run at a time writes
//! it.
//!
//! A run writes `NAME` as `.NAME.part` while it holds a lock on `.NAME.lock`. It removes both once
//! the file is at its destination or given up. A killed process leaves them unlocked, and the next
//! run that writes `NAME` takes them over.
//!
//! The [lock](crate::lock) has a file of its own, because the HDF5 library may lock the files that
//! it writes: that depends on its version and on the environment.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::lock::{Lock, beside, foreign, stat};
use crate::{Monitor, StorageError, Unit, crash, traffic};

/// Bytes that are copied between two looks at whether the work should end.
const PIECE: u64 = 8 << 20;

/// A file that is being written. It is removed if it is dropped before it is placed.
pub(super) struct Part {
    // Fields are dropped in this order: the next holder of the lock finds nothing.
    data: TempPath,
    _entry: crash::Entry,
    _lock: Lock,
}

impl Part {
    /// Claims the place beside `dest`. No file is at [`path`](Self::path) yet.
    ///
    /// # Errors
    ///
    /// - another run is writing `dest`
    /// - the folder is not writable, or something else has the names
    pub(super) fn claim(dest: &Path) -> Result<Part, StorageError> {
        let lock = Lock::take(dest)?;
        let data = path_of(dest);
        if let Some(meta) = stat(&data)? {
            if !meta.is_file() {
                return Err(foreign(&data, "it is not a regular file"));
            }
            fs::remove_file(&data).map_err(|e| StorageError::io("remove", &data, e))?;
        }
        let data = TempPath::try_from_path(data).map_err(|e| StorageError::io("create", dest, e))?;
        let _entry = crash::Entry::unfinished_file(&data);
        Ok(Part { data, _entry, _lock: lock })
    }

    /// The path of the temporary file.
    pub(super) fn path(&self) -> &Path {
        &self.data
    }

    /// Fills the file, which is for `dest`, with the bytes of `whole`, which is only read.
    pub(super) fn fill_from(&self, whole: &Path, dest: &Path, monitor: &dyn Monitor) -> Result<(), StorageError> {
        let mut from = fs::File::open(whole).map_err(|e| StorageError::io("open", whole, e))?;
        let bytes = from.metadata().map_err(|e| StorageError::io("read", whole, e))?.len();
        let mut to = fs::File::create(&self.data).map_err(|e| StorageError::io("create", &self.data, e))?;
        monitor.start("copy", bytes, Unit::Bytes);
        loop {
            if monitor.cancelled() {
                return Err(StorageError::Cancelled);
            }
            // A file system that can share blocks between files does so.
            let piece = io::copy(&mut from.by_ref().take(PIECE), &mut to);
            let copied = piece.map_err(|e| match e.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                    StorageError::io("write", dest, e)
                }
                _ => StorageError::io("copy", whole, e),
            })?;
            traffic::ended();
            monitor.advance(copied);
            if copied == 0 {
                monitor.finish();
                return Ok(());
            }
        }
    }

    /// Renames the file to `dest`, and replaces an existing file if `replace` is set.
    pub(super) fn place(self, dest: &Path, replace: bool) -> io::Result<()> {
        let placed = if replace { self.data.persist(dest) } else { self.data.persist_noclobber(dest) };
        placed.map_err(|e| e.error)
    }
}

/// The path of the temporary file of `dest`.
pub(super) fn path_of(dest: &Path) -> PathBuf {
    beside(dest, ".part")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_a_killed_run_left_is_taken_over_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("r.h5ad");
        fs::write(folder.path().join(".r.h5ad.part"), "half of it").unwrap();
        fs::write(folder.path().join(".r.h5ad.lock"), "").unwrap();
        let part = Part::claim(&dest).unwrap();
        assert!(!part.path().exists());
        fs::write(part.path(), "new").unwrap();
        assert!(matches!(Part::claim(&dest), Err(StorageError::Busy { .. })));
        assert_eq!(fs::read(part.path()).unwrap(), b"new");
        drop(part);
        assert_eq!(names(folder.path()), Vec::<String>::new());
        let part = Part::claim(&dest).unwrap();
        fs::write(part.path(), "whole").unwrap();
        part.place(&dest, false).unwrap();
        assert_eq!(names(folder.path()), ["r.h5ad"]);
    }

    #[test]
    fn files_of_others_that_have_the_names_stay() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join(".r.h5ad.lock");
        fs::write(&lock, "mine").unwrap();
        assert!(matches!(Part::claim(&folder.path().join("r.h5ad")), Err(StorageError::NotReplaceable { .. })));
        assert_eq!(fs::read(&lock).unwrap(), b"mine");
        fs::remove_file(&lock).unwrap();
        fs::create_dir(folder.path().join(".r.h5ad.part")).unwrap();
        assert!(matches!(Part::claim(&folder.path().join("r.h5ad")), Err(StorageError::NotReplaceable { .. })));
        assert_eq!(names(folder.path()), [".r.h5ad.part"]);
    }

    #[test]
    fn one_after_the_other_claims_it_from_many_threads() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("r.h5ad");
        std::thread::scope(|scope| {
            for number in 0..4 {
                let dest = &dest;
                scope.spawn(move || {
                    for _ in 0..200 {
                        match Part::claim(dest) {
                            Ok(part) => {
                                fs::write(part.path(), number.to_string()).unwrap();
                                std::thread::yield_now();
                                assert_eq!(fs::read_to_string(part.path()).unwrap(), number.to_string());
                            }
                            Err(error) => assert!(matches!(error, StorageError::Busy { .. }), "{error}"),
                        }
                    }
                });
            }
        });
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn the_longest_name_has_a_place_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["é".repeat(127), "x".repeat(255)] {
            let dest = folder.path().join(&name);
            let part = Part::claim(&dest).unwrap();
            fs::write(part.path(), "whole").unwrap();
            part.place(&dest, false).unwrap();
            assert!(dest.exists());
        }
    }
}
