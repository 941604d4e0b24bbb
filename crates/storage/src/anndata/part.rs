//! Where a file is written before it takes its place: beside its destination, by one run at a time.
//!
//! `NAME` is written as `.NAME.part` while `.NAME.lock` is held locked. Both are gone when the file is in its place or given up.
//! A killed process leaves them unlocked; the next run that writes `NAME` takes them over.
//!
//! The lock has a file of its own because the HDF5 library locks the files that it writes itself, or does not, as its version and
//! the environment will have it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::StorageError;

/// Bytes that file systems allow in a name.
const LONGEST: usize = 255;

/// A file on its way to its destination; dropped before it is placed, it is removed.
pub(super) struct Part {
    // Fields are dropped in this order: who gets the lock next finds nothing.
    data: TempPath,
    _lock: Lock,
}

impl Part {
    /// Claims the place beside `dest`. There is no file yet at [`path`](Self::path).
    ///
    /// # Errors
    ///
    /// - another run is writing `dest`
    /// - the folder cannot be written to, or something that is not ours has the names
    pub(super) fn claim(dest: &Path) -> Result<Part, StorageError> {
        let lock = Lock::take(beside(dest, ".lock"), dest)?;
        let data = path_of(dest);
        if let Some(meta) = stat(&data)? {
            if !meta.is_file() {
                return Err(foreign(&data, "it is no regular file"));
            }
            fs::remove_file(&data).map_err(|e| StorageError::io("remove", &data, e))?;
        }
        let data = TempPath::try_from_path(data).map_err(|e| StorageError::io("create", dest, e))?;
        Ok(Part { data, _lock: lock })
    }

    /// Where to write.
    pub(super) fn path(&self) -> &Path {
        &self.data
    }

    /// Renames what was written to `dest`, over what is there if `replace`.
    pub(super) fn place(self, dest: &Path, replace: bool) -> io::Result<()> {
        let placed = if replace { self.data.persist(dest) } else { self.data.persist_noclobber(dest) };
        placed.map_err(|e| e.error)
    }
}

/// An empty file that is held locked, and removed in the end.
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn take(path: PathBuf, dest: &Path) -> Result<Lock, StorageError> {
        loop {
            if stat(&path)?.is_some_and(|meta| !meta.is_file() || meta.len() > 0) {
                return Err(foreign(&path, "it is no lock of partwise"));
            }
            let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let file = opened.map_err(|e| StorageError::io("create", &path, e))?;
            // On file systems without locks two runs at once are not noticed.
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                return Err(StorageError::Busy { path: dest.into() });
            }
            // Whoever held it may have removed it between our opening and our locking.
            if is_in_place(&file, &path)? {
                return Ok(Lock { path, _file: file });
            }
        }
    }
}

/// Whether `file` is the one at `path`.
fn is_in_place(file: &File, path: &Path) -> Result<bool, StorageError> {
    let own = file.metadata().map_err(|e| StorageError::io("read", path, e))?;
    Ok(stat(path)?.is_some_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())))
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Nobody is left to tell; what stays is taken over by the next run.
        let _ = fs::remove_file(&self.path);
    }
}

/// What is at `path`, if anything.
pub(super) fn stat(path: &Path) -> Result<Option<fs::Metadata>, StorageError> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StorageError::io("create", path, error)),
    }
}

fn foreign(path: &Path, reason: &str) -> StorageError {
    StorageError::NotReplaceable { path: path.into(), reason: reason.into() }
}

/// Where what is to be at `dest` is written.
pub(super) fn path_of(dest: &Path) -> PathBuf {
    beside(dest, ".part")
}

/// The hidden name beside `dest` with `suffix`; a name that would be too long is cut and told apart by its checksum.
fn beside(dest: &Path, suffix: &str) -> PathBuf {
    let name = dest.file_name().unwrap_or_default();
    let text = name.to_string_lossy();
    let plain = format!(".{text}{suffix}");
    if plain.len() <= LONGEST && name.to_str().is_some() {
        return dest.with_file_name(plain);
    }
    let sum = crc32c::crc32c(name.as_bytes());
    let kept = text.floor_char_boundary(LONGEST - suffix.len() - 10);
    dest.with_file_name(format!(".{}-{sum:08x}{suffix}", &text[..kept]))
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
