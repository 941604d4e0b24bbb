//! Taking the place of what is at the destination, without ever destroying anything but a store.
//!
//! A store is made in a folder beside its destination, `NAME.pw.partial`, and renamed when it is whole. What is at the
//! destination may be replaced when it is
//!
//! - an empty folder, or a folder with files of a store but no manifest (an unfinished store): always;
//! - a store: when the user said so.
//!
//! Anything else stays: files, and folders that hold anything that no store has.
//!
//! The partial folder is locked while it is written. One that a killed process left behind is not locked any more; the next
//! conversion to the same destination takes it over and empties it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::files;
use super::names;
use super::stamp::Overwrite;
use crate::error::StorageError;

/// What is at a path where a store shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Occupant {
    Nothing,
    /// An empty folder, or one with files of a store but no manifest.
    Unfinished,
    Store,
    /// Something else; the reason says what.
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
            return Ok(Occupant::Other(format!("it holds {}, which is no part of a store", name.display())));
        }
        manifest |= name == names::MANIFEST;
    }
    Ok(if manifest { Occupant::Store } else { Occupant::Unfinished })
}

/// Whether a new store may take the place of what is at `dest`.
pub(super) fn check(dest: &Path, overwrite: Overwrite) -> Result<(), StorageError> {
    match (occupant(dest)?, overwrite) {
        (Occupant::Nothing | Occupant::Unfinished, _) | (Occupant::Store, Overwrite::Replace) => Ok(()),
        (Occupant::Store, Overwrite::Refuse) => Err(StorageError::Exists { path: dest.into() }),
        (Occupant::Other(reason), _) => Err(StorageError::NotReplaceable { path: dest.into(), reason }),
    }
}

/// The folder in which a store is made; removed when dropped before it took its place.
#[derive(Debug)]
pub(super) struct Partial {
    folder: PathBuf,
    dest: PathBuf,
    overwrite: Overwrite,
    lock: File,
    placed: bool,
}

impl Partial {
    /// Makes, or takes over, the partial folder of `dest`.
    pub(super) fn create(dest: &Path, overwrite: Overwrite) -> Result<Self, StorageError> {
        check(dest, overwrite)?;
        let folder = beside(dest, ".partial")?;
        match fs::create_dir(&folder) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => match occupant(&folder)? {
                Occupant::Nothing | Occupant::Unfinished | Occupant::Store => {}
                Occupant::Other(reason) => return Err(StorageError::NotReplaceable { path: folder, reason }),
            },
            // The folder that shall hold the store is missing, not the store.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(StorageError::NotFound { path: parent(dest).into() });
            }
            Err(error) => return Err(StorageError::io("create", &folder, error)),
        }
        let path = folder.join(names::LOCK);
        let lock = File::create(&path).map_err(|error| StorageError::io("create", &path, error))?;
        // File systems without locks: two conversions at once would be noticed by the checksums.
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            return Err(StorageError::Busy { path: folder });
        }
        let partial = Self { folder, dest: dest.into(), overwrite, lock, placed: false };
        partial.empty()?;
        Ok(partial)
    }

    /// Removes what an earlier process left, but for the lock.
    fn empty(&self) -> Result<(), StorageError> {
        for entry in fs::read_dir(&self.folder).map_err(|error| StorageError::io("read", &self.folder, error))? {
            let path = entry.map_err(|error| StorageError::io("read", &self.folder, error))?.path();
            if path.file_name().is_some_and(|name| name != names::LOCK) {
                fs::remove_file(&path).map_err(|error| StorageError::io("remove", &path, error))?;
            }
        }
        Ok(())
    }

    /// The folder to write to.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Renames the folder, which is whole and on the disk, to its destination, and removes what was there.
    pub(super) fn place(mut self) -> Result<PathBuf, StorageError> {
        let lock = self.folder.join(names::LOCK);
        fs::remove_file(&lock).map_err(|error| StorageError::io("remove", &lock, error))?;
        check(&self.dest, self.overwrite)?;
        let old = match occupant(&self.dest)? {
            Occupant::Nothing => None,
            _ => {
                let old = beside(&self.dest, &format!(".replaced-{}", std::process::id()))?;
                files::rename(&self.dest, &old)?;
                Some(old)
            }
        };
        if let Err(error) = files::rename(&self.folder, &self.dest) {
            if let Some(old) = old {
                // Back to where it was: if that fails too, it is still whole under its other name.
                let _ = fs::rename(old, &self.dest);
            }
            return Err(error);
        }
        self.placed = true;
        files::sync_folder(parent(&self.dest))?;
        if let Some(old) = old {
            fs::remove_dir_all(&old).map_err(|error| StorageError::io("remove", &old, error))?;
        }
        let _ = self.lock.unlock();
        Ok(self.dest.clone())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.placed {
            // Nobody is left to tell; what stays is taken over by the next conversion.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// `dest` with something after its name.
fn beside(dest: &Path, suffix: &str) -> Result<PathBuf, StorageError> {
    let Some(name) = dest.file_name() else {
        return Err(StorageError::Usage { message: format!("{}: is no name for a store", dest.display()) });
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
        let partial = Partial::create(&dest, Overwrite::Refuse).unwrap();
        assert!(!left.join(names::TABLE).exists());
        assert!(matches!(Partial::create(&dest, Overwrite::Refuse), Err(StorageError::Busy { .. })));
        drop(partial);
        assert!(!left.exists() && !dest.exists());
    }

    #[test]
    fn a_folder_of_the_partial_name_that_is_not_ours_stays() {
        let root = tempfile::tempdir().unwrap();
        let left = root.path().join("a.pw.partial");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("thesis.tex"), "years").unwrap();
        let error = Partial::create(&root.path().join("a.pw"), Overwrite::Replace).unwrap_err();
        assert!(error.to_string().contains("holds thesis.tex"), "{error}");
        assert!(left.join("thesis.tex").exists());
    }

    #[test]
    fn a_missing_parent_folder_is_named() {
        let root = tempfile::tempdir().unwrap();
        let error = Partial::create(&root.path().join("none/a.pw"), Overwrite::Refuse).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().ends_with("none: no such file or folder"), "{error}");
    }
}
