//! A full disk gives an error that names the path, and leaves no file. Needs the right to mount a
//! small file system in memory.

use std::path::{Path, PathBuf};

use partwise_storage::{ErrorKind, Overwrite, Quiet, StorageError, convert, export};
use rustix::mount::{MountFlags, UnmountFlags};

use super::inputs::{Table, contents, spec};

/// A file system of two megabytes, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path) -> Option<SmallDisk> {
        // A system call, not a program: a process that starts while another test has an HDF5 file
        // open inherits it, and its lock.
        if rustix::mount::mount("tmpfs", folder, "tmpfs", MountFlags::empty(), Some(c"size=2m")).is_ok() {
            return Some(SmallDisk(folder.into()));
        }
        eprintln!("SKIPPED: a full disk cannot be tested without the right to mount one");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, UnmountFlags::empty());
    }
}

fn assert_full(result: Result<(), StorageError>, disk: &SmallDisk) {
    let error = result.expect_err("the disk is full");
    let said = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Io, "{said}");
    assert!(said.contains(&*disk.0.to_string_lossy()) && said.contains("No space left"), "{said}");
    assert_eq!(contents(&disk.0), [], "{said}");
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else { return };
    let (store, result) = (disk.0.join("a.pw"), disk.0.join("a.h5ad"));
    // The disk is full while blocks are written, and while names are.
    for table in
        [Table::counts(20_000, 300, 3, true), Table::counts(40_000, 30, 30, true), Table::counts(3_000, 300, 1, false)]
    {
        assert_full(convert(&mut table.clone(), &store, &spec(1 << 30, 2), &Quiet).map(drop), &disk);
        let elsewhere = tempfile::tempdir().unwrap();
        let whole = convert(&mut table.clone(), &elsewhere.path().join("a.pw"), &spec(1 << 30, 2), &Quiet).unwrap();
        assert_full(export(&whole, &result, Overwrite::Refuse, &Quiet), &disk);
    }
    // The same process can then write a smaller store.
    convert(&mut Table::counts(500, 30, 3, true), &store, &spec(1 << 30, 2), &Quiet).unwrap();
}
