//! Checks of output paths. A run makes them first, so that a path that cannot be written costs no
//! work.

use std::path::{Path, PathBuf};

use partwise::storage::{Overwrite, StorageError};

use crate::failure::{Code, Failure};

/// The library's setting for `--force`.
pub(crate) fn overwrite(force: bool) -> Overwrite {
    if force { Overwrite::Replace } else { Overwrite::Refuse }
}

/// The folder that `path` lies in.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses an output `path` that exists (unless `force`), that lies in no folder, or that lies
/// inside a store.
///
/// # Errors
///
/// When `path` is refused.
pub(crate) fn check(path: &Path, force: bool) -> Result<(), Failure> {
    if path.file_name().is_none() {
        return Err(Failure::usage(format!("{}: this path has no file name; add one", path.display())));
    }
    if !force && path.symlink_metadata().is_ok() {
        return Err(StorageError::Exists { path: path.into() }.into());
    }
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(Failure::usage(format!(
            "{}: this path names a folder; add the name of a file in it",
            path.display()
        )));
    }
    let folder = folder(path);
    if let Some(store) = store_around(folder) {
        return Err(Failure::usage(format!(
            "{}: lies inside the store {}, which holds only its own files; choose another place",
            path.display(),
            store.display()
        )));
    }
    if !folder.is_dir() {
        let folder = folder.display();
        return Err(Failure::new(
            Code::Io,
            format!("{}: the folder {folder} does not exist; create it with: mkdir -p '{folder}'", path.display()),
        ));
    }
    Ok(())
}

/// The store that contains `folder` or is `folder`.
fn store_around(folder: &Path) -> Option<PathBuf> {
    let whole = folder.canonicalize().ok()?;
    // Two of its files identify it, because other folders have a manifest.json too.
    let is_store = |folder: &&Path| ["manifest.json", "table.bin"].iter().all(|name| folder.join(name).is_file());
    whole.ancestors().find(is_store).map(Path::to_path_buf)
}

/// Refuses an output file as [`check`] does, and also if a folder is in its place.
///
/// # Errors
///
/// When `path` is refused.
pub(crate) fn check_file(path: &Path, force: bool) -> Result<(), Failure> {
    check(path, force)?;
    if path.is_dir() {
        let reason = "it is a folder".into();
        return Err(StorageError::NotReplaceable { path: path.into(), reason }.into());
    }
    Ok(())
}
