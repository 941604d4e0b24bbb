//! The lock of a run that is writing: `NAME` is written, as whatever and wherever, while `.NAME.lock` beside it is held locked.
//!
//! The file is empty, and gone when the run ends. A killed one leaves it unlocked; the next run that writes `NAME` takes it over.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::StorageError;

/// Bytes that file systems allow in a name.
const LONGEST: usize = 255;

/// Held while one run writes what will be at a path.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Locks the file beside `dest`.
    ///
    /// # Errors
    ///
    /// - another run holds it
    /// - the folder cannot be written to, or something that is not ours has the name
    pub(crate) fn take(dest: &Path) -> Result<Lock, StorageError> {
        let path = beside(dest, ".lock");
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

    /// Whether the file beside `dest` is there: a run holds it, or a killed one has left it.
    ///
    /// # Errors
    ///
    /// - the folder cannot be read
    pub(crate) fn is_left(dest: &Path) -> Result<bool, StorageError> {
        Ok(stat(&beside(dest, ".lock"))?.is_some())
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
pub(crate) fn stat(path: &Path) -> Result<Option<fs::Metadata>, StorageError> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StorageError::io("create", path, error)),
    }
}

/// Something that is not ours is in the way.
pub(crate) fn foreign(path: &Path, reason: &str) -> StorageError {
    StorageError::NotReplaceable { path: path.into(), reason: reason.into() }
}

/// The hidden name beside `dest` with `suffix`; a name that would be too long is cut and told apart by its checksum.
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
