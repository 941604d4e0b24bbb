//! Writes a file that belongs to a result, such as a page about it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::part::Part;
use crate::StorageError;
use crate::store::Overwrite;
use crate::traffic;

/// Bytes that are written at once.
const PIECE: usize = 1 << 20;

/// Writes `content` to `dest`, whole or not at all: it is written beside its place, synced and renamed. The
/// caller has looked at what `dest` replaces.
///
/// # Errors
///
/// - `dest` exists and may not be overwritten
/// - another run is writing it, or its folder is not writable
/// - the disk is full or failing: no new file is left, at the destination or beside it
pub fn write_whole(dest: &Path, content: &[u8], overwrite: Overwrite) -> Result<(), StorageError> {
    let failed = |error| StorageError::io("write", dest, error);
    let part = Part::claim(dest)?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(part.path()).map_err(failed)?;
    for piece in content.chunks(PIECE) {
        file.write_all(piece).map_err(failed)?;
        traffic::ended();
    }
    file.sync_all().map_err(failed)?;
    drop(file);
    part.place(dest, overwrite == Overwrite::Replace).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => StorageError::Exists { path: dest.into() },
        _ => StorageError::io("create", dest, error),
    })?;
    let folder = dest.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| StorageError::io("sync", folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("page.html");
        write_whole(&dest, b"first", Overwrite::Refuse).unwrap();
        assert!(matches!(write_whole(&dest, b"second", Overwrite::Refuse), Err(StorageError::Exists { .. })));
        assert_eq!(std::fs::read_to_string(&dest).unwrap(), "first");
        write_whole(&dest, b"second", Overwrite::Replace).unwrap();
        assert_eq!(std::fs::read_to_string(&dest).unwrap(), "second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
