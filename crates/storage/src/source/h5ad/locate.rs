//! Finds the selected matrix of an AnnData element.

use std::path::Path;

use hdf5::{File, Group};

use crate::StorageError;
use crate::hdf::attribute;
use crate::hdf::file::{exists, members};
use crate::hdf::problem::problem;
use crate::source::matrix::{Found, Offer, Place};
use crate::store::Selection;

/// A group that holds an AnnData object: the file itself, or a modality.
pub(super) struct Element<'a> {
    pub(super) file: &'a File,
    pub(super) group: Group,
    /// Its path in the file: empty, or with a slash at its end.
    pub(super) prefix: &'a str,
    path: &'a Path,
}

impl<'a> Element<'a> {
    /// Opens the group at `prefix`.
    pub(super) fn open(file: &'a File, prefix: &'a str, path: &'a Path) -> Result<Element<'a>, StorageError> {
        let name = if prefix.is_empty() { "/" } else { prefix.trim_end_matches('/') };
        let group = file.group(name).map_err(|e| problem("read", path, name, &e))?;
        Ok(Element { file, group, prefix, path })
    }

    /// Finds the matrix that `selection` names.
    ///
    /// # Errors
    ///
    /// - it does not exist (the message lists the others)
    /// - it is stored in a form that no version of anndata writes
    pub(super) fn locate(&self, selection: &Selection) -> Result<(Place, Found), StorageError> {
        let Element { file, group, prefix, path } = self;
        let layers = members(group, "layers");
        let raw = ["raw/X", "raw.X"].into_iter().find(|name| exists(group, name));
        let x = exists(group, "X") && !is_null(group);
        let place = Offer { prefix, layers, raw, x }.select(path, selection)?;
        let found = Found::of(file, &place)?;
        Ok((place, if selection.transpose { found.transposed() } else { found }))
    }
}

/// Whether the matrix is None, which newer anndata writes as an empty element.
fn is_null(group: &Group) -> bool {
    group.dataset("X").is_ok_and(|d| attribute::text(&d, "encoding-type").as_deref() == Some("null"))
}
