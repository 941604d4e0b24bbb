//! Opens and creates HDF5 files with bounded caches.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use hdf5::file::{CacheDecreaseMode, CacheIncreaseMode, FileAccessBuilder, FlashIncreaseMode, MetadataCacheConfig};
use hdf5::{File, Group, OpenMode};

use super::disk::Disk;
use super::{driver, problem::problem, raw};
use crate::StorageError;
use crate::crash;
use crate::detect::NOT_REGULAR;

/// Bytes of metadata that the library caches for a file. It holds up to four times as much: beside
/// a heap of strings it keeps the bytes that it read or wrote, and a list of the strings.
const METADATA: usize = 256 << 10;

/// Why a path is refused that the library cannot open.
const NOT_UTF8: &str = "its path is not valid UTF-8, which HDF5 files need; rename it (or its folder)";

/// An HDF5 file that is open for reading.
///
/// To be kept as long as anything in the file is read: the [record](crate::crash) of files to blame
/// for a crash of the library has it until it is dropped.
pub(crate) struct Reading {
    file: File,
    _entry: crash::Entry,
}

impl Deref for Reading {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

/// Opens an HDF5 file for reading.
///
/// # Errors
///
/// - nothing is at `path`, or not a regular file: opening a pipe would wait without end
/// - the path is not valid UTF-8
/// - the library cannot read the file: it is truncated, damaged or of a later format
pub(crate) fn open(path: &Path) -> Result<Reading, StorageError> {
    raw::keep_little_memory();
    let unknown = |reason: &str| StorageError::UnknownFormat { path: path.into(), reason: reason.into() };
    let meta = std::fs::metadata(path).map_err(|e| StorageError::io("open", path, e))?;
    if meta.is_dir() {
        return Err(unknown("it is a folder, not an HDF5 file"));
    }
    if !meta.is_file() {
        return Err(unknown(NOT_REGULAR));
    }
    if path.to_str().is_none() {
        return Err(unknown(NOT_UTF8));
    }
    // The library may crash in the call itself.
    let _entry = crash::Entry::read_by_hdf5(path);
    let opened = File::with_options().with_fapl(bounded).open_as(path, OpenMode::Read);
    opened.map(|file| Reading { file, _entry }).map_err(|error| {
        let text = error.to_string();
        if text.contains("truncated") {
            let reason = "it is cut short (its end is missing); copy or download it again".to_owned();
            return StorageError::UnknownFormat { path: path.into(), reason };
        }
        match problem("open", path, "/", &error) {
            StorageError::Hdf5 { message, .. } => StorageError::UnknownFormat {
                path: path.into(),
                reason: format!("the HDF5 library {message}; it may be damaged, create or copy it again"),
            },
            other => other,
        }
    })
}

/// Creates an HDF5 file at `path`, replacing any file there, in the format that every HDF5 since
/// 1.8 reads. No write to it fails: the [`Disk`] has the failure.
///
/// # Errors
///
/// - the path is not valid UTF-8
/// - the file cannot be created
pub(crate) fn create(path: &Path) -> Result<(File, Arc<Disk>), StorageError> {
    raw::keep_little_memory();
    if path.to_str().is_none() {
        return Err(StorageError::Usage { message: format!("{}: cannot be written: {NOT_UTF8}", path.display()) });
    }
    let access = bounded(&mut FileAccessBuilder::new()).finish();
    driver::create(path, &access.map_err(|error| problem("create", path, "/", &error))?)
}

/// Opens the HDF5 file at `path`, a copy of `original`, to change it. No write to it fails: the [`Disk`]
/// has the failure.
///
/// # Errors
///
/// - the path is not valid UTF-8
/// - the library cannot read the file: the error names `original`
pub(crate) fn edit(path: &Path, original: &Path) -> Result<(File, Arc<Disk>), StorageError> {
    // A file that cannot be read is refused in the words for reading.
    drop(open(original)?);
    if path.to_str().is_none() {
        return Err(StorageError::Usage { message: format!("{}: cannot be written: {NOT_UTF8}", path.display()) });
    }
    let access = bounded(&mut FileAccessBuilder::new()).finish();
    driver::edit(path, &access.map_err(|error| problem("open", path, "/", &error))?)
}

/// Sets small caches: a default chunk cache, a buffer for contiguous data, and a metadata cache of
/// fixed size (it would grow to 32 MiB while millions of strings are copied).
fn bounded(access: &mut FileAccessBuilder) -> &mut FileAccessBuilder {
    let metadata = MetadataCacheConfig {
        initial_size: METADATA,
        max_size: METADATA,
        min_size: METADATA,
        incr_mode: CacheIncreaseMode::Off,
        flash_incr_mode: FlashIncreaseMode::Off,
        decr_mode: CacheDecreaseMode::Off,
        ..MetadataCacheConfig::default()
    };
    access.chunk_cache(521, 1 << 20, 0.75).sieve_buf_size(64 << 10).mdc_config(&metadata)
}

/// The names of the members of a group; empty if there is no such group.
pub(crate) fn members(parent: &Group, group: &str) -> Vec<String> {
    if !exists(parent, group) {
        return Vec::new();
    }
    parent.group(group).and_then(|g| g.member_names()).unwrap_or_default()
}

/// Whether every part of a path exists.
pub(crate) fn exists(parent: &Group, name: &str) -> bool {
    let mut prefix = String::new();
    name.split('/').all(|part| {
        if !prefix.is_empty() {
            prefix.push('/');
        }
        prefix.push_str(part);
        parent.link_exists(&prefix)
    }) && parent.loc_type_by_name(name).is_ok()
}
