//! The list of whole checkpoints in a folder. Written last, so that every file it names is there.
//!
//! Sealed JSON, like the manifest of a store.

use std::fs;
use std::path::Path;

use partwise_storage::{StorageError, sealed};
use serde::{Deserialize, Serialize};

use super::file::{Draft, Seal, check_size, sync_folder};
use super::identity::Identity;
use super::rows::Part;

/// The name of the file, and of its draft.
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const DRAFT: &str = "manifest.json.draft";

const FORMAT: &str = "partwise checkpoints";
/// The version that is written, and the only one that is read.
pub(super) const VERSION: u32 = 2;
/// Larger manifests are not read: this is enough for a hundred thousand processes.
const MAX_BYTES: u64 = 64 << 20;
/// Checkpoints that are kept.
const KEPT: usize = 2;

/// The manifest, field by field as in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: String,
    pub(super) version: u32,
    writer: String,
    pub(super) fit: Identity,
    /// The newest first.
    pub(super) checkpoints: Vec<Entry>,
}

/// The fields that the list has in every version.
#[derive(Deserialize)]
struct Version {
    format: String,
    version: u32,
}

/// One checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Reads of all of X completed before it.
    pub(super) passes: usize,
    pub(super) state: Stamp,
    /// The files of W; none while no pass has been accepted.
    pub(super) usages: Vec<Part>,
}

/// A file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) seal: Seal,
}

impl Entry {
    /// Names and seals of its files.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, Seal)> {
        let parts = self.usages.iter().map(|part| (part.name.as_str(), part.seal));
        std::iter::once((self.state.name.as_str(), self.state.seal)).chain(parts)
    }

    /// Whether all of its files are in `folder`, with the right sizes.
    pub(super) fn check_sizes(&self, folder: &Path) -> Result<(), StorageError> {
        self.files().try_for_each(|(name, seal)| check_size(&folder.join(name), seal.bytes))
    }
}

impl Manifest {
    /// The list of the newest of `checkpoints` (the newest first) of one fit.
    pub(super) fn new(fit: &Identity, checkpoints: &[Entry]) -> Self {
        Manifest {
            format: FORMAT.into(),
            version: VERSION,
            writer: concat!("partwise ", env!("CARGO_PKG_VERSION")).into(),
            fit: fit.clone(),
            checkpoints: checkpoints.iter().take(KEPT).cloned().collect(),
        }
    }

    /// Whether it names this file.
    pub(super) fn names(&self, file: &str) -> bool {
        self.checkpoints.iter().flat_map(Entry::files).any(|(name, _)| name == file)
    }

    /// Writes it into `folder`, whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<(), StorageError> {
        let (draft, place) = (folder.join(DRAFT), folder.join(MANIFEST));
        // The files that it names have to survive a loss of power as well.
        sync_folder(folder)?;
        let mut file = Draft::create(&draft)?;
        file.put(&sealed::to_bytes(self))?;
        file.finish()?;
        fs::rename(&draft, &place).map_err(|error| StorageError::io("rename to", &place, error))?;
        sync_folder(folder)
    }

    /// The manifest of `folder`; `None` if there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Manifest>, StorageError> {
        let path = folder.join(MANIFEST);
        match fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Ok(meta) if !meta.is_file() || meta.len() > MAX_BYTES => {
                return Err(StorageError::damaged(
                    &path,
                    "it",
                    format!("a file of at most {MAX_BYTES} bytes"),
                    "other",
                ));
            }
            _ => (),
        }
        let content = fs::read(&path).map_err(|error| StorageError::io("read", &path, error))?;
        Self::parse(&content, &path).map(Some)
    }

    /// Reads only the number of another version, because nothing else has to be as it is here.
    pub(super) fn parse(content: &[u8], path: &Path) -> Result<Self, StorageError> {
        sealed::check(content, path)?;
        let unreadable = |error| StorageError::damaged(path, "the content", "a list of checkpoints", error);
        let Version { format, version } = serde_json::from_slice(content).map_err(unreadable)?;
        if format != FORMAT {
            return Err(StorageError::damaged(path, "its format", FORMAT, format));
        }
        if version != VERSION {
            return Ok(Manifest { version, ..Self::new(&Identity::default(), &[]) });
        }
        serde_json::from_slice(content).map_err(unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let fit = serde_json::from_str(r#"{"k": "3"}"#).unwrap();
        let seal = Seal { bytes: 5, crc32c: u32::MAX };
        let entry = |passes| Entry {
            passes,
            state: Stamp { name: format!("state-{passes}"), seal },
            usages: vec![Part { name: format!("usages-{passes}"), first_block: 0, blocks: 2, seal }],
        };
        Manifest::new(&fit, &[entry(9), entry(8), entry(7)])
    }

    #[test]
    fn the_two_newest_come_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), None);
        manifest().write(folder.path()).unwrap();
        let back = Manifest::read(folder.path()).unwrap().unwrap();
        assert_eq!(back, manifest());
        assert_eq!(back.checkpoints.iter().map(|entry| entry.passes).collect::<Vec<_>>(), [9, 8]);
        assert!(back.names("state-9") && back.names("usages-8") && !back.names("state-7"));
        assert!(!folder.path().join(DRAFT).exists());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (whole, path) = (sealed::to_bytes(&manifest()), Path::new("m"));
        assert_eq!(Manifest::parse(&whole, path).unwrap(), manifest());
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(Manifest::parse(&bad, path).is_err(), "byte {at}");
            assert!(Manifest::parse(&whole[..at], path).is_err(), "cut at {at}");
        }
    }
}
