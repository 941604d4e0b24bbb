//! Recognises the format of a file by its first bytes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::StorageError;

/// A supported format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// An HDF5 file with any content.
    Hdf5,
    /// A NumPy array.
    Npy,
}

const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Recognises the file at `path`.
///
/// # Errors
///
/// - nothing is at `path`, or it cannot be read
/// - the format is not supported; the message names it if it is known
pub(crate) fn format_of(path: &Path) -> Result<Format, StorageError> {
    let io = |e| StorageError::io("read", path, e);
    let unknown = |reason: &str| Err(StorageError::UnknownFormat { path: path.into(), reason: reason.into() });
    let meta = std::fs::metadata(path).map_err(io)?;
    if meta.is_dir() {
        return unknown(folder_reason(path));
    }
    if !meta.is_file() {
        return unknown(NOT_REGULAR);
    }
    let mut file = File::open(path).map_err(io)?;
    let head = head_of(&mut file).map_err(io)?;
    if head.starts_with(b"\x93NUMPY") {
        return Ok(Format::Npy);
    }
    if head.starts_with(HDF5) || has_user_block(&mut file, meta.len()).map_err(io)? {
        return Ok(Format::Hdf5);
    }
    unknown(file_reason(&head))
}

/// Why pipes, sockets and devices are refused. Opening one could wait without end.
pub(crate) const NOT_REGULAR: &str = "it is not a regular file, but a pipe or a device; save it as a file first";

fn head_of(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(64).read_to_end(&mut head)?;
    Ok(head)
}

/// HDF5 allows user data before its signature, which is then at byte 512, 1024, 2048, …
fn has_user_block(file: &mut File, len: u64) -> std::io::Result<bool> {
    let mut at = 512;
    let mut signature = [0; 8];
    while at + 8 <= len {
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut signature)?;
        if signature == HDF5 {
            return Ok(true);
        }
        at *= 2;
    }
    Ok(false)
}

fn file_reason(head: &[u8]) -> &'static str {
    match head {
        [] => "the file is empty (0 bytes); copy or download it again",
        _ if head.starts_with(b"version https://git-lfs") => {
            "it is a git-lfs pointer, not the data; fetch the data with `git lfs pull`"
        }
        _ if head.starts_with(b"%%MatrixMarket") => {
            "it is a Matrix Market file, a format not supported yet; save it as .h5ad from Python (scanpy.read_mtx)"
        }
        _ if head.starts_with(b"\x1f\x8b") => {
            "it is compressed with gzip as a whole; unpack it with `gunzip` (Matrix Market files are not supported yet)"
        }
        _ if head.starts_with(b"PK") => {
            "it is a zip archive (.npz, .zarr.zip), a format not supported yet; save it as .h5ad or .npy"
        }
        _ => "it is neither HDF5 (.h5ad) nor a NumPy array (.npy); save it as one of them",
    }
}

fn folder_reason(path: &Path) -> &'static str {
    let has = |names: &[&str]| names.iter().any(|name| path.join(name).exists());
    if has(&["manifest.json"]) {
        "it is a partwise store, which is not converted again; use it as it is"
    } else if has(&[".zgroup", ".zarray", ".zattrs", "zarr.json"]) {
        "it is a zarr store, a format not supported yet; save it as .h5ad from Python (anndata.read_zarr)"
    } else if has(&["matrix.mtx", "matrix.mtx.gz"]) {
        "it is a 10x folder, a format not supported yet; save it as .h5ad from Python (scanpy.read_10x_mtx)"
    } else {
        "it is a folder, not an .h5ad or .npy file"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_content_and_what_is_not_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.h5ad");
        let formats: [(&[u8], &str); 7] = [
            (b"", "empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
            (b"%%MatrixMarket matrix", "Matrix Market"),
            (b"\x1f\x8b\x08\x00", "gunzip"),
            (b"PK\x03\x04", "zip"),
            (b"hello", "neither"),
            (&[0; 2000], "neither"),
        ];
        for (bytes, said) in formats {
            std::fs::write(&path, bytes).unwrap();
            let text = format_of(&path).unwrap_err().to_string();
            assert!(text.contains(said) && text.contains("x.h5ad"), "{text}");
        }
        let mut with_user_block = vec![0; 1024];
        with_user_block.extend_from_slice(HDF5);
        std::fs::write(&path, with_user_block).unwrap();
        assert_eq!(format_of(&path).unwrap(), Format::Hdf5);
        assert_eq!(format_of(&folder.path().join("none")).unwrap_err().kind(), crate::ErrorKind::NotFound);
        assert!(format_of(folder.path()).unwrap_err().to_string().contains("folder"));
    }
}
