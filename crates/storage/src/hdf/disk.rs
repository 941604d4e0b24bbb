//! A file under the HDF5 library whose writes succeed, even if the disk is full.
//!
//! The library keeps structures in memory and writes them when it needs room, or at the end. If
//! such a write fails, it can neither keep nor drop them: release 1.10 then crashes, at once or when
//! the file is closed. Here the library never sees a failed write. The first failure is recorded,
//! and everything written from then on stays in memory, so that the library reads back what it
//! wrote until it has closed the file. Writers ask for the [failure](Disk::failure) before each
//! piece of data and at the end, and the unfinished file is removed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::traffic;

/// Bytes that are kept together after a failure.
const PAGE: usize = 4096;

/// Pages of values that are kept after a failure. The library does not need values to close a file,
/// but it reads a chunk again to complete it.
const VALUE_PAGES: usize = 1024;

/// The error if the system gives no reason: `EIO`.
const UNKNOWN: i32 = 5;

/// The meaning of bytes to the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Values of datasets.
    Values,
    /// Everything else: headers, indices, heaps.
    Structure,
}

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Disk {
    file: File,
    kept: Mutex<Kept>,
}

/// What the disk did not take.
#[derive(Debug, Default)]
struct Kept {
    /// The system's code of the first failure.
    failure: Option<i32>,
    /// Pages by number. They replace those of the file.
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl Disk {
    pub(super) fn new(file: File) -> Disk {
        Disk { file, kept: Mutex::default() }
    }

    /// The error of the first write that failed, if any has.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        self.kept().failure.map(io::Error::from_raw_os_error)
    }

    /// The bytes of the file; 0 if the system does not tell.
    pub(super) fn len(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len())
    }

    /// Makes room for `bytes` bytes from `at` on, so that writing them cannot find the disk full.
    /// Does nothing on file systems that cannot reserve room.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    pub(crate) fn reserve(&self, at: u64, bytes: u64) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), at, bytes) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Flushes the file to the disk.
    ///
    /// # Errors
    ///
    /// - a write has failed, now or before
    pub(crate) fn sync(&self) -> io::Result<()> {
        match self.failure() {
            Some(failure) => Err(failure),
            None => self.file.sync_all().inspect(|()| traffic::ended()),
        }
    }

    /// Writes `bytes` from `at` on.
    pub(super) fn write(&self, at: u64, bytes: &[u8], content: Content) {
        let mut kept = self.kept();
        if kept.failure.is_none() {
            match self.put(at, bytes) {
                Ok(()) => return,
                Err(error) => kept.failure = Some(code_of(&error)),
            }
        }
        if content == Content::Values && kept.pages.len() + bytes.len() / PAGE > VALUE_PAGES {
            return;
        }
        for (page, inside, part) in pages_of(at, bytes.len()) {
            let held = kept.pages.entry(page).or_insert_with(|| {
                let mut held = Box::new([0; PAGE]);
                // Zeros where the file cannot be read.
                let _ = self.fill(page * PAGE as u64, &mut held[..]);
                held
            });
            held[inside.clone()].copy_from_slice(&bytes[part..part + inside.len()]);
        }
    }

    /// Reads `out` from `at` on. Bytes beyond the end are zero.
    ///
    /// # Errors
    ///
    /// - the disk is failing
    pub(super) fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let kept = self.kept();
        let read = self.fill(at, out);
        for (page, inside, part) in pages_of(at, out.len()) {
            if let Some(held) = kept.pages.get(&page) {
                out[part..part + inside.len()].copy_from_slice(&held[inside]);
            }
        }
        if kept.failure.is_some() { Ok(()) } else { read }
    }

    /// Cuts or extends the file to `len` bytes.
    pub(super) fn set_len(&self, len: u64) {
        let mut kept = self.kept();
        if kept.failure.is_none() {
            kept.failure = self.file.set_len(len).err().map(|error| code_of(&error));
        }
    }

    fn put(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if WRITES_LEFT.replace(WRITES_LEFT.get().saturating_sub(1)) == 0 {
            return Err(io::Error::from(rustix::io::Errno::NOSPC));
        }
        self.file.write_all_at(bytes, at)?;
        traffic::ended();
        Ok(())
    }

    /// Fills `out` from the file.
    fn fill(&self, mut at: u64, mut out: &mut [u8]) -> io::Result<()> {
        while !out.is_empty() {
            match self.file.read_at(out, at) {
                Ok(0) => break,
                Ok(count) => {
                    traffic::ended();
                    at += count as u64;
                    out = &mut out[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    out.fill(0);
                    return Err(error);
                }
            }
        }
        out.fill(0);
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
thread_local! {
    /// Writes of this thread until the disk is full.
    pub(crate) static WRITES_LEFT: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

fn code_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(UNKNOWN)
}

/// The pages that `len` bytes from `at` on touch: the number of each, the range inside it, and where
/// that range begins among the bytes.
fn pages_of(at: u64, len: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let place = at + done as u64;
        let start = (place % PAGE as u64) as usize;
        let count = (PAGE - start).min(len - done);
        let part = done;
        done += count;
        (count > 0).then_some((place / PAGE as u64, start..start + count, part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_everything_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, [7; 5000]).unwrap();
        // A file opened for reading fails every write.
        let disk = Disk::new(File::open(&path).unwrap());
        assert!(disk.failure().is_none());
        disk.write(4990, &[1; 20], Content::Structure);
        disk.write(20_000, &[2; 3], Content::Values);
        disk.set_len(30_000);
        let mut out = [9; 40];
        disk.read(4980, &mut out).unwrap();
        assert_eq!(out[..10], [7; 10]);
        assert_eq!(out[10..30], [1; 20]);
        assert_eq!(out[30..], [0; 10]);
        disk.read(19_999, &mut out[..5]).unwrap();
        assert_eq!(out[..5], [0, 2, 2, 2, 0]);
        assert!(disk.failure().is_some() && disk.sync().is_err());
        assert_eq!(std::fs::read(&path).unwrap(), [7; 5000]);
    }

    #[test]
    fn values_beyond_a_few_megabytes_are_dropped_and_structures_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "").unwrap();
        let disk = Disk::new(File::open(&path).unwrap());
        disk.write(0, &vec![1; PAGE * VALUE_PAGES + PAGE], Content::Values);
        assert_eq!(disk.kept().pages.len(), 0);
        disk.write(0, &vec![1; PAGE * VALUE_PAGES + PAGE], Content::Structure);
        assert_eq!(disk.kept().pages.len(), VALUE_PAGES + 1);
    }
}
