//! The store in blocks of other heights, in a folder that goes when it is done with.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use partwise::driver::DataShape;
use partwise::storage::{Overwrite, StorageError, Store, reblock};

use crate::failure::{Code, Failure};
use crate::progress::Progress;
use crate::size::ByteSize;
use crate::{machine, output};

/// What a file system needs besides the bytes of files, for each copy: blocks that are not full, folders.
const SLACK_BYTES: u64 = 1 << 20;

/// Held locked in the folder of the copies, so that what a killed run left can be told from what another one needs.
const LOCK: &str = "running.lock";

/// A store for every height; those that had to be made are removed when this is dropped.
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
    /// Copies `store` into blocks of each of `heights` but its own, in a new folder in `parent` (or beside the store), which
    /// has to hold `scratch_bytes` besides.
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
        output::check(&path, false)?;

        let missing: Vec<usize> = heights.iter().copied().filter(|&rows| rows != store.block_rows()).collect();
        let needed = missing.len() as u64 * (store.summary().bytes + SLACK_BYTES) + scratch_bytes;
        check_space(parent, needed, missing.len())?;

        let mut copies = Copies { folder: Folder::make(path)?, stores: vec![Cut { path: whole, shape: store.into() }] };
        for rows in missing {
            let dest = copies.folder().join(format!("{rows}.pw"));
            let copy = reblock(store, &dest, rows, Overwrite::Refuse, progress)?;
            copies.stores.push(Cut { path: dest, shape: (&copy).into() });
        }
        Ok(copies)
    }

    /// The folder of the copies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// The store in blocks of `block_rows` rows, one of the heights that were asked for.
    pub(super) fn of_height(&self, block_rows: usize) -> &Cut {
        let found = self.stores.iter().find(|cut| cut.shape.block_rows == block_rows);
        found.expect("a store was made for every height")
    }

    /// Removes the folder and says so if that fails.
    pub(super) fn remove(self) -> Result<(), Failure> {
        let path = self.folder();
        Ok(fs::remove_dir_all(path).map_err(|error| StorageError::io("remove", path, error))?)
    }
}

fn check_space(folder: &Path, needed: u64, copies: usize) -> Result<(), Failure> {
    // A system that does not tell finds out by writing.
    let free = machine::free_space(folder).unwrap_or(u64::MAX);
    if needed <= free {
        return Ok(());
    }
    let (needed, free) = (ByteSize(needed), ByteSize(free));
    Err(Failure::new(
        Code::Io,
        format!(
            "{}: {copies} copies of the store take {needed} and {free} are free here; choose a folder with room (--tmp DIR) \
             or fewer heights (--block-rows)",
            folder.display()
        ),
    ))
}

/// Removes folders of copies that killed runs have left in `parent`, as far as they can be removed: nothing depends on it.
fn remove_left(parent: &Path, begin: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().and_then(|name| name.strip_prefix(begin)).is_some_and(is_number);
        let lock = entry.path().join(LOCK);
        if ours && File::open(lock).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<u32>().is_ok()
}

/// A folder that is removed when dropped.
struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    fn make(path: PathBuf) -> Result<Self, Failure> {
        let locked = || {
            fs::create_dir(&path)?;
            let lock = File::create(path.join(LOCK))?;
            // On file systems without locks nothing that was left is removed, either.
            let _ = lock.try_lock();
            Ok::<_, std::io::Error>(lock)
        };
        match locked() {
            Ok(lock) => Ok(Folder { path, _lock: lock }),
            Err(error) => Err(Failure::new(
                Code::Io,
                format!("{}: cannot create: {error}; choose a folder to write to with --tmp DIR", path.display()),
            )),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody is left to tell; after an orderly end it is gone already.
        let _ = fs::remove_dir_all(&self.path);
    }
}
