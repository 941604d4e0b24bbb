//! The manifest: the description of the store, and the sizes and checksums of its files. It is
//! written last; a folder without it is not a store.
//!
//! It is a JSON object whose last line is `"crc32c": "xxxxxxxx"}` and a newline, eight lower-case
//! hexadecimal digits: the checksum of all bytes before that line. All versions of the format have
//! this line, so that a reader can distinguish a damaged manifest from a newer one.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cut::{Cut, Layout};
use super::files;
use super::names;
use super::stamp::SourceStamp;
use crate::error::StorageError;
use crate::sealed;

/// The major version that is written, and the newest that is supported.
pub(super) const MAJOR: u32 = 1;
const MINOR: u32 = 3;

/// The feature of tiles that pack the rows of their runs. Since 1.3.
const PACKED_ROWS: &str = "packed rows";

const FORMAT: &str = "partwise store";

/// Larger manifests are refused. This size suffices for a million block files.
const MAX_BYTES: u64 = 64 << 20;

/// Size and checksum of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileStamp {
    pub(super) bytes: u64,
    pub(super) crc32c: u32,
}

/// The files that a store may have besides the others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Optional {
    pub(super) per_million: Option<FileStamp>,
    /// Its checksum is that of all before the tiles.
    pub(super) sample: Option<FileStamp>,
    pub(super) annotations: Option<FileStamp>,
}

/// The manifest, field by field as in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: String,
    major: u32,
    minor: u32,
    /// Names of features that a reader must know to read the store.
    must_understand: Vec<String>,
    writer: String,
    pub(super) cells: u64,
    pub(super) genes: u64,
    pub(super) nonzeros: u64,
    layout: Layout,
    tile_rows: u64,
    block_rows: u64,
    /// Bytes of each block file.
    #[serde(rename = "shards")]
    pub(super) block_files: Vec<u64>,
    pub(super) table: FileStamp,
    pub(super) gene_moments: FileStamp,
    /// Since 1.1.
    #[serde(default)]
    pub(super) per_million: Option<FileStamp>,
    /// Since 1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sample: Option<FileStamp>,
    pub(super) annotations: Option<FileStamp>,
    pub(super) source: SourceStamp,
}

impl Manifest {
    /// The manifest of a store with this cut, sizes and checksums; `packs_rows`: whether one of its tiles
    /// does.
    pub(super) fn new(
        cut: &Cut,
        nonzeros: u64,
        source: SourceStamp,
        block_files: Vec<u64>,
        [table, gene_moments]: [FileStamp; 2],
        Optional { per_million, sample, annotations }: Optional,
        packs_rows: bool,
    ) -> Self {
        Self {
            format: FORMAT.into(),
            major: MAJOR,
            minor: MINOR,
            must_understand: packs_rows.then(|| PACKED_ROWS.into()).into_iter().collect(),
            writer: concat!("partwise ", env!("CARGO_PKG_VERSION")).into(),
            cells: cut.cells as u64,
            genes: cut.genes as u64,
            nonzeros,
            layout: cut.layout,
            tile_rows: cut.tile_rows as u64,
            block_rows: cut.block_rows as u64,
            block_files,
            table,
            gene_moments,
            per_million,
            sample,
            annotations,
            source,
        }
    }

    /// Shape and cut; an error of the manifest at `path` if they are impossible.
    pub(super) fn cut(&self, path: &Path) -> Result<Cut, StorageError> {
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let cut = Cut {
            cells: number(self.cells),
            genes: number(self.genes),
            layout: self.layout,
            block_rows: number(self.block_rows),
            tile_rows: number(self.tile_rows),
        };
        match cut.problem() {
            None => Ok(cut),
            Some(problem) => Err(StorageError::damaged(path, "the shape", "one that a store can have", problem)),
        }
    }

    /// The manifest as a file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        sealed::to_bytes(self)
    }

    /// Writes the manifest of the store in `folder` so that it appears complete or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<(), StorageError> {
        let draft = folder.join(names::MANIFEST_DRAFT);
        files::create(&draft, &self.to_bytes())?;
        files::rename(&draft, &folder.join(names::MANIFEST))?;
        files::sync_folder(folder)
    }

    /// Reads the manifest at `path`, with its size.
    pub(super) fn read(path: &Path) -> Result<(Self, u64), StorageError> {
        let bytes = files::size(path)?;
        if bytes > MAX_BYTES {
            return Err(StorageError::damaged(path, "the number of bytes", format!("at most {MAX_BYTES}"), bytes));
        }
        let content = fs::read(path).map_err(|error| StorageError::io("read", path, error))?;
        Ok((Self::parse(&content, path)?, content.len() as u64))
    }

    fn parse(content: &[u8], path: &Path) -> Result<Self, StorageError> {
        sealed::check(content, path)?;
        let unreadable = |error: serde_json::Error| StorageError::damaged(path, "the content", "a manifest", error);
        let version: Version = serde_json::from_slice(content).map_err(unreadable)?;
        version.check(path)?;
        serde_json::from_slice(content).map_err(unreadable)
    }
}

/// The fields that every version of the format has. They decide whether the rest can be read.
#[derive(Deserialize)]
struct Version {
    format: String,
    major: u32,
    minor: u32,
    must_understand: Vec<String>,
}

impl Version {
    fn check(&self, path: &Path) -> Result<(), StorageError> {
        if self.format != FORMAT {
            let reason = format!("its manifest says \"{}\"", self.format);
            return Err(StorageError::NotAStore { path: path.into(), reason });
        }
        let found = match self.must_understand.iter().find(|feature| *feature != PACKED_ROWS) {
            _ if self.major != MAJOR => format!("{}.{}", self.major, self.minor),
            Some(feature) => format!("{}.{} with \"{feature}\"", self.major, self.minor),
            None => return Ok(()),
        };
        Err(StorageError::UnsupportedFormat { path: path.into(), found, supported: format!("{MAJOR}.{MINOR}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let cut = Cut { cells: 10, genes: 3, layout: Layout::Sparse, block_rows: 256, tile_rows: 256 };
        let stamp = FileStamp { bytes: 5, crc32c: u32::MAX };
        let optional = Optional { per_million: Some(stamp), ..Optional::default() };
        Manifest::new(&cut, u64::MAX, SourceStamp::default(), vec![4096], [stamp, stamp], optional, true)
    }

    #[test]
    fn a_manifest_is_json_and_comes_back() {
        let bytes = manifest().to_bytes();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["nonzeros"].as_u64(), Some(u64::MAX));
        assert_eq!(Manifest::parse(&bytes, Path::new("m")).unwrap(), manifest());
    }

    #[test]
    fn newer_formats_and_features_are_refused_by_name() {
        let later = |change: fn(&mut Manifest)| {
            let mut manifest = manifest();
            change(&mut manifest);
            Manifest::parse(&manifest.to_bytes(), Path::new("m")).unwrap_err().to_string()
        };
        assert!(later(|m| m.major = 2).contains("has store format 2.3, but this version reads 1.3"));
        assert!(
            later(|m| m.must_understand = vec![PACKED_ROWS.into(), "tall tiles".into()])
                .contains("1.3 with \"tall tiles\"")
        );
        assert!(later(|m| m.format = "other".into()).contains("is not a partwise store"));
    }

    #[test]
    fn later_minor_versions_may_add_fields() {
        let text = String::from_utf8(manifest().to_bytes()).unwrap();
        let text = text.replace("\"minor\": 3,", "\"minor\": 7, \"hint\": [1, 2],");
        let before = &text[..text.rfind("\"crc32c\"").unwrap()];
        let text = format!("{before}{}", sealed::last_line(crc32c::crc32c(before.as_bytes())));
        assert_eq!(Manifest::parse(text.as_bytes(), Path::new("m")).unwrap().cells, 10);
    }
}
