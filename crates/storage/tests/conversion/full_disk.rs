//! A full disk gives an error that names the path, and leaves no file. Needs the right to mount a
//! small file system in memory.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use hdf5::File;
use partwise_storage::{ErrorKind, Overwrite, Quiet, StorageError, convert, export, source};
use rustix::mount::{MountFlags, UnmountFlags};

use super::inputs::{Table, contents, spec};

/// A small file system, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, kilobytes: usize) -> Option<SmallDisk> {
        // A system call, not a program: a process that starts while another test has an HDF5 file
        // open inherits it, and its lock.
        let size = CString::new(format!("size={kilobytes}k")).unwrap();
        if rustix::mount::mount("tmpfs", folder, "tmpfs", MountFlags::empty(), Some(&*size)).is_ok() {
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
    let Some(disk) = SmallDisk::mount(folder.path(), 2048) else { return };
    let (store, result) = (disk.0.join("a.pw"), disk.0.join("a.h5ad"));
    // The disk is full while blocks are written, and while names are.
    for table in
        [Table::counts(20_000, 300, 3, true), Table::counts(40_000, 30, 30, true), Table::counts(3_000, 300, 1, false)]
    {
        assert_full(convert(Box::new(table.clone()), &store, &spec(1 << 30, 2), &Quiet).map(drop), &disk);
        let elsewhere = tempfile::tempdir().unwrap();
        let whole =
            convert(Box::new(table.clone()), &elsewhere.path().join("a.pw"), &spec(1 << 30, 2), &Quiet).unwrap();
        assert_full(export(&whole, &result, Overwrite::Refuse, &Quiet), &disk);
    }
    // The same process can then write a smaller store.
    convert(Box::new(Table::counts(500, 30, 3, true)), &store, &spec(1 << 30, 2), &Quiet).unwrap();
}

/// A file of many cells whose `obs` has a column in one large compressed chunk.
fn with_a_large_chunk(path: &Path) {
    const CELLS: usize = 550_000;
    let file = File::create(path).unwrap();
    let x = file.new_dataset::<f32>().shape((CELLS, 1)).create("X").unwrap();
    x.write_raw(&vec![1.0_f32; CELLS]).unwrap();
    let obs = file.create_group("obs").unwrap();
    let mut noise = 1_u64;
    let values: Vec<u64> = (0..CELLS)
        .map(|_| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            noise
        })
        .collect();
    obs.new_dataset_builder().with_data(&values).chunk(CELLS).deflate(1).create("noise").unwrap();
    file.close().unwrap();
}

#[test]
fn a_disk_that_fills_up_in_a_large_column_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let input = folder.path().join("x.h5ad");
    with_a_large_chunk(&input);
    let input = source::open(&input, &Default::default()).unwrap();
    let store = convert(input, &folder.path().join("x.pw"), &spec(1 << 30, 2), &Quiet).unwrap();
    let mut full = 0;
    for megabytes in (1..64).step_by(5) {
        let Some(disk) = SmallDisk::mount(&disk, megabytes << 10) else { return };
        let exported = export(&store, &disk.0.join("a.h5ad"), Overwrite::Refuse, &Quiet);
        if exported.is_ok() {
            break;
        }
        assert_full(exported, &disk);
        full += 1;
    }
    assert!((3..12).contains(&full), "{full} sizes were too small");
}
