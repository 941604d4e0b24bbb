//! Recognises the format of a file by its first bytes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::StorageError;

/// A supported format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// An HDF5 file with any content.
    Hdf5,
    /// A sparse matrix as text, plain or packed.
    MatrixMarket,
    /// A NumPy array.
    Npy,
    /// A folder of Cell Ranger, with a Matrix Market file in it or in folders of it.
    TenxFolder,
    /// A zarr store in a folder.
    Zarr,
    /// A zip archive of NumPy arrays.
    Npz,
    /// A zip archive with any other content.
    Zip,
    /// Text with a line for each row of a table, plain or packed.
    Csv,
}

const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

/// The first bytes of a file that is packed with gzip.
pub(crate) const GZIP: &[u8] = b"\x1f\x8b";

/// The first bytes of a zip archive: of its first file, or of the end of an empty one.
const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// The first words of a Matrix Market file. Some writers leave out a sign.
const MATRIX_MARKET: [&[u8]; 2] = [b"%%MatrixMarket", b"%MatrixMarket"];

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
    if meta.is_dir() && is_zarr(path) {
        return Ok(Format::Zarr);
    }
    if meta.is_dir() {
        return match folder_reason(path) {
            None if matrix_in(path).is_some() || !matrices_below(path).map_err(io)?.is_empty() => {
                Ok(Format::TenxFolder)
            }
            reason => unknown(reason.unwrap_or("it is a folder, but no zarr store, and has no matrix.mtx in it")),
        };
    }
    if !meta.is_file() {
        return unknown(NOT_REGULAR);
    }
    let mut file = File::open(path).map_err(io)?;
    let head = head_of(&mut file).map_err(io)?;
    if head.starts_with(b"\x93NUMPY") {
        return Ok(Format::Npy);
    }
    // An archive that is only the end of its empty directory has no arrays.
    if head.starts_with(b"PK\x03\x04") && holds_arrays(&head) {
        return Ok(Format::Npz);
    }
    if head.starts_with(HDF5) || has_user_block(&mut file, meta.len()).map_err(io)? {
        return Ok(Format::Hdf5);
    }
    if ZIP.iter().any(|words| head.starts_with(words)) {
        return Ok(Format::Zip);
    }
    let text = if head.starts_with(GZIP) { unpacked_head(&mut file).map_err(io)? } else { head.clone() };
    if MATRIX_MARKET.iter().any(|words| text.starts_with(words)) {
        return Ok(Format::MatrixMarket);
    }
    if is_table(&text) {
        return Ok(Format::Csv);
    }
    unknown(file_reason(&head))
}

/// The metadata at the root of a zarr store, of version 2 or 3.
pub(crate) const ZARR: [&str; 4] = [".zgroup", ".zattrs", ".zarray", "zarr.json"];

/// Whether a folder is a zarr store.
fn is_zarr(path: &Path) -> bool {
    !path.join("manifest.json").exists() && ZARR.iter().any(|name| path.join(name).exists())
}

/// Why pipes, sockets and devices are refused. Opening one could wait without end.
pub(crate) const NOT_REGULAR: &str = "it is not a regular file, but a pipe or a device; save it as a file first";

fn head_of(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// Bytes that are looked at to recognise a format.
const HEAD: u64 = 4096;

/// The first bytes of a packed file; fewer if it is damaged.
fn unpacked_head(file: &mut File) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut head = Vec::new();
    // A damaged file is refused for its kind.
    let _ = GzDecoder::new(file).take(HEAD).read_to_end(&mut head);
    Ok(head)
}

/// Whether a zip archive begins with an array of NumPy.
fn holds_arrays(head: &[u8]) -> bool {
    let len = head.get(26..28).map_or(0, |len| usize::from(u16::from_le_bytes([len[0], len[1]])));
    head.get(30..30 + len).is_some_and(|name| name.ends_with(b".npy"))
}

/// Whether a text begins with a line of several fields.
fn is_table(text: &[u8]) -> bool {
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let is_text = !text.iter().any(|&byte| byte < b' ' && !b"\t\n\r".contains(&byte));
    // Of markup and Matrix Market files, other readers and reasons know more.
    is_text && !line.starts_with(b"%") && !line.starts_with(b"<") && line.iter().any(|byte| b"\t,;".contains(byte))
}

/// Whether a file is a list of files: the first line that is no comment has a name, a tab, and the path
/// of something that is there, relative to the folder of the list.
///
/// # Errors
///
/// - the file cannot be read
#[cfg(feature = "hdf5")]
pub(crate) fn is_list(path: &Path) -> std::io::Result<bool> {
    let head = head_of(&mut File::open(path)?)?;
    let Ok(text) = std::str::from_utf8(&head[..head.iter().rposition(|&byte| byte == b'\n').unwrap_or(head.len())])
    else {
        return Ok(false);
    };
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let Some((_, file)) = lines.next().and_then(|line| line.split_once('\t')) else { return Ok(false) };
    Ok(path.parent().unwrap_or(Path::new("")).join(file.trim()).exists())
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
        _ if head.starts_with(GZIP) => {
            "it is compressed with gzip, and holds neither a table nor a Matrix Market file; unpack it with `gunzip`"
        }
        _ => {
            "it is neither HDF5 (.h5ad) nor a NumPy array (.npy) nor a zip archive (.npz, .zarr.zip) nor a table of text \
             (.csv, .tsv); save it as one of them"
        }
    }
}

/// Why a folder is of another format, if it is of one that is known.
fn folder_reason(path: &Path) -> Option<&'static str> {
    let has = |names: &[&str]| names.iter().any(|name| path.join(name).exists());
    if has(&["manifest.json"]) {
        Some("it is a partwise store, which is not converted again; use it as it is")
    } else {
        None
    }
}

/// The end of the name of a folder that has a folder for each genome.
pub(crate) const GENOMES: &str = "_gene_bc_matrices";

/// The Matrix Market file in a folder.
pub(crate) fn matrix_in(folder: &Path) -> Option<PathBuf> {
    ["matrix.mtx.gz", "matrix.mtx"].iter().map(|name| folder.join(name)).find(|path| path.exists())
}

/// The folders with a Matrix Market file that are in `folder`, or in its folders of genomes. They are
/// sorted.
///
/// # Errors
///
/// - `folder` cannot be listed
pub(crate) fn matrices_below(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if matrix_in(&path).is_some() {
            found.push(path);
        } else if path.to_string_lossy().ends_with(GENOMES) && !folder.to_string_lossy().ends_with(GENOMES) {
            found.extend(matrices_below(&path).unwrap_or_default());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_content_and_what_is_not_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.h5ad");
        let formats: [(&[u8], &str); 5] = [
            (b"", "empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
            (b"\x1f\x8b\x08\x00", "gunzip"),
            (b"hello", "neither"),
            (&[0; 2000], "neither"),
        ];
        for (bytes, said) in formats {
            std::fs::write(&path, bytes).unwrap();
            let text = format_of(&path).unwrap_err().to_string();
            assert!(text.contains(said) && text.contains("x.h5ad"), "{text}");
        }
        for (name, format) in [("X.npy", Format::Npz), (".zgroup", Format::Zip)] {
            let mut archive = b"PK\x03\x04".to_vec();
            archive.resize(30, 0);
            archive[26] = name.len() as u8;
            archive.extend(name.as_bytes());
            std::fs::write(&path, archive).unwrap();
            assert_eq!(format_of(&path).unwrap(), format, "{name}");
        }
        std::fs::write(&path, b"%%MatrixMarket matrix").unwrap();
        assert_eq!(format_of(&path).unwrap(), Format::MatrixMarket);
        let mut with_user_block = vec![0; 1024];
        with_user_block.extend_from_slice(HDF5);
        std::fs::write(&path, with_user_block).unwrap();
        assert_eq!(format_of(&path).unwrap(), Format::Hdf5);
        assert_eq!(format_of(&folder.path().join("none")).unwrap_err().kind(), crate::ErrorKind::NotFound);
        assert!(format_of(folder.path()).unwrap_err().to_string().contains("folder"));
    }
}
