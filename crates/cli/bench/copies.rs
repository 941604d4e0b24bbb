//! Copies of the store in blocks of other heights, in a folder that is removed at the end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use partwise::driver::DataShape;
use partwise::storage::{Overwrite, StorageError, Store, reblock};

use crate::failure::{Code, Failure};
use crate::progress::Progress;
use crate::size::ByteSize;
use partwise::job::{Output, OutputKind, Paths, Role, output};
use partwise::machine;

/// The bytes that a file system needs for each copy beside its files: folders, and blocks that are
/// not full.
const SLACK_BYTES: u64 = 1 << 20;

/// A file in the folder of the copies. A run keeps it locked, so that another run recognises the
/// folder of a killed run.
const LOCK: &str = "running.lock";

/// A store for every height. Drop removes the copies.
pub(super) struct Copies {
    folder: Folder,
    stores: Vec<Cut>,
}

/// The store in blocks of one height.
pub(super) struct Cut {
    pub(super) path: PathBuf,
    pub(super) shape: DataShape,
}

impl Copies {
    /// Copies `store` into blocks of each of the other `heights`, in a new folder in `parent` (by
    /// default beside the store). The folder must have room for `scratch_bytes` in addition.
    ///
    /// # Errors
    ///
    /// - the folder cannot be created, or has too little room
    /// - the store is damaged, or a copy cannot be written
    /// - the user interrupts the run
    pub(super) fn make(
        store: &Store,
        heights: &[usize],
        parent: Option<&Path>,
        scratch_bytes: u64,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        let whole = store.path().canonicalize().map_err(|error| StorageError::io("find", store.path(), error))?;
        let parent = parent.unwrap_or_else(|| output::folder(&whole));
        let name = whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned();
        let begin = format!("{name}.bench-");
        remove_left(parent, &begin);
        let path = parent.join(format!("{begin}{}", std::process::id()));
        let folder =
            Output { role: Role::Output, path: path.clone(), kind: OutputKind::Store, overwrite: Overwrite::Refuse };
        Paths::default().writing(folder).check()?;

        let missing: Vec<usize> = heights.iter().copied().filter(|&rows| rows != store.block_rows()).collect();
        let needed = missing.len() as u64 * (store.summary().bytes + SLACK_BYTES) + scratch_bytes;
        check_space(parent, needed, missing.len())?;

        let mut copies = Copies {
            folder: Folder::make(path)?,
            stores: vec![Cut { path: whole, shape: DataShape::of_store(store)? }],
        };
        for rows in missing {
            let dest = copies.folder().join(format!("{rows}.pw"));
            let copy = reblock(store, &dest, rows, Overwrite::Refuse, progress)?;
            copies.stores.push(Cut { path: dest, shape: DataShape::of_store(&copy)? });
        }
        Ok(copies)
    }

    /// The folder of the copies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// The store in blocks of `block_rows` rows, which is one of the heights.
    pub(super) fn of_height(&self, block_rows: usize) -> &Cut {
        let found = self.stores.iter().find(|cut| cut.shape.block_rows == block_rows);
        found.expect("a store was made for every height")
    }

    /// Removes the folder.
    ///
    /// # Errors
    ///
    /// When the folder cannot be removed.
    pub(super) fn remove(self) -> Result<(), Failure> {
        let path = self.folder();
        Ok(fs::remove_dir_all(path).map_err(|error| StorageError::io("remove", path, error))?)
    }
}

fn check_space(folder: &Path, needed: u64, copies: usize) -> Result<(), Failure> {
    // If the system does not report the free space, the first write that fails does.
    let free = machine::free_space(folder).unwrap_or(u64::MAX);
    if needed <= free {
        return Ok(());
    }
    let (needed, free) = (ByteSize(needed), ByteSize(free));
    Err(Failure::new(
        Code::Io,
        format!(
            "{}: {copies} copies of the store take {needed}, and only {free} are free here; choose another folder (--tmp DIR) or \
             fewer heights (--block-rows)",
            folder.display()
        ),
    ))
}

/// Removes the folders that killed runs have left in `parent`. Ignores those that cannot be
/// removed.
fn remove_left(parent: &Path, begin: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().and_then(|name| name.strip_prefix(begin)).is_some_and(is_number);
        let lock = entry.path().join(LOCK);
        // Opening a pipe would wait without end.
        if ours && lock.is_file() && File::open(lock).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<u32>().is_ok()
}

/// A folder that drop removes.
struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    fn make(path: PathBuf) -> Result<Self, Failure> {
        let locked = || {
            fs::create_dir(&path)?;
            let lock = File::create(path.join(LOCK))?;
            // On a file system without locks, no run removes the folder of another one.
            let _ = lock.try_lock();
            Ok::<_, std::io::Error>(lock)
        };
        match locked() {
            Ok(lock) => Ok(Folder { path, _lock: lock }),
            Err(error) => Err(Failure::new(
                Code::Io,
                format!("{}: cannot create: {error}; choose a writable folder with --tmp DIR", path.display()),
            )),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // An error here cannot be reported. After a normal end the folder is gone already.
        let _ = fs::remove_dir_all(&self.path);
    }
}
