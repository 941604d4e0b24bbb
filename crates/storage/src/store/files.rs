//! Reads and writes files with errors that name the path.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::StorageError;
use crate::traffic;

/// Bytes that one read asks for.
const PIECE: usize = 4 << 20;

/// Opens the file of a store at `path` for reading. Anything but a regular file is damage: opening
/// a pipe would wait without end.
pub(super) fn open(path: &Path) -> Result<File, StorageError> {
    size(path)?;
    File::open(path).map_err(|error| StorageError::io("open", path, error))
}

/// Size of the file of a store at `path`.
pub(super) fn size(path: &Path) -> Result<u64, StorageError> {
    let meta = fs::metadata(path).map_err(|error| StorageError::io("read", path, error))?;
    if meta.is_file() {
        return Ok(meta.len());
    }
    let found = if meta.is_dir() { "a folder" } else { "a pipe or a device" };
    Err(StorageError::damaged(path, "it", "a regular file", found))
}

/// Checks that the file of a store at `path` has `expected` bytes. A missing file is damage, too.
pub(super) fn check_size(path: &Path, expected: u64) -> Result<(), StorageError> {
    match size(path) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => Err(StorageError::damaged(path, "the number of bytes", expected, found)),
        Err(StorageError::NotFound { .. }) => Err(StorageError::damaged(path, "the file", "there", "nothing")),
        Err(other) => Err(other),
    }
}

/// Fills `bytes` from `offset` of `file` on.
pub(super) fn read_at(file: &File, path: &Path, offset: u64, bytes: &mut [u8]) -> Result<(), StorageError> {
    let mut at = offset;
    for piece in bytes.chunks_mut(PIECE) {
        file.read_exact_at(piece, at).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => StorageError::damaged(
                path,
                "the end of the file",
                format!("at or after byte {}", at + piece.len() as u64),
                "earlier",
            ),
            _ => StorageError::io("read", path, error),
        })?;
        traffic::ended();
        at += piece.len() as u64;
    }
    Ok(())
}

/// Advises the system that `length` bytes from `offset` of `file` on will not be read again soon.
pub(super) fn forget(file: &File, offset: u64, length: u64) {
    #[cfg(target_os = "linux")]
    if let Some(length) = std::num::NonZeroU64::new(length) {
        // Some file systems refuse: then the pages stay, as they would without this call.
        let _ = rustix::fs::fadvise(file, offset, Some(length), rustix::fs::Advice::DontNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, offset, length);
}

/// Reads `length` bytes of a mapped file from `offset` on into memory and maps their pages.
pub(super) fn populate(map: &memmap2::Mmap, offset: usize, length: usize) {
    // Kernels before 5.14 refuse: then each page is read when it is first used.
    #[cfg(target_os = "linux")]
    let _ = map.advise_range(memmap2::Advice::PopulateRead, offset, length);
    #[cfg(not(target_os = "linux"))]
    let _ = (map, offset, length);
}

/// Writes all of `bytes` to `offset` of `file`.
pub(super) fn write_at(file: &File, path: &Path, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
    file.write_all_at(bytes, offset).map_err(|error| StorageError::io("write", path, error))?;
    traffic::ended();
    Ok(())
}

/// The whole content of a file of a store with `bytes` bytes and checksum `crc`. Checks the size
/// before it allocates.
pub(super) fn read_checked(path: &Path, bytes: u64, crc: u32) -> Result<Vec<u8>, StorageError> {
    check_size(path, bytes)?;
    let length =
        usize::try_from(bytes).map_err(|_| StorageError::damaged(path, "the number of bytes", "less", bytes))?;
    let mut content = vec![0; length];
    read_at(&open(path)?, path, 0, &mut content)?;
    let found = crc32c::crc32c(&content);
    if found != crc {
        return Err(StorageError::damaged(path, "its checksum", format!("{crc:08x}"), format!("{found:08x}")));
    }
    Ok(content)
}

/// Size and checksum of a file, read in pieces.
pub(super) fn checksum(path: &Path) -> Result<(u64, u32), StorageError> {
    let mut file = open(path)?;
    let mut piece = vec![0; 1 << 20];
    let (mut bytes, mut crc) = (0, 0);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok((bytes, crc)),
            Ok(count) => {
                traffic::ended();
                bytes += count as u64;
                crc = crc32c::crc32c_append(crc, &piece[..count]);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(StorageError::io("read", path, error)),
        }
    }
}

/// Writes a new file with `content` and syncs it.
pub(super) fn create(path: &Path, content: &[u8]) -> Result<(), StorageError> {
    let mut file = File::create(path).map_err(|error| StorageError::io("create", path, error))?;
    file.write_all(content).map_err(|error| StorageError::io("write", path, error))?;
    sync(&file, path)
}

/// Syncs a file, or the entries of a folder.
pub(super) fn sync(file: &File, path: &Path) -> Result<(), StorageError> {
    file.sync_all().map_err(|error| StorageError::io("sync", path, error))?;
    traffic::ended();
    Ok(())
}

/// Syncs the entries of the folder `path`.
pub(super) fn sync_folder(path: &Path) -> Result<(), StorageError> {
    sync(&File::open(path).map_err(|error| StorageError::io("open", path, error))?, path)
}

/// Renames a file or folder.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StorageError> {
    fs::rename(from, to).map_err(|error| StorageError::io("rename to", to, error))
}

/// Little-endian numbers at positions in a record that is long enough.
pub(super) trait Fields {
    fn u32_at(&self, at: usize) -> u32;
    fn u64_at(&self, at: usize) -> u64;
    fn f32_at(&self, at: usize) -> f32 {
        f32::from_bits(self.u32_at(at))
    }
    fn f64_at(&self, at: usize) -> f64 {
        f64::from_bits(self.u64_at(at))
    }
}

impl Fields for [u8] {
    fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes(*self[at..].first_chunk().expect("a record that holds the field"))
    }

    fn u64_at(&self, at: usize) -> u64 {
        u64::from_le_bytes(*self[at..].first_chunk().expect("a record that holds the field"))
    }
}
