//! The folder of the checkpoints: the files that may be in it, and those that are removed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use partwise_storage::StorageError;

use super::file::{reason, sync_folder};
use super::lock::is_lock;
use super::manifest::{DRAFT, MANIFEST, Manifest, VERSION};
use crate::error::{CheckpointError, DriverError};

/// The content of a folder that checkpoints may be written to.
#[derive(Debug, PartialEq)]
pub(super) enum Contents {
    /// Nothing of ours: no folder, an empty one, or the remains of an unfinished first checkpoint.
    Nothing,
    /// Checkpoints.
    Checkpoints(Manifest),
    /// Checkpoints whose list is damaged, and why.
    Damaged(String),
}

/// Name of the file of everything besides W.
pub(super) fn state_name(passes: usize) -> String {
    format!("state-{passes:06}.bin")
}

/// Name of one process's file of W.
pub(super) fn usages_name(passes: usize, rank: usize) -> String {
    format!("usages-{passes:06}-{rank:05}.bin")
}

/// Whether checkpoints have files of this name.
fn is_ours(name: &str) -> bool {
    let number = |text: &str, digits: usize| text.len() >= digits && text.bytes().all(|byte| byte.is_ascii_digit());
    let middle = |prefix: &str| name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(".bin"));
    middle("state-").is_some_and(|passes| number(passes, 6))
        || middle("usages-")
            .and_then(|rest| rest.split_once('-'))
            .is_some_and(|(passes, rank)| number(passes, 6) && number(rank, 5))
        || name == DRAFT
}

/// Names in the folder besides locks; `None` if there is no folder.
fn names(folder: &Path) -> Result<Option<Vec<String>>, DriverError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Err(CheckpointError::Foreign { folder: folder.into(), found: "it is a file".into() }.into());
        }
        Err(error) => return Err(StorageError::io("read", folder, error).into()),
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    let names: Result<Vec<String>, _> = names.collect();
    let names = names.map_err(|error| StorageError::io("read", folder, error))?;
    Ok(Some(names.into_iter().filter(|name| !is_lock(name)).collect()))
}

/// Looks at `folder`. Refuses a folder that is not for checkpoints, because it holds other files
/// and none of ours, and a list of another version.
pub(super) fn look(folder: &Path) -> Result<Contents, DriverError> {
    let Some(names) = names(folder)? else { return Ok(Contents::Nothing) };
    let ours = names.iter().any(|name| is_ours(name));
    let foreign = |found: String| Err(CheckpointError::Foreign { folder: folder.into(), found }.into());
    match Manifest::read(folder) {
        Ok(Some(manifest)) if manifest.version != VERSION => {
            let found = manifest.version;
            Err(CheckpointError::Version { folder: folder.into(), found, supported: VERSION }.into())
        }
        Ok(Some(manifest)) => Ok(Contents::Checkpoints(manifest)),
        Err(StorageError::Damaged { .. }) if !ours => foreign(format!("its {MANIFEST} is of something else")),
        Err(error @ StorageError::Damaged { .. }) => Ok(Contents::Damaged(reason(&error))),
        Err(error) => Err(error.into()),
        Ok(None) => match names.first() {
            Some(name) if !ours => foreign(format!("it holds {name}")),
            _ => Ok(Contents::Nothing),
        },
    }
}

/// Looks at a folder that several runs share, and refuses one that holds anything but their folders.
pub(super) fn look_at_several(folder: &Path) -> Result<(), DriverError> {
    let names = names(folder)?.unwrap_or_default();
    match names.iter().find(|name| !is_of_a_run(name)) {
        None => Ok(()),
        Some(name) => {
            let found = format!("it holds {name}, and runs that share a folder keep one folder each in it");
            Err(CheckpointError::Foreign { folder: folder.into(), found }.into())
        }
    }
}

/// Whether one of several runs has a folder of this name: a fit (`k5.seed0`), or replicates (`k5.from20`).
fn is_of_a_run(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let rest = name.strip_prefix('k').and_then(|rest| rest.split_once(".seed").or_else(|| rest.split_once(".from")));
    rest.is_some_and(|(k, which)| number(k) && number(which))
}

/// Makes the folder if it is missing; its parent has to exist.
pub(super) fn make(folder: &Path) -> Result<(), StorageError> {
    match fs::create_dir(folder) {
        Ok(()) => sync_folder(parent(folder)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(StorageError::NotFound { path: parent(folder).into() })
        }
        Err(error) => Err(StorageError::io("create", folder, error)),
    }
}

/// Removes all checkpoints, the list first. Other files stay.
pub(super) fn clear(folder: &Path) -> Result<(), DriverError> {
    let list = folder.join(MANIFEST);
    match fs::remove_file(&list) {
        Ok(()) => sync_folder(folder)?,
        Err(error) if error.kind() == ErrorKind::NotFound => (),
        Err(error) => return Err(StorageError::io("remove", &list, error).into()),
    }
    remove_unwanted(folder, |_| false);
    Ok(())
}

/// Removes all checkpoints and, if nothing else is in it, the folder.
pub(super) fn remove(folder: &Path) -> Result<(), DriverError> {
    clear(folder)?;
    let _ = fs::remove_dir(folder);
    Ok(())
}

/// The folders of runs in a folder that they share.
pub(super) fn of_runs(folder: &Path) -> Result<Vec<PathBuf>, DriverError> {
    let names = names(folder)?.unwrap_or_default().into_iter();
    Ok(names.filter(|name| is_of_a_run(name)).map(|name| folder.join(name)).collect())
}

/// Removes the files of checkpoints that `keep` does not want. If one cannot be removed, the next
/// checkpoint tries again.
pub(super) fn remove_unwanted(folder: &Path, keep: impl Fn(&str) -> bool) {
    for name in names(folder).ok().flatten().unwrap_or_default() {
        if is_ours(&name) && !keep(&name) {
            let _ = fs::remove_file(folder.join(name));
        }
    }
}

fn parent(folder: &Path) -> &Path {
    folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

/// Files of an unfinished checkpoint. They are removed on drop, so that a full disk does not stay
/// full of them.
#[derive(Debug, Default)]
pub(super) struct Unfinished(pub(super) Vec<PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.iter().for_each(|path| drop(fs::remove_file(path)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, content)| fs::write(folder.path().join(name), content).unwrap());
        folder
    }

    #[test]
    fn names_of_ours_are_known_and_no_others() {
        assert!(is_ours(&state_name(7)) && is_ours(&usages_name(1_234_567, 3)) && is_ours(DRAFT));
        let others =
            ["state-1.bin", "state-000001.txt", "usages-000001.bin", "usages-000001-1.bin", "state-00000a.bin"];
        for name in others.into_iter().chain([MANIFEST, "usages-000001-00002-3.bin", "x"]) {
            assert!(!is_ours(name), "{name}");
        }
    }

    #[test]
    fn a_folder_that_runs_share_holds_folders_of_runs_only() {
        let folder = folder_with(&[]);
        look_at_several(folder.path()).unwrap();
        look_at_several(&folder.path().join("none")).unwrap();
        for name in ["k5.seed0", "k12.seed18446744073709551615", "k7.from20"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        look_at_several(folder.path()).unwrap();
        for name in [MANIFEST, "k.seed1", "k5", "k5.from", "x"] {
            fs::write(folder.path().join(name), "").unwrap();
            assert!(look_at_several(folder.path()).is_err(), "{name}");
            fs::remove_file(folder.path().join(name)).unwrap();
        }
    }

    #[test]
    fn folders_of_others_are_refused_and_left_alone() {
        for files in [&[("thesis.tex", "")][..], &[(MANIFEST, "{}"), ("table.bin", "")], &[(MANIFEST, "")]] {
            let folder = folder_with(files);
            let error = look(folder.path()).unwrap_err();
            assert!(error.to_string().contains("is not a checkpoint folder"), "{error}");
        }
        let folder = folder_with(&[("a", "")]);
        let error = look(&folder.path().join("a")).unwrap_err();
        assert!(error.to_string().contains("it is a file"), "{error}");
    }

    #[test]
    fn checkpoints_of_another_format_are_refused_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let fit = serde_json::from_str("{}").unwrap();
        let mut later = Manifest::new(&fit, &[]);
        later.version = 7;
        later.write(folder.path()).unwrap();
        let error = look(folder.path()).unwrap_err();
        assert!(error.to_string().contains("have format 7, but this version reads 2"), "{error}");
        // The rest of its content may be anything.
        let later = serde_json::json!({ "format": "partwise checkpoints", "version": 8, "fit": [], "states": 3 });
        fs::write(folder.path().join(MANIFEST), partwise_storage::sealed::to_bytes(&later)).unwrap();
        fs::write(folder.path().join(state_name(1)), "").unwrap();
        let error = look(folder.path()).unwrap_err();
        assert!(error.to_string().contains("have format 8"), "{error}");
    }

    #[test]
    fn what_an_unfinished_checkpoint_leaves_is_nothing() {
        let state = state_name(1);
        let folder = folder_with(&[(&state, ""), (DRAFT, "")]);
        assert_eq!(look(folder.path()).unwrap(), Contents::Nothing);
        assert_eq!(look(&folder.path().join("none")).unwrap(), Contents::Nothing);
        fs::write(folder.path().join(MANIFEST), "{").unwrap();
        assert!(matches!(look(folder.path()).unwrap(), Contents::Damaged(_)));
    }

    #[test]
    fn clearing_leaves_what_is_not_ours() {
        let (state, usages) = (state_name(1), usages_name(1, 0));
        let folder = folder_with(&[(&state, ""), (&usages, ""), (MANIFEST, ""), ("notes", "mine")]);
        clear(folder.path()).unwrap();
        assert_eq!(names(folder.path()).unwrap().unwrap(), ["notes"]);
        remove(folder.path()).unwrap();
        assert!(folder.path().join("notes").exists());
        fs::remove_file(folder.path().join("notes")).unwrap();
        remove(folder.path()).unwrap();
        assert!(!folder.path().exists());
    }

    #[test]
    fn a_folder_is_made_where_there_is_one_to_make_it_in() {
        let folder = tempfile::tempdir().unwrap();
        make(&folder.path().join("a")).unwrap();
        make(&folder.path().join("a")).unwrap();
        let error = make(&folder.path().join("b/c")).unwrap_err();
        assert!(error.to_string().ends_with("b: no such file or folder"), "{error}");
    }
}
