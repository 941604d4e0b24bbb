//! Checks of output paths. A job makes them first, so that a path that cannot be written costs no
//! work.

use std::path::{Path, PathBuf};

use partwise_storage::StorageError;

use super::JobError;

/// The folder that `path` lies in.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses an output `path` that exists (unless `overwrite`), that lies in no folder, or that lies
/// inside a store.
///
/// # Errors
///
/// When `path` is refused.
pub fn check(path: &Path, overwrite: bool) -> Result<(), JobError> {
    if path.file_name().is_none() {
        return Err(JobError::NoName { path: path.into() });
    }
    if !overwrite && path.symlink_metadata().is_ok() {
        return Err(StorageError::Exists { path: path.into() }.into());
    }
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(JobError::NamesFolder { path: path.into() });
    }
    check_folder(path)
}

/// Refuses an output whose folder does not exist, or is inside a store.
pub(super) fn check_folder(path: &Path) -> Result<(), JobError> {
    let folder = folder(path);
    if let Some(store) = store_around(folder) {
        return Err(JobError::InsideStore { path: path.into(), store });
    }
    match folder.is_dir() {
        true => Ok(()),
        false => Err(JobError::NoFolder { path: path.into(), folder: folder.into() }),
    }
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
pub fn check_file(path: &Path, overwrite: bool) -> Result<(), JobError> {
    check(path, overwrite)?;
    if path.is_dir() {
        let reason = "it is a folder".into();
        return Err(StorageError::NotReplaceable { path: path.into(), reason }.into());
    }
    Ok(())
}
