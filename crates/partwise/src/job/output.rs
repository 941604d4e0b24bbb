//! The folder of an output, and its name.

use std::path::{Path, PathBuf};

use super::JobError;

/// The folder that `path` lies in.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path of a file beside `path`, hidden, which has `ending` behind its name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(ending);
    path.with_file_name(name)
}

/// Refuses an output without a name of its own.
pub(super) fn check_name(path: &Path) -> Result<(), JobError> {
    if path.file_name().is_none() {
        return Err(JobError::NoName { path: path.into() });
    }
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(JobError::NamesFolder { path: path.into() });
    }
    Ok(())
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
