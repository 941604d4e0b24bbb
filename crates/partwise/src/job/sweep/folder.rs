//! The folder of a sweep, `NAME.sweep`: all that a consensus needs, so that it fits nothing again.
//!
//! | file             | holds                                                                |
//! |------------------|----------------------------------------------------------------------|
//! | `sweep.json`     | the data and settings that all replicates have in common             |
//! | `genes.txt`      | the names of the selected genes, one a line                          |
//! | `counts.pw`      | a store of the selected genes, which the replicates are fitted to    |
//! | `replicates/`    | the spectra of each cohort of replicates, an AnnData file each       |
//! | `unfinished/`    | checkpoints of the cohorts that are not finished                     |
//! | `stability.csv`  | stability and error of every k                                       |
//!
//! A cohort whose file is there is finished. While a run works in the folder, `unfinished/` has its lock. The
//! description is written after the copy of the genes and before the first replicate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use partwise_driver::consensus::Replicates;
use partwise_driver::sweep::{COHORT, Cohort, Replicate};
use partwise_storage::anndata::write_whole;
use partwise_storage::{Overwrite, StorageError, Store};
use sha2::{Digest, Sha256};

use super::manifest::Manifest;
use super::replicates::{self, Told};
use crate::job::JobError;

/// Bytes of a list of genes at most.
const MOST_BYTES: u64 = 16 << 20;

/// The folder of a sweep.
#[derive(Debug, Clone)]
pub(in crate::job) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(in crate::job) fn at(path: &Path) -> Self {
        Folder { path: path.components().collect() }
    }

    /// Whether a sweep is described here.
    pub(in crate::job) fn is_sweep(path: &Path) -> bool {
        path.join("sweep.json").is_file()
    }

    pub(in crate::job) fn path(&self) -> &Path {
        &self.path
    }

    /// The copy of the selected genes.
    pub(in crate::job) fn copy(&self) -> PathBuf {
        self.path.join("counts.pw")
    }

    /// The list of the selected genes.
    pub(in crate::job) fn list(&self) -> PathBuf {
        self.path.join("genes.txt")
    }

    /// The table of stability and error.
    pub(in crate::job) fn table(&self) -> PathBuf {
        self.path.join("stability.csv")
    }

    fn manifest_path(&self) -> PathBuf {
        self.path.join("sweep.json")
    }

    /// The spectra of the replicates.
    pub(in crate::job) fn replicates_folder(&self) -> PathBuf {
        self.path.join("replicates")
    }

    /// The checkpoints of replicates that are not finished.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.path.join("unfinished")
    }

    pub(super) fn manifest(&self) -> Result<Option<Manifest>, StorageError> {
        Manifest::read(&self.manifest_path())
    }

    /// The store of all genes, and its fingerprint.
    pub(in crate::job) fn store(&self) -> Result<(PathBuf, String), JobError> {
        let path = self.manifest_path();
        let found = self.manifest()?.ok_or(StorageError::NotFound { path })?;
        Ok((found.store, found.fingerprint))
    }

    /// The places of the selected genes in that store, if their names do not tell them.
    pub(in crate::job) fn places(&self) -> Result<Option<Vec<usize>>, StorageError> {
        Ok(self.manifest()?.and_then(|manifest| manifest.places))
    }

    /// The settings that all replicates have, and the method that their genes were selected by.
    pub(in crate::job) fn settings(&self) -> Result<BTreeMap<String, String>, StorageError> {
        Ok(self.manifest()?.map(Manifest::into_settings).unwrap_or_default())
    }

    /// Makes the folder, if it is not there.
    pub(super) fn make(&self) -> Result<(), StorageError> {
        let folder = self.replicates_folder();
        fs::create_dir_all(&folder).map_err(|error| StorageError::io("create", &folder, error))
    }

    /// Removes what a sweep has written, its description first, and no other file.
    pub(super) fn clear(&self) -> Result<(), StorageError> {
        let files = [self.manifest_path(), self.table(), self.list()];
        let cohorts = self.cohorts()?.into_iter().map(|cohort| replicates::path(&self.replicates_folder(), &cohort));
        for file in files.into_iter().chain(cohorts) {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StorageError::io("remove", &file, error));
                }
                _ => (),
            }
        }
        Ok(())
    }

    /// Describes the sweep: its replicates may be written from now on.
    pub(super) fn describe(&self, manifest: &Manifest, genes: &[String]) -> Result<(), StorageError> {
        write_whole(&self.list(), list_of(genes).as_bytes(), Overwrite::Replace)?;
        manifest.write(&self.manifest_path())
    }

    /// Writes finished replicates.
    pub(super) fn write(&self, cohort: &Cohort, found: &[Replicate], genes: &[String]) -> Result<(), StorageError> {
        replicates::write(&replicates::path(&self.replicates_folder(), cohort), cohort.k, found, genes)
    }

    /// Whether all replicates of a cohort are there.
    pub(super) fn has(&self, cohort: &Cohort) -> Result<bool, StorageError> {
        let told = replicates::told(&replicates::path(&self.replicates_folder(), cohort), cohort.k)?;
        Ok(told.is_some_and(|told| told.len >= cohort.len))
    }

    /// Whether there are replicates, described or not.
    pub(super) fn has_replicates(&self) -> Result<bool, StorageError> {
        Ok(!self.cohorts()?.is_empty())
    }

    /// The cohorts that have a file.
    fn cohorts(&self) -> Result<Vec<Cohort>, StorageError> {
        let folder = self.replicates_folder();
        let mut found = Vec::new();
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            entries => entries.map_err(|error| StorageError::io("read", &folder, error))?,
        };
        for entry in entries {
            let name = entry.map_err(|error| StorageError::io("read", &folder, error))?.file_name();
            let numbers =
                name.to_str().and_then(|name| name.strip_prefix('k')?.strip_suffix(".h5ad")?.split_once(".from"));
            if let Some((Ok(k), Ok(first))) = numbers.map(|(k, first)| (k.parse(), first.parse())) {
                found.push(Cohort::new(k, first, COHORT));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The files of every k, from the first replicate on to the first gap.
    pub(in crate::job) fn told(&self) -> Result<BTreeMap<usize, Vec<Told>>, StorageError> {
        let mut all: BTreeMap<usize, Vec<Told>> = BTreeMap::new();
        for cohort in self.cohorts()? {
            let of_k = all.entry(cohort.k).or_default();
            let is_next = of_k.len() * COHORT == cohort.first && of_k.last().is_none_or(|told| told.len == COHORT);
            let told = replicates::told(&replicates::path(&self.replicates_folder(), &cohort), cohort.k)?;
            of_k.extend(told.filter(|_| is_next));
        }
        all.retain(|_, told| !told.is_empty());
        Ok(all)
    }

    /// A hash of all replicates of the folder.
    pub(in crate::job) fn digest(&self) -> Result<String, StorageError> {
        let mut hash = Sha256::new();
        for told in self.told()?.values().flatten() {
            hash.update(told.sha256());
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The spectra of all replicates of `k` over `genes` genes, and how many replicates were left out because one of
    /// their components had vanished.
    pub(in crate::job) fn replicates(
        &self,
        k: usize,
        genes: usize,
        told: &[Told],
    ) -> Result<(Replicates, usize), JobError> {
        let mut spectra = Vec::new();
        for (number, told) in told.iter().enumerate() {
            let path = replicates::path(&self.replicates_folder(), &Cohort::new(k, number * COHORT, told.len));
            replicates::read(&path, (k, genes), told, &mut spectra)?;
        }
        let all = spectra.len() / (k * genes);
        let is_whole =
            |replicate: &[f32]| replicate.chunks_exact(genes).all(|spectrum| spectrum.iter().any(|&value| value > 0.0));
        let whole: Vec<bool> = spectra.chunks_exact(k * genes).map(is_whole).collect();
        let mut kept = 0;
        for (replicate, _) in whole.iter().enumerate().filter(|(_, whole)| **whole) {
            spectra.copy_within(replicate * k * genes..(replicate + 1) * k * genes, kept * k * genes);
            kept += 1;
        }
        spectra.truncate(kept * k * genes);
        let found = Replicates::new(&spectra, k, genes);
        let found = found.map_err(|error| JobError::of_consensus(self.replicates_folder(), error))?;
        Ok((found, all - kept))
    }

    /// The names of the selected genes.
    pub(in crate::job) fn genes(&self) -> Result<Vec<String>, JobError> {
        let path = self.list();
        let io = |error| StorageError::io("read", &path, error);
        if fs::metadata(&path).map_err(io)?.len() > MOST_BYTES {
            return Err(StorageError::damaged(&path, "the size", format!("up to {MOST_BYTES} bytes"), "more").into());
        }
        let text = fs::read_to_string(&path).map_err(io)?;
        Ok(text.lines().map(Into::into).collect())
    }

    /// Opens the copy of the selected genes.
    pub(in crate::job) fn open_copy(&self) -> Result<Store, JobError> {
        let path = self.copy();
        let copy = Store::open(&path)?;
        let manifest = self.manifest()?.ok_or_else(|| StorageError::NotFound { path: self.manifest_path() })?;
        match manifest.copy_fingerprint == copy.fingerprint() {
            true => Ok(copy),
            false => {
                let expected = manifest.copy_fingerprint;
                Err(StorageError::damaged(&path, "the fingerprint", expected, copy.fingerprint()).into())
            }
        }
    }
}

fn list_of(genes: &[String]) -> String {
    genes.iter().flat_map(|gene| [gene.as_str(), "\n"]).collect()
}

/// A hash of the names of genes, in order.
pub(super) fn hash_of(genes: &[String]) -> String {
    Sha256::digest(list_of(genes)).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicate(number: usize, value: f32) -> Replicate {
        Replicate::new(number, vec![value, 0.0, 1.0, 0.0, value, 2.0], 0.25, 7, number.checked_sub(1))
    }

    fn names() -> Vec<String> {
        ["a", "b", "c"].map(String::from).to_vec()
    }

    #[test]
    fn replicates_come_back_and_those_with_a_vanished_component_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::at(root.path());
        folder.make().unwrap();
        let mut found: Vec<Replicate> = (0..COHORT).map(|number| replicate(number, 1.0)).collect();
        found[3].spectra[3..].fill(0.0);
        folder.write(&Cohort::new(2, 0, COHORT), &found, &names()).unwrap();
        let more = [replicate(COHORT, 5.0)];
        folder.write(&Cohort::new(2, COHORT, 1), &more, &names()).unwrap();
        // A gap before it: not yet one of the sweep.
        folder.write(&Cohort::new(2, 3 * COHORT, 1), &more, &names()).unwrap();
        let told = folder.told().unwrap();
        assert_eq!(told.keys().collect::<Vec<_>>(), [&2]);
        assert_eq!(told[&2].iter().map(|told| told.len).collect::<Vec<_>>(), [COHORT, 1]);
        let (replicates, left_out) = folder.replicates(2, 3, &told[&2]).unwrap();
        assert_eq!((replicates.replicates(), left_out), (COHORT, 1));
        assert!(folder.has(&Cohort::new(2, 0, COHORT)).unwrap() && folder.has(&Cohort::new(2, COHORT, 1)).unwrap());
        assert!(!folder.has(&Cohort::new(2, COHORT, 2)).unwrap() && !folder.has(&Cohort::new(3, 0, 1)).unwrap());
    }

    #[test]
    fn a_changed_bit_is_noticed_and_the_file_named() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::at(root.path());
        folder.make().unwrap();
        let cohort = Cohort::new(2, 0, 2);
        folder.write(&cohort, &[replicate(0, 1.0), replicate(1, 1.5)], &names()).unwrap();
        let path = replicates::path(&folder.replicates_folder(), &cohort);
        let mut content = fs::read(&path).unwrap();
        let needle = 1.5_f32.to_le_bytes();
        let place = content.windows(4).position(|window| window == needle).unwrap();
        content[place] ^= 1;
        fs::write(&path, content).unwrap();
        let told = folder.told().unwrap();
        let error = folder.replicates(2, 3, &told[&2]).unwrap_err().to_string();
        assert!(error.contains("k2.from0.h5ad"), "{error}");
    }
}
