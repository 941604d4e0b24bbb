//! Chooses among the matrices of an AnnData object, whatever holds it.

use std::path::Path;

use super::Place;
use crate::store::Selection;
use crate::{Matrices, Remedy, StorageError};

/// The matrices that an AnnData object has.
pub(in crate::source) struct Offer<'a> {
    /// The path of the object in the file: empty, or with a slash at its end.
    pub(in crate::source) prefix: &'a str,
    /// Names of layers.
    pub(in crate::source) layers: Vec<String>,
    /// The path of the matrix under `raw`.
    pub(in crate::source) raw: Option<&'static str>,
    /// Whether there is a main matrix.
    pub(in crate::source) x: bool,
}

impl Offer<'_> {
    /// The matrix that `selection` names, among those of the file at `path`.
    ///
    /// # Errors
    ///
    /// - it does not exist; the message lists the others
    pub(in crate::source) fn select(self, path: &Path, selection: &Selection) -> Result<Place, StorageError> {
        let Offer { prefix, layers, raw, x } = self;
        let missing = |dataset: &str, remedy: Box<Remedy>| {
            let dataset = format!("{prefix}{dataset}");
            StorageError::MissingDataset { path: path.into(), dataset, remedy }
        };
        let dataset = match (&selection.layer, selection.raw) {
            (Some(layer), true) => {
                let problem = format!("a layer ({layer}) and raw were both asked for");
                return Err(StorageError::Selection { path: path.into(), problem, remedy: "choose one".into() });
            }
            (Some(layer), false) if layers.contains(layer) => format!("layers/{layer}"),
            (Some(layer), false) => return Err(missing(&format!("layers/{layer}"), Place::no_layer(&layers))),
            (None, true) => match raw {
                Some(name) => name.to_owned(),
                None => {
                    let others = Matrices { layers, raw: false };
                    return Err(missing("raw/X", Remedy::LeaveRawAway(others).into()));
                }
            },
            (None, false) if x => "X".to_owned(),
            (None, false) => {
                let there = Matrices { layers, raw: raw.is_some() };
                let remedy = match there.is_empty() {
                    true => "the file holds no matrix at all".into(),
                    false => Remedy::ChooseMatrix(there).into(),
                };
                return Err(missing("X", remedy));
            }
        };
        let others = Matrices {
            layers: layers.into_iter().filter(|l| selection.layer.as_ref() != Some(l)).collect(),
            raw: raw.is_some() && !selection.raw,
        };
        Ok(Place { path: path.into(), dataset: format!("{prefix}{dataset}"), others })
    }
}
