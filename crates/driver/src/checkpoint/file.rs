//! Files with a size and a checksum, written to the disk and read back as they were.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use partwise_storage::{StorageError, traffic};
use serde::{Deserialize, Serialize};

/// Bytes in the buffer; larger pieces go straight to the file.
const BUFFER: usize = 64 << 10;
/// Bytes after which a file is flushed to the disk. One flush of everything at the end could take
/// minutes without visible progress, and until then it would fill the page cache, which is for the
/// data.
const FLUSH: u64 = 64 << 20;

/// Size and checksum (CRC-32C) of a file, or of the part of it that vouches for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seal {
    pub(crate) bytes: u64,
    pub(crate) crc32c: u32,
}

/// A file that is being written.
pub(crate) struct Draft {
    path: PathBuf,
    file: BufWriter<File>,
    seal: Seal,
    /// Bytes that are on the disk.
    flushed: u64,
}

impl Draft {
    /// A new file, or an old one emptied.
    pub(crate) fn create(path: &Path) -> Result<Self, StorageError> {
        // Opening a pipe would wait without end.
        if fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file()) {
            let reason = "it is not a regular file".into();
            return Err(StorageError::NotReplaceable { path: path.into(), reason });
        }
        let file = File::create(path).map_err(|error| StorageError::io("create", path, error))?;
        let seal = Seal { bytes: 0, crc32c: 0 };
        Ok(Draft { path: path.into(), file: BufWriter::with_capacity(BUFFER, file), seal, flushed: 0 })
    }

    /// Adds bytes at the end.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.put_vouched_for(bytes)?;
        self.seal.crc32c = crc32c::crc32c_append(self.seal.crc32c, bytes);
        Ok(())
    }

    /// Adds bytes whose checksum stands elsewhere in the file.
    pub(super) fn put_vouched_for(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.write_all(bytes).map_err(|error| StorageError::io("write", &self.path, error))?;
        traffic::ended();
        self.seal.bytes += bytes.len() as u64;
        if self.seal.bytes - self.flushed >= FLUSH {
            self.file.flush().map_err(|error| StorageError::io("write", &self.path, error))?;
            self.file.get_ref().sync_data().map_err(|error| StorageError::io("sync", &self.path, error))?;
            traffic::ended();
            forget(self.file.get_ref());
            self.flushed = self.seal.bytes;
        }
        Ok(())
    }

    /// Brings everything to the disk.
    pub(crate) fn finish(self) -> Result<Seal, StorageError> {
        let path = &self.path;
        let file = self.file.into_inner().map_err(|error| StorageError::io("write", path, error.into_error()))?;
        file.sync_all().map_err(|error| StorageError::io("sync", path, error))?;
        traffic::ended();
        forget(&file);
        Ok(self.seal)
    }
}

/// Frees the page cache of a file that is on the disk, since nothing reads it soon. Some file
/// systems refuse.
fn forget(file: &File) {
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// A file that is being read, from its first byte to its last.
pub(crate) struct Sealed {
    path: PathBuf,
    file: BufReader<File>,
    /// Bytes that have not been taken.
    left: u64,
    crc: u32,
}

impl Sealed {
    /// Opens a file that must have `bytes` bytes.
    pub(crate) fn open(path: &Path, bytes: u64) -> Result<Self, StorageError> {
        check_size(path, bytes)?;
        let file = File::open(path).map_err(|error| StorageError::io("open", path, error))?;
        Ok(Sealed { path: path.into(), file: BufReader::with_capacity(BUFFER, file), left: bytes, crc: 0 })
    }

    /// Fills `bytes` with the next bytes of the file.
    pub(crate) fn take(&mut self, bytes: &mut [u8]) -> Result<(), StorageError> {
        self.file.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => StorageError::damaged(&self.path, "its end", "later", "here"),
            _ => StorageError::io("read", &self.path, error),
        })?;
        traffic::ended();
        self.left = self.left.saturating_sub(bytes.len() as u64);
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that have not been taken.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Checks that everything was taken, and compares its checksum.
    pub(crate) fn finish(self, crc: u32) -> Result<(), StorageError> {
        if self.left > 0 {
            return Err(StorageError::damaged(&self.path, "its end", "here", format!("{} bytes later", self.left)));
        }
        check_crc(&self.path, "its checksum", crc, self.crc)
    }
}

/// Checks that there is a regular file of `bytes` bytes. A missing one counts as damage.
pub(super) fn check_size(path: &Path, bytes: u64) -> Result<(), StorageError> {
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => Err(StorageError::damaged(path, "it", "a regular file", "something else")),
        Ok(meta) if meta.len() == bytes => Ok(()),
        Ok(meta) => Err(StorageError::damaged(path, "the number of bytes", bytes, meta.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(StorageError::damaged(path, "the file", "there", "nothing"))
        }
        Err(error) => Err(StorageError::io("read", path, error)),
    }
}

/// Compares checksums.
pub(super) fn check_crc(path: &Path, what: &str, expected: u32, found: u32) -> Result<(), StorageError> {
    if expected == found {
        return Ok(());
    }
    Err(StorageError::damaged(path, what, format!("{expected:08x}"), format!("{found:08x}")))
}

/// The damage of a checkpoint file in words. The error's own message advises to convert the input
/// again, which would not help.
pub(super) fn reason(error: &StorageError) -> String {
    match error {
        StorageError::Damaged { path, what, expected, found } => {
            format!("{}: {what} should be {expected}, found {found}", path.display())
        }
        other => other.to_string(),
    }
}

/// Brings the entries of a folder to the disk.
pub(super) fn sync_folder(path: &Path) -> Result<(), StorageError> {
    let folder = File::open(path).map_err(|error| StorageError::io("open", path, error))?;
    folder.sync_all().map_err(|error| StorageError::io("sync", path, error))
}
