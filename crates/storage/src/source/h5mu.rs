//! MuData files (`.h5mu`): an AnnData group for each modality, under `mod`.

use std::path::Path;

use super::{Source, h5ad};
use crate::StorageError;
use crate::hdf::file::{Reading, members};
use crate::remedy::{Choice, Remedy};
use crate::store::Selection;

/// Opens the selected matrix of a modality: the one that `selection` names, or the only one.
///
/// # Errors
///
/// - it does not exist, or there are several and none is named (the message lists them)
pub(super) fn open(file: Reading, path: &Path, selection: &Selection) -> Result<Box<dyn Source>, StorageError> {
    selection.check(path, "a MuData file", &[Choice::Layer, Choice::Raw, Choice::Transpose, Choice::Modality])?;
    let mut names = members(&file, "mod");
    let remedy = |names: Vec<String>| Remedy::ChooseOne { choice: Choice::Modality, names }.into();
    let name = match (&selection.modality, names.len()) {
        (Some(name), _) if names.contains(name) => name.clone(),
        (Some(name), _) => {
            let dataset = format!("mod/{name}");
            return Err(StorageError::MissingDataset { path: path.into(), dataset, remedy: remedy(names) });
        }
        (None, 1) => names.remove(0),
        (None, several) => {
            let (problem, remedy) = (format!("holds {several} modalities"), remedy(names));
            let dataset = "mod".to_owned();
            return Err(StorageError::InvalidDataset { path: path.into(), dataset, problem, remedy });
        }
    };
    h5ad::open_element(file, &format!("mod/{name}/"), path, selection)
}
