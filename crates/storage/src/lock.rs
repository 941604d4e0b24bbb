//! The lock of an output: while a run writes `NAME`, under any temporary name, it holds a lock on
//! `.NAME.lock` beside it.
//!
//! The file is empty, and the run removes it at its end. A killed run leaves it unlocked, and the
//! next run that writes `NAME` takes it over.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::StorageError;
use crate::crash;

/// The most bytes that file systems allow in a name.
const LONGEST: usize = 255;

/// The lock on one output, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
    _entry: crash::Entry,
}

impl Lock {
    /// Locks the file beside `dest`.
    ///
    /// # Errors
    ///
    /// - another run holds it
    /// - the folder is not writable, or something else has the name of the lock
    pub(crate) fn take(dest: &Path) -> Result<Lock, StorageError> {
        let path = beside(dest, ".lock");
        loop {
            if stat(&path)?.is_some_and(|meta| !meta.is_file() || meta.len() > 0) {
                return Err(foreign(&path, "it is not a lock of partwise"));
            }
            let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let file = opened.map_err(|e| StorageError::io("create", &path, e))?;
            // File systems without locks do not prevent two runs at once.
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                return Err(StorageError::Busy { path: dest.into() });
            }
            // The previous holder may have removed it between the opening and the locking.
            if is_in_place(&file, &path)? {
                let _entry = crash::Entry::unfinished_file(&path);
                return Ok(Lock { path, _file: file, _entry });
            }
        }
    }

    /// Whether the lock beside `dest` exists: a run holds it, or a killed run has left it.
    ///
    /// # Errors
    ///
    /// - the folder cannot be read
    pub(crate) fn is_left(dest: &Path) -> Result<bool, StorageError> {
        Ok(stat(&beside(dest, ".lock"))?.is_some())
    }
}

/// Whether `file` is still the file at `path`.
fn is_in_place(file: &File, path: &Path) -> Result<bool, StorageError> {
    let own = file.metadata().map_err(|e| StorageError::io("read", path, e))?;
    Ok(stat(path)?.is_some_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())))
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An error has no receiver here. The next run takes over a file that stays.
        let _ = fs::remove_file(&self.path);
    }
}

/// The metadata of what is at `path`; `None` if nothing is.
pub(crate) fn stat(path: &Path) -> Result<Option<fs::Metadata>, StorageError> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StorageError::io("create", path, error)),
    }
}

/// The error of a file in the way that partwise did not write.
pub(crate) fn foreign(path: &Path, reason: &str) -> StorageError {
    StorageError::NotReplaceable { path: path.into(), reason: reason.into() }
}

/// The hidden name beside `dest` with `suffix`. A name that would be too long is cut, and its
/// checksum keeps it unique.
pub(crate) fn beside(dest: &Path, suffix: &str) -> PathBuf {
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
