//! The description of a sweep's folder: `sweep.json`, sealed JSON as that of a store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use partwise_driver::model::Setting;
use partwise_driver::sweep::ReplicateStart;
use partwise_driver::{HvgSpec, SweepConfig};
use partwise_storage::anndata::write_whole;
use partwise_storage::{Overwrite, StorageError, sealed};
use serde::{Deserialize, Serialize};

use super::folder::hash_of;

const FORMAT: &str = "partwise sweep";
/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;
/// Larger files are no descriptions of a sweep: places of a million genes take 8 MB.
const MAX_BYTES: u64 = 16 << 20;

/// The selected genes, in the order of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) names: Vec<String>,
    /// Their places among all genes, if another gene has the name of one of them.
    pub(super) places: Option<Vec<usize>>,
}

/// What all replicates of a folder have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: String,
    version: u32,
    writer: String,
    /// The store of all genes.
    pub(super) store: PathBuf,
    /// Of that store.
    pub(super) fingerprint: String,
    /// Of the copy of the selected genes.
    pub(super) copy_fingerprint: String,
    pub(super) selected_genes: usize,
    /// A hash of their names.
    pub(super) genes_sha256: String,
    /// Their places among all genes, if names do not tell them: files of 10x have symbols that repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) places: Option<Vec<usize>>,
    /// How they were selected; `None`: all to choose from. Descriptions from before there were two methods have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hvg_method: Option<String>,
    settings: BTreeMap<String, String>,
}

impl Manifest {
    pub(super) fn new(
        store: PathBuf,
        [fingerprint, copy_fingerprint]: [String; 2],
        genes: &Chosen,
        hvg: Option<HvgSpec>,
        config: &SweepConfig,
    ) -> Self {
        let word = |(name, value): (&str, Setting)| (name.to_owned(), value.to_string());
        Manifest {
            format: FORMAT.into(),
            version: VERSION,
            writer: env!("CARGO_PKG_VERSION").into(),
            store,
            fingerprint,
            copy_fingerprint,
            selected_genes: genes.names.len(),
            genes_sha256: hash_of(&genes.names),
            places: genes.places.clone(),
            hvg_method: hvg.map(|hvg| hvg.method.to_string()),
            settings: config.settings().into_iter().map(word).collect(),
        }
    }

    /// Reads the description at `path`; `None` if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, StorageError> {
        let io = |error| StorageError::io("read", path, error);
        match path.metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
            Ok(meta) if meta.len() > MAX_BYTES => {
                return Err(StorageError::damaged(path, "the size", format!("up to {MAX_BYTES} bytes"), meta.len()));
            }
            Ok(_) => (),
        }
        let content = std::fs::read(path).map_err(io)?;
        sealed::check(&content, path)?;
        let found: Manifest = serde_json::from_slice(&content)
            .map_err(|error| StorageError::damaged(path, "the description", "that of a sweep", error.to_string()))?;
        match found.format == FORMAT && found.version == VERSION {
            true => Ok(Some(found)),
            false => {
                let version = format!("{} {}", found.format, found.version);
                Err(StorageError::damaged(path, "the version", format!("{FORMAT} {VERSION}"), version))
            }
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), StorageError> {
        write_whole(path, &sealed::to_bytes(self), Overwrite::Replace)
    }

    /// The settings, with the method that genes were selected by.
    pub(super) fn into_settings(self) -> BTreeMap<String, String> {
        let method = self.hvg_method.map(|method| ("hvg_method".to_owned(), method));
        self.settings.into_iter().chain(method).collect()
    }

    /// In what a sweep that is `wanted` differs, in words; empty if its replicates belong into this folder.
    pub(super) fn differences(&self, wanted: &Manifest) -> Vec<String> {
        let mut differences = Vec::new();
        if self.fingerprint != wanted.fingerprint {
            differences.push("other data".into());
        }
        if self.genes_sha256 != wanted.genes_sha256 || self.places != wanted.places {
            let (had, wanted) = (self.selected_genes, wanted.selected_genes);
            differences.push(match had == wanted {
                true => format!("other {had} genes"),
                false => format!("{had} selected genes, not {wanted}"),
            });
        }
        if let (Some(had), Some(wanted)) = (&self.hvg_method, &wanted.hvg_method)
            && had != wanted
        {
            differences.push(format!("hvg_method = {had}, not {wanted}"));
        }
        for (name, value) in &wanted.settings {
            // A description from before there were two starts has none.
            let silent = if name == "start" { ReplicateStart::Random.word() } else { "unknown" };
            let had = self.settings.get(name).map_or(silent, String::as_str);
            if had != value {
                differences.push(format!("{name} = {had}, not {value}"));
            }
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use partwise_driver::HvgMethod;

    use super::*;

    fn chosen(places: Option<Vec<usize>>) -> Chosen {
        Chosen { names: vec!["c".into(), "d".into()], places }
    }

    fn manifest(config: &SweepConfig) -> Manifest {
        let hvg = NonZeroUsize::new(2000).map(|count| HvgSpec { count, method: HvgMethod::Cnmf });
        Manifest::new("/data/x.pw".into(), ["a".into(), "b".into()], &chosen(None), hvg, config)
    }

    #[test]
    fn a_description_comes_back_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sweep.json");
        assert_eq!(Manifest::read(&path).unwrap(), None);
        let written = manifest(&SweepConfig::new([5], 20));
        written.write(&path).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), Some(written));
        let placed = Manifest { places: Some(vec![3, 5]), ..manifest(&SweepConfig::new([5], 20)) };
        placed.write(&path).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), Some(placed));
        let mut content = std::fs::read(&path).unwrap();
        content[20] ^= 1;
        std::fs::write(&path, content).unwrap();
        assert!(Manifest::read(&path).is_err());
    }

    #[test]
    fn differences_are_named_and_more_replicates_are_none() {
        let had = manifest(&SweepConfig::new([5], 20));
        assert_eq!(had.differences(&manifest(&SweepConfig::new([5, 6], 40))), Vec::<String>::new());
        let mut config = SweepConfig::new([5], 20);
        (config.seed, config.meet) = (3, false);
        let mut other = manifest(&config);
        other.fingerprint = "z".into();
        (other.genes_sha256, other.selected_genes) = ("y".into(), 1000);
        other.hvg_method = Some("seurat_v3".into());
        let method = "hvg_method = cnmf, not seurat_v3";
        let expected =
            ["other data", "2 selected genes, not 1000", method, "meet = true, not false", "seed = 0, not 3"];
        assert_eq!(had.differences(&other), expected);
        // A description that does not know the method is not refused for it.
        let mut silent = had.clone();
        silent.hvg_method = None;
        assert_eq!(silent.differences(&had), Vec::<String>::new());
        silent.settings.remove("start");
        assert_eq!(silent.differences(&had), Vec::<String>::new());
        let mut sampled = SweepConfig::new([5], 20);
        sampled.start = ReplicateStart::Sample;
        assert_eq!(silent.differences(&manifest(&sampled)), ["start = random, not sample"]);
        // Genes of the same names at other places are other genes.
        let placed = |places| Manifest { places: Some(places), ..manifest(&SweepConfig::new([5], 20)) };
        assert_eq!(placed(vec![3, 5]).differences(&placed(vec![4, 5])), ["other 2 genes"]);
    }
}
