//! The record that a handler of fatal signals reads: which files this process reads and which it
//! has not finished writing.
//!
//! A library written in C may crash on a damaged file, and reading a map crashes if the file has
//! become shorter. Then no error comes back and nothing is dropped. A program that handles fatal
//! signals can still name the file at fault ([`culprit`]) and remove what is unfinished
//! ([`remove_unfinished`]). Both are safe to call from a signal handler: they neither allocate nor
//! wait, and give up if another thread holds the record.
//!
//! This crate handles no signals. It only keeps the record, one entry for each file that is open.

use std::ffi::CStr;
use std::mem;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// All entries, in static memory: a crash often follows damage to the heap.
static RECORD: Mutex<Record> = Mutex::new([const { Place::FREE }; ROOM]);
/// The most entries. A store has one for each block file, of 4 GiB. Files beyond are not recorded.
const ROOM: usize = 512;
/// The most bytes of a path, with the zero byte that ends it: as many as the system takes.
const LONGEST: usize = 4096;
/// The number of entries so far.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// Grows with every call of the HDF5 library.
#[cfg(feature = "hdf5")]
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Attempts to take the lock in a handler. Another thread holds it for microseconds.
const ATTEMPTS: usize = 1000;
/// Attempts to remove a folder into which another thread still writes.
const SWEEPS: usize = 20;

type Record = [Place; ROOM];

/// A place for an entry. A free one is all zeros, so that the record takes no memory before it is
/// used.
struct Place {
    /// The number of the entry, from 1 on; 0 if the place is free.
    number: u64,
    work: Work,
    path: [u8; LONGEST],
}

impl Place {
    const FREE: Place = Place { number: 0, work: Work::UnfinishedFile, path: [0; LONGEST] };

    fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.path).unwrap_or_default()
    }
}

/// The work on a file.
#[derive(PartialEq, Eq)]
enum Work {
    UnfinishedFile,
    /// A folder that holds nothing but files of this run.
    UnfinishedFolder,
    /// Mapped to these addresses.
    Mapped(Range<usize>),
    #[cfg(feature = "hdf5")]
    ReadByHdf5,
}

/// An entry of the record, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Entry(u64);

impl Entry {
    fn new(path: &Path, work: Work) -> Entry {
        let number = 1 + COUNT.fetch_add(1, Ordering::Relaxed);
        let path = path.as_os_str().as_bytes();
        if path.len() < LONGEST
            && let Some(free) = lock().iter_mut().find(|place| place.number == 0)
        {
            free.path[..path.len()].copy_from_slice(path);
            free.path[path.len()] = 0;
            (free.work, free.number) = (work, number);
        }
        Entry(number)
    }

    /// The HDF5 library reads the file at `path`.
    #[cfg(feature = "hdf5")]
    pub(crate) fn read_by_hdf5(path: &Path) -> Entry {
        Self::new(path, Work::ReadByHdf5)
    }

    /// The file at `path` is mapped to these addresses.
    pub(crate) fn mapped(path: &Path, addresses: Range<usize>) -> Entry {
        Self::new(path, Work::Mapped(addresses))
    }

    /// The file at `path` is unfinished.
    pub(crate) fn unfinished_file(path: &Path) -> Entry {
        Self::new(path, Work::UnfinishedFile)
    }

    /// The folder at `path` and all files in it are unfinished.
    pub(crate) fn unfinished_folder(path: &Path) -> Entry {
        Self::new(path, Work::UnfinishedFolder)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(place) = lock().iter_mut().find(|place| place.number == self.0) {
            place.number = 0;
        }
    }
}

/// The entries of a record.
fn entries(record: &[Place]) -> impl Iterator<Item = &Place> {
    record.iter().filter(|place| place.number > 0)
}

fn lock() -> MutexGuard<'static, Record> {
    RECORD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lock, from a signal handler: the interrupted thread may hold it.
fn try_lock() -> Option<MutexGuard<'static, Record>> {
    (0..ATTEMPTS).find_map(|_| match RECORD.try_lock() {
        Ok(record) => Some(record),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => {
            std::thread::yield_now();
            None
        }
    })
}

/// A file that may be the cause of a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit<'a> {
    /// The HDF5 library was reading this file.
    Hdf5(&'a CStr),
    /// This mapped file has become shorter than it was when it was mapped.
    Shortened(&'a CStr),
    /// This mapped file could not be read at the address.
    Unreadable(&'a CStr),
}

/// Calls `tell` with the file to blame for a crash at `address` (0 if unknown); `None` if there is
/// none, or if another thread holds the record.
///
/// A map that contains the address comes first. Without one, it is the HDF5 file that was opened
/// last for reading and is still open: damage to the heap may show itself long after the call that
/// caused it.
pub fn culprit<T>(address: usize, tell: impl FnOnce(Option<Culprit<'_>>) -> T) -> T {
    let record = try_lock();
    let record = record.as_deref().map_or(&[][..], |record| &record[..]);
    let mapped = entries(record).find_map(|entry| match &entry.work {
        Work::Mapped(addresses) if addresses.contains(&address) => Some((entry.path(), addresses.len())),
        _ => None,
    });
    tell(match mapped {
        Some((path, length)) => Some(match rustix::fs::stat(path) {
            Ok(stat) if (stat.st_size as u64) < length as u64 => Culprit::Shortened(path),
            _ => Culprit::Unreadable(path),
        }),
        None => read_last(record).map(Culprit::Hdf5),
    })
}

/// The HDF5 file that was opened last for reading.
#[cfg(feature = "hdf5")]
fn read_last(record: &[Place]) -> Option<&CStr> {
    entries(record).filter(|entry| entry.work == Work::ReadByHdf5).max_by_key(|entry| entry.number).map(Place::path)
}

#[cfg(not(feature = "hdf5"))]
fn read_last(_record: &[Place]) -> Option<&CStr> {
    None
}

/// Removes every file and folder that this process has not finished. Errors are ignored: the next
/// run takes over what stays.
///
/// To be called when the process is about to end. Other threads may still be writing.
pub fn remove_unfinished() {
    let Some(record) = try_lock() else { return };
    // The newest first: the lock of an output is older than the output.
    let mut before = u64::MAX;
    let next = |before| entries(&record[..]).filter(|entry| entry.number < before).max_by_key(|entry| entry.number);
    while let Some(entry) = next(before) {
        entry.remove();
        before = entry.number;
    }
}

impl Place {
    /// Removes what is unfinished.
    fn remove(&self) {
        match self.work {
            Work::UnfinishedFile => drop(rustix::fs::unlink(self.path())),
            Work::UnfinishedFolder => remove_folder(self.path()),
            _ => (),
        }
    }
}

/// Removes a folder without folders in it.
#[cfg(target_os = "linux")]
fn remove_folder(path: &CStr) {
    use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(folder) = rustix::fs::openat(CWD, path, flags, Mode::empty()) else { return };
    for _ in 0..SWEEPS {
        // On the stack, which is small in a signal handler.
        let mut buffer = [mem::MaybeUninit::uninit(); 512];
        let _ = rustix::fs::seek(&folder, rustix::fs::SeekFrom::Start(0));
        let mut entries = RawDir::new(&folder, &mut buffer);
        while let Some(Ok(entry)) = entries.next() {
            let _ = rustix::fs::unlinkat(&folder, entry.file_name(), AtFlags::empty());
        }
        if rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR).is_ok() {
            return;
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn remove_folder(_path: &CStr) {}

/// Whether the calling thread is inside a call of the HDF5 library. Safe to call from a signal
/// handler.
#[cfg(feature = "hdf5")]
pub fn is_inside_hdf5() -> bool {
    hdf5_sys::LOCK.is_owned_by_current_thread()
}

/// Counts a call of the HDF5 library.
#[cfg(feature = "hdf5")]
pub(crate) fn count_call() {
    CALLS.fetch_add(1, Ordering::Relaxed);
}

/// The number of the call of the HDF5 library that is under way in some thread while it has a file
/// open for reading; `None` without such a call.
///
/// Each call reads or writes at most a few megabytes, or a few chunks. If the number does not grow
/// although the process computes for a minute, the library follows a circle in a damaged file.
#[cfg(feature = "hdf5")]
pub fn call_under_way() -> Option<u64> {
    let reads = read_last(&lock()[..]).is_some();
    (reads && hdf5_sys::LOCK.is_locked()).then(|| CALLS.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(address: usize) -> Option<(&'static str, String)> {
        culprit(address, |culprit| {
            let (kind, path) = match culprit? {
                Culprit::Hdf5(path) => ("hdf5", path),
                Culprit::Shortened(path) => ("shortened", path),
                Culprit::Unreadable(path) => ("unreadable", path),
            };
            Some((kind, path.to_string_lossy().into_owned()))
        })
    }

    #[test]
    fn a_map_is_found_by_its_address_and_by_its_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blocks-00000.bin");
        let text = path.to_string_lossy().into_owned();
        std::fs::write(&path, [0; 100]).unwrap();
        // Addresses that no file of another test is mapped to.
        let entry = Entry::mapped(&path, 4096..4196);
        assert_eq!(named(4195), Some(("unreadable", text.clone())));
        std::fs::write(&path, [0; 99]).unwrap();
        assert_eq!(named(4096), Some(("shortened", text)));
        drop(entry);
        assert!(named(4096).is_none_or(|(kind, _)| kind == "hdf5"));
    }

    #[test]
    fn unfinished_files_and_folders_are_removed_and_finished_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("x.pw.partial")).unwrap();
        for i in 0..200 {
            std::fs::write(at("x.pw.partial").join(format!("blocks-{i:05}.bin")), "x").unwrap();
        }
        std::fs::create_dir(at("y.pw")).unwrap();
        for name in [".r.h5ad.part", "r.h5ad", "y.pw/table.bin"] {
            std::fs::write(at(name), "x").unwrap();
        }
        let open = [Entry::unfinished_folder(&at("x.pw.partial")), Entry::unfinished_file(&at(".r.h5ad.part"))];
        drop([Entry::unfinished_folder(&at("y.pw")), Entry::unfinished_file(&at("r.h5ad"))]);
        // Not those of other tests, which share the record.
        let here = |place: &&Place| open.iter().any(|entry| entry.0 == place.number);
        lock().iter().filter(here).for_each(Place::remove);
        let mut names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["r.h5ad", "y.pw"]);
        assert!(at("y.pw/table.bin").exists());
    }
}
