//! The files of a store by their keys: in a folder, or in a zip archive.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::archive::{Archive, Packed};
use crate::StorageError;
use crate::codec::DENSEST;
use crate::codec::deflate::{self, Frame};
use crate::detect::ZARR;
use crate::traffic;

/// Folders inside folders that are visited. Stores have about ten.
const DEEPEST: usize = 32;

/// Where the files are.
#[derive(Debug)]
pub(super) enum Container {
    /// Files in folders, by their paths.
    Folder(PathBuf),
    /// Files in a zip archive.
    Zip(Archive),
}

/// A file, open for reading.
#[derive(Debug)]
pub(super) struct Entry {
    body: Body,
    len: u64,
}

#[derive(Debug)]
enum Body {
    File(File),
    /// A part of the archive.
    Stored(u64),
    /// A deflated part of the archive.
    Unpacked(Vec<u8>),
}

/// What the files below a key are like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Bytes of all files.
    pub(super) total: u64,
    /// Bytes of the largest file.
    pub(super) largest: u64,
    /// Bytes of the largest file of an archive that is deflated.
    pub(super) largest_deflated: u64,
}

impl Container {
    /// Opens the folder or archive at `path`.
    ///
    /// # Errors
    ///
    /// - it cannot be read, or is no zip archive
    pub(super) fn open(path: &Path) -> Result<Container, StorageError> {
        let io = |e| StorageError::io("read", path, e);
        if fs::metadata(path).map_err(io)?.is_dir() {
            return Ok(Container::Folder(path.into()));
        }
        match Archive::open(File::open(path).map_err(io)?) {
            Ok(archive) => Ok(Container::Zip(archive)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(StorageError::UnknownFormat {
                path: path.into(),
                reason: format!("it is a zip archive that {error}; copy or download it again"),
            }),
            Err(error) => Err(io(error)),
        }
    }

    /// Whether the metadata of a zarr store, or those of its tables or matrix, are there.
    pub(super) fn is_zarr(&self) -> bool {
        match self {
            // Folders were recognised by their metadata.
            Container::Folder(_) => true,
            Container::Zip(archive) => {
                let folders = ["", "obs/", "X/"].into_iter();
                folders.flat_map(|at| ZARR.map(|name| format!("{at}{name}"))).any(|key| archive.find(&key).is_some())
            }
        }
    }

    /// Opens the file at `key`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// - it cannot be read; invalid data: with a predicate
    pub(super) fn entry(&self, key: &str) -> io::Result<Option<Entry>> {
        match self {
            Container::Folder(folder) => {
                let path = folder.join(key);
                let meta = match fs::metadata(&path) {
                    Ok(meta) if meta.is_dir() => return Ok(None),
                    Ok(meta) => meta,
                    Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                        return Ok(None);
                    }
                    Err(error) => return Err(error),
                };
                if !meta.is_file() {
                    let predicate = "is not a regular file, but a pipe or a device";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, predicate));
                }
                Ok(Some(Entry { body: Body::File(File::open(path)?), len: meta.len() }))
            }
            Container::Zip(archive) => {
                let Some(record) = archive.find(key) else { return Ok(None) };
                let body = match archive.place(record)? {
                    Packed::Stored(at) => Body::Stored(at),
                    Packed::Deflated(at) => Body::Unpacked(unpack(archive, at, record.packed, record.len)?),
                };
                Ok(Some(Entry { body, len: record.len }))
            }
        }
    }

    /// Reads the bytes of an entry of this container from `at` on.
    pub(super) fn read(&self, entry: &Entry, at: u64, out: &mut [u8]) -> io::Result<()> {
        let read = match (&entry.body, self) {
            (Body::File(file), _) => file.read_exact_at(out, at),
            (Body::Stored(start), Container::Zip(archive)) => archive.file().read_exact_at(out, start + at),
            (Body::Unpacked(bytes), _) => {
                let part = usize::try_from(at).ok().and_then(|at| bytes.get(at..)?.get(..out.len()));
                part.map(|part| out.copy_from_slice(part)).ok_or(io::ErrorKind::UnexpectedEof.into())
            }
            (Body::Stored(_), Container::Folder(_)) => Err(io::ErrorKind::UnexpectedEof.into()),
        };
        read.inspect(|()| traffic::ended())
    }

    /// The names directly below `key`, in order.
    pub(super) fn children(&self, key: &str) -> Vec<String> {
        let mut names: Vec<String> = match self {
            Container::Folder(folder) => match fs::read_dir(folder.join(key)) {
                Ok(members) => members.filter_map(|member| member.ok()?.file_name().into_string().ok()).collect(),
                Err(_) => Vec::new(),
            },
            Container::Zip(archive) => {
                let prefix = format!("{key}/");
                let first = |(name, _): (&str, _)| name[prefix.len()..].split('/').next().map(str::to_owned);
                archive.below(&prefix).filter_map(first).collect()
            }
        };
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The sizes of all files below `key`, and of the file at it.
    pub(super) fn sizes(&self, key: &str) -> io::Result<Sizes> {
        let mut sizes = Sizes::default();
        match self {
            Container::Folder(folder) => walk(&folder.join(key), DEEPEST, &mut sizes)?,
            Container::Zip(archive) => {
                let prefix = format!("{key}/");
                for (_, record) in archive.below(&prefix) {
                    sizes.total = sizes.total.saturating_add(record.packed);
                    sizes.largest = sizes.largest.max(record.len);
                    if record.packed != record.len {
                        sizes.largest_deflated = sizes.largest_deflated.max(record.len);
                    }
                }
            }
        }
        Ok(sizes)
    }

    /// Bytes that the list of files takes in memory.
    pub(super) fn resident_bytes(&self) -> u64 {
        match self {
            Container::Folder(_) => 0,
            Container::Zip(archive) => archive.resident_bytes(),
        }
    }
}

impl Entry {
    /// Bytes of the file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }
}

fn unpack(archive: &Archive, at: u64, packed: u64, len: u64) -> io::Result<Vec<u8>> {
    let wrong = |predicate: String| io::Error::new(io::ErrorKind::InvalidData, predicate);
    if len > packed.saturating_mul(DENSEST) {
        return Err(wrong(format!("states {len} bytes, which {packed} packed bytes cannot hold")));
    }
    let mut bytes = vec![0; packed as usize];
    archive.file().read_exact_at(&mut bytes, at)?;
    traffic::ended();
    let mut out = vec![0; len as usize];
    match deflate::decode(Frame::Bare, &bytes, &mut out) {
        Ok(found) if found as u64 == len => Ok(out),
        Ok(found) => Err(wrong(format!("unpacks to {found} bytes, but states {len}"))),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Adds up the files below `path`.
fn walk(path: &Path, depth: usize, sizes: &mut Sizes) -> io::Result<()> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if meta.is_dir() {
        if depth == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "has too many folders inside folders"));
        }
        return fs::read_dir(path)?.try_for_each(|member| walk(&member?.path(), depth - 1, sizes));
    }
    sizes.total = sizes.total.saturating_add(meta.len());
    sizes.largest = sizes.largest.max(meta.len());
    Ok(())
}
