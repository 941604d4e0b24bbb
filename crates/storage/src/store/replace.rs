//! Puts a new store at its destination, and never removes anything but a store.
//!
//! A store is written in a folder beside its destination, `NAME.pw.partial`, and renamed when it is
//! complete. It may replace
//!
//! - an empty folder, or a folder with files of a store but no manifest (an unfinished store),
//!   always;
//! - a store, if the caller allows it.
//!
//! Anything else stays: files, and folders with files that no store has.
//!
//! Replacing exchanges the two folders in one step, so that a store is at the destination at every
//! moment, the old or the new one. The old store is then removed under the partial name. Some
//! network file systems cannot exchange folders. There the old store is renamed to
//! `NAME.pw.replaced` in between, and the next conversion restores it if the new store did not
//! reach its place.
//!
//! The writer holds a [lock](crate::lock) beside the destination meanwhile. The remains of a killed
//! process are not locked. The next conversion to the same destination takes the partial folder
//! over and empties it.

use std::fs;
use std::path::{Path, PathBuf};

use super::files;
use super::names;
use super::stamp::Overwrite;
use crate::crash;
use crate::error::StorageError;
use crate::lock::{Lock, stat};

/// The content of a path where a store will be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Occupant {
    Nothing,
    /// An empty folder, or one with files of a store but no manifest.
    Unfinished,
    Store,
    /// Something else; the text describes it.
    Other(String),
}

fn occupant(path: &Path) -> Result<Occupant, StorageError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Occupant::Nothing),
        Err(error) => return Err(StorageError::io("read", path, error)),
    };
    if !metadata.is_dir() {
        let what = if metadata.is_symlink() { "a link" } else { "a file" };
        return Ok(Occupant::Other(format!("it is {what}, not a store")));
    }
    let mut manifest = false;
    for entry in fs::read_dir(path).map_err(|error| StorageError::io("read", path, error))? {
        let entry = entry.map_err(|error| StorageError::io("read", path, error))?;
        let name = entry.file_name();
        let plain = entry.file_type().map_err(|error| StorageError::io("read", path, error))?.is_file();
        if !plain || !name.to_str().is_some_and(names::is_ours) {
            return Ok(Occupant::Other(format!("it holds {}, which is not part of a store", name.display())));
        }
        manifest |= name == names::MANIFEST;
    }
    Ok(if manifest { Occupant::Store } else { Occupant::Unfinished })
}

/// Checks that a new store may replace what is at `dest`.
pub(crate) fn check(dest: &Path, overwrite: Overwrite) -> Result<(), StorageError> {
    match (occupant(dest)?, overwrite) {
        (Occupant::Nothing | Occupant::Unfinished, _) | (Occupant::Store, Overwrite::Replace) => Ok(()),
        (Occupant::Store, Overwrite::Refuse) => Err(StorageError::Exists { path: dest.into() }),
        (Occupant::Other(reason), _) => Err(StorageError::NotReplaceable { path: dest.into(), reason }),
    }
}

/// The folder in which a store is written. It is removed if it is dropped before it is placed.
#[derive(Debug)]
pub(super) struct Partial {
    folder: PathBuf,
    dest: PathBuf,
    overwrite: Overwrite,
    placed: bool,
    /// Whether the folder stays if it holds blocks.
    keep: bool,
    _entry: Option<crash::Entry>,
    /// Last, so that the next holder finds nothing.
    _lock: Lock,
}

impl Partial {
    /// Creates, or takes over, the partial folder of `dest`, and empties it unless it is to `keep` what is
    /// in it. If so, it also stays when this is dropped, and when the process crashes.
    pub(super) fn create(dest: &Path, overwrite: Overwrite, keep: bool) -> Result<Self, StorageError> {
        let folder = beside(dest, ".partial")?;
        if stat(parent(dest))?.is_none() {
            // The parent folder is missing, not the store.
            return Err(StorageError::NotFound { path: parent(dest).into() });
        }
        check(dest, overwrite)?;
        let lock = Lock::take(dest)?;
        put_back(dest)?;
        check(dest, overwrite)?;
        if !keep || occupant(&folder)? != Occupant::Unfinished {
            remove(&folder)?;
            fs::create_dir(&folder).map_err(|error| StorageError::io("create", &folder, error))?;
        }
        let _entry = (!keep).then(|| crash::Entry::unfinished_folder(&folder));
        Ok(Self { folder, dest: dest.into(), overwrite, placed: false, keep, _entry, _lock: lock })
    }

    /// The folder to write to.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Renames the folder, which is complete and synced, to its destination, and removes the store
    /// that it replaces.
    pub(super) fn place(mut self) -> Result<PathBuf, StorageError> {
        check(&self.dest, self.overwrite)?;
        let old = match occupant(&self.dest)? {
            Occupant::Nothing => {
                files::rename(&self.folder, &self.dest)?;
                None
            }
            _ => Some(self.exchange()?),
        };
        self.placed = true;
        files::sync_folder(parent(&self.dest))?;
        if let Some(old) = old {
            fs::remove_dir_all(&old).map_err(|error| StorageError::io("remove", &old, error))?;
        }
        Ok(self.dest.clone())
    }

    /// Exchanges the folder with the one at the destination. Returns the new path of the old one.
    fn exchange(&self) -> Result<PathBuf, StorageError> {
        if exchange(&self.folder, &self.dest)? {
            return Ok(self.folder.clone());
        }
        let old = beside(&self.dest, REPLACED)?;
        files::rename(&self.dest, &old)?;
        if let Err(error) = files::rename(&self.folder, &self.dest) {
            // Restore the old store. If that fails too, it is still complete under its other name.
            let _ = fs::rename(old, &self.dest);
            return Err(error);
        }
        Ok(old)
    }
}

/// Removes the files that a killed conversion to `dest` left beside it, unless another conversion
/// is running.
///
/// # Errors
///
/// When they cannot be removed.
pub fn remove_leftovers(dest: &Path) -> Result<(), StorageError> {
    let folder = beside(dest, ".partial")?;
    if stat(&folder)?.is_none() && !Lock::is_left(dest)? {
        return Ok(());
    }
    match Lock::take(dest) {
        Ok(_lock) => remove(&folder),
        Err(StorageError::Busy { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The suffix of a store that could not be exchanged with the new one in one step.
const REPLACED: &str = ".replaced";

/// Completes a replacement that a kill interrupted: restores the old store, or removes it if the
/// new one is in place.
fn put_back(dest: &Path) -> Result<(), StorageError> {
    let old = beside(dest, REPLACED)?;
    match (occupant(&old)?, occupant(dest)?) {
        (Occupant::Store, Occupant::Nothing) => files::rename(&old, dest),
        (Occupant::Store | Occupant::Unfinished, Occupant::Store) => remove(&old),
        _ => Ok(()),
    }
}

/// Removes the folder of a complete or unfinished store, if it exists.
fn remove(folder: &Path) -> Result<(), StorageError> {
    match occupant(folder)? {
        Occupant::Nothing => Ok(()),
        Occupant::Unfinished | Occupant::Store => {
            fs::remove_dir_all(folder).map_err(|error| StorageError::io("remove", folder, error))
        }
        Occupant::Other(reason) => Err(StorageError::NotReplaceable { path: folder.into(), reason }),
    }
}

/// Exchanges the names of two folders in one step. Returns false if the system or the file system
/// cannot.
#[cfg(target_os = "linux")]
fn exchange(new: &Path, dest: &Path) -> Result<bool, StorageError> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, new, CWD, dest, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(StorageError::io("rename to", dest, error.into())),
    }
}

#[cfg(not(target_os = "linux"))]
fn exchange(_new: &Path, _dest: &Path) -> Result<bool, StorageError> {
    Ok(false)
}

impl Drop for Partial {
    fn drop(&mut self) {
        let holds_blocks = || files::size(&self.folder.join(names::block_file(0))).is_ok_and(|bytes| bytes > 0);
        let stays = self.placed || self.keep && holds_blocks();
        if !stays {
            // An error has no receiver here. The next conversion takes over a folder that stays.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// `dest` with a suffix.
fn beside(dest: &Path, suffix: &str) -> Result<PathBuf, StorageError> {
    let Some(name) = dest.file_name() else {
        return Err(StorageError::Usage { message: format!("{}: is not a name for a store", dest.display()) });
    };
    let mut name = name.to_os_string();
    name.push(suffix);
    Ok(dest.with_file_name(name))
}

/// The folder that holds `dest`.
fn parent(dest: &Path) -> &Path {
    match dest.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn folder_with(root: &Path, files: &[&str]) -> PathBuf {
        let path = root.join("a.pw");
        fs::create_dir(&path).unwrap();
        files.iter().for_each(|name| fs::write(path.join(name), name).unwrap());
        path
    }

    #[test]
    fn only_stores_and_unfinished_ones_are_replaced() {
        let store = [names::MANIFEST, names::TABLE];
        let foreign = [names::MANIFEST, "notes.txt"];
        for (files, refuse, replace) in [
            (&[][..], true, true),
            (&[names::TABLE, "blocks-00000.bin"], true, true),
            (&store, false, true),
            (&foreign, false, false),
            (&["thesis.tex"], false, false),
        ] {
            let root = tempfile::tempdir().unwrap();
            let path = folder_with(root.path(), files);
            assert_eq!(check(&path, Overwrite::Refuse).is_ok(), refuse, "{files:?}");
            assert_eq!(check(&path, Overwrite::Replace).is_ok(), replace, "{files:?}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(check(file.path(), Overwrite::Replace).unwrap_err().kind(), ErrorKind::Exists);
    }

    #[test]
    fn a_partial_folder_is_locked_left_ones_are_taken_over() {
        let root = tempfile::tempdir().unwrap();
        let dest = root.path().join("a.pw");
        let left = root.path().join("a.pw.partial");
        fs::create_dir(&left).unwrap();
        fs::write(left.join(names::TABLE), "old").unwrap();
        let partial = Partial::create(&dest, Overwrite::Refuse, false).unwrap();
        assert!(!left.join(names::TABLE).exists());
        assert!(matches!(Partial::create(&dest, Overwrite::Refuse, false), Err(StorageError::Busy { .. })));
        remove_leftovers(&dest).unwrap();
        assert!(left.exists());
        drop(partial);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_replaced_is_gone_afterwards_and_what_a_kill_left_is_swept() {
        let root = tempfile::tempdir().unwrap();
        let dest = folder_with(root.path(), &[names::MANIFEST, names::TABLE]);
        let partial = Partial::create(&dest, Overwrite::Replace, false).unwrap();
        fs::write(partial.folder().join(names::MANIFEST), "new").unwrap();
        partial.place().unwrap();
        assert_eq!(fs::read(dest.join(names::MANIFEST)).unwrap(), b"new");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);

        let left = root.path().join("a.pw.partial");
        fs::create_dir(&left).unwrap();
        fs::write(left.join(names::TABLE), "old").unwrap();
        fs::write(root.path().join(".a.pw.lock"), "").unwrap();
        remove_leftovers(&dest).unwrap();
        assert!(dest.exists());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_store_whose_place_nobody_took_is_put_back() {
        let root = tempfile::tempdir().unwrap();
        let dest = folder_with(root.path(), &[names::MANIFEST]);
        let old = root.path().join("a.pw.replaced");
        fs::rename(&dest, &old).unwrap();
        assert!(matches!(Partial::create(&dest, Overwrite::Refuse, false), Err(StorageError::Exists { .. })));
        assert!(dest.join(names::MANIFEST).exists() && !old.exists());

        // If the new store is in place, the old one is removed.
        fs::create_dir(&old).unwrap();
        fs::write(old.join(names::MANIFEST), "old").unwrap();
        drop(Partial::create(&dest, Overwrite::Replace, false).unwrap());
        assert!(dest.exists() && !old.exists());
    }

    #[test]
    fn a_folder_of_the_partial_name_that_is_not_ours_stays() {
        let root = tempfile::tempdir().unwrap();
        let left = root.path().join("a.pw.partial");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("thesis.tex"), "years").unwrap();
        let error = Partial::create(&root.path().join("a.pw"), Overwrite::Replace, false).unwrap_err();
        assert!(error.to_string().contains("holds thesis.tex"), "{error}");
        assert!(left.join("thesis.tex").exists());
    }

    #[test]
    fn a_missing_parent_folder_is_named() {
        let root = tempfile::tempdir().unwrap();
        let error = Partial::create(&root.path().join("none/a.pw"), Overwrite::Refuse, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().ends_with("none: no such file or folder"), "{error}");
    }
}
