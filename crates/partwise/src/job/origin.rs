//! Where the replicates of a consensus come from: the folder of a sweep, or that of a cNMF run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use partwise_driver::consensus::Replicates;
use partwise_storage::anndata::Value;
use partwise_storage::{Inputs, StorageError, Store};

use super::JobError;
use super::cnmf::CnmfRun;
use super::sweep::{Folder, Told};

/// The replicates of several k over the same genes.
#[derive(Debug)]
pub(super) enum Origin {
    /// The folder of a cNMF run.
    Cnmf(CnmfRun),
    /// The folder of a sweep, and what it tells of each k.
    Sweep(Folder, BTreeMap<usize, Vec<Told>>),
}

impl Origin {
    /// The replicates in the folder at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, JobError> {
        if !Folder::is_sweep(path) {
            return Ok(Origin::Cnmf(CnmfRun::open(path)?));
        }
        let folder = Folder::at(path);
        let told = folder.told()?;
        Ok(Origin::Sweep(folder, told))
    }

    /// The counts that the replicates were made from, if the folder says where they are; `given` otherwise.
    pub(super) fn counts(&self, given: Option<&Inputs>) -> Result<Inputs, JobError> {
        match (self, given) {
            (_, Some(given)) => Ok(given.clone()),
            (Origin::Cnmf(run), None) => Err(JobError::NoCounts { path: run.folder().into() }),
            (Origin::Sweep(folder, _), None) => {
                let (store, _) = folder.store()?;
                match store.exists() {
                    true => Ok(Inputs::from(store)),
                    false => Err(JobError::CountsGone { path: folder.path().into(), store }),
                }
            }
        }
    }

    /// Refuses a store of other data than those of a sweep.
    pub(super) fn check(&self, store: &Store) -> Result<(), JobError> {
        let Origin::Sweep(folder, _) = self else { return Ok(()) };
        let (_, fingerprint) = folder.store()?;
        match fingerprint == store.fingerprint() {
            true => Ok(()),
            false => {
                let differences = vec!["other data".into()];
                Err(JobError::OtherSweep { path: folder.path().into(), differences })
            }
        }
    }

    /// The names of the selected genes, one a line.
    pub(super) fn list(&self) -> PathBuf {
        match self {
            Origin::Cnmf(run) => run.list(),
            Origin::Sweep(folder, _) => folder.list(),
        }
    }

    /// The names of the selected genes in the order of the list.
    pub(super) fn genes(&self) -> Result<Vec<String>, JobError> {
        match self {
            Origin::Cnmf(run) => run.genes(),
            Origin::Sweep(folder, _) => folder.genes(),
        }
    }

    /// The places of these genes in the counts, if their names do not tell them.
    pub(super) fn places(&self) -> Result<Option<Vec<usize>>, JobError> {
        match self {
            Origin::Cnmf(_) => Ok(None),
            Origin::Sweep(folder, _) => Ok(folder.places()?),
        }
    }

    /// The file or folder with the spectra of `k`.
    pub(super) fn spectra(&self, k: usize) -> PathBuf {
        match self {
            Origin::Cnmf(run) => run.spectra(k),
            Origin::Sweep(folder, _) => folder.replicates_folder(),
        }
    }

    /// How many spectra of `k` there are, or are at most.
    pub(super) fn spectra_count(&self, k: usize) -> Result<usize, JobError> {
        match self {
            Origin::Cnmf(run) => Ok(run.shape(k)?.0),
            Origin::Sweep(..) => Ok(self.told(k)?.iter().map(|told| told.len * k).sum()),
        }
    }

    /// The replicates of `k` over `genes` genes.
    pub(super) fn replicates(&self, k: usize, genes: usize) -> Result<Replicates, JobError> {
        match self {
            Origin::Cnmf(run) => run.replicates(k, genes),
            Origin::Sweep(folder, _) => Ok(folder.replicates(k, genes, self.told(k)?)?.0),
        }
    }

    /// The store of the selected genes alone, if there is one.
    pub(super) fn copy(&self) -> Result<Option<Store>, JobError> {
        match self {
            Origin::Cnmf(_) => Ok(None),
            Origin::Sweep(folder, _) => folder.open_copy().map(Some),
        }
    }

    /// What a result says of its replicates.
    pub(super) fn notes(&self) -> Result<Vec<(String, Value)>, StorageError> {
        match self {
            Origin::Cnmf(_) => Ok(vec![("replicates_of".into(), "cnmf".into())]),
            Origin::Sweep(folder, _) => {
                let mut notes = vec![("replicates_of".into(), Value::from("sweep"))];
                notes.extend(folder.settings()?.into_iter().map(|(name, value)| (name, Value::Str(value))));
                Ok(notes)
            }
        }
    }

    fn told(&self, k: usize) -> Result<&[Told], JobError> {
        let Origin::Sweep(folder, told) = self else { return Ok(&[]) };
        let has = || told.keys().copied().collect();
        told.get(&k).map(Vec::as_slice).ok_or_else(|| JobError::NotSwept { path: folder.path().into(), k, has: has() })
    }
}
