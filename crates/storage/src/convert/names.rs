//! Finds duplicates among any number of names in the same memory.
//!
//! Names are hashed to 64 bits. Two different names among a hundred million have the same hash by
//! chance once in four thousand such files.

use std::path::Path;

use crate::anndata::frame_name;
use crate::hdf::problem::problem;
use crate::hdf::text::TextColumn;
use crate::hdf::{self, attribute};
use crate::repeats::{Sorter, hash};
use crate::{Axis, StorageError};

/// The duplicates found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Duplicates {
    /// The number of names that an earlier entry has.
    pub(super) count: u64,
    /// One of them.
    pub(super) example: String,
}

/// Finds duplicate names of `axis` in the AnnData file at `annotations`.
pub(super) fn duplicates(annotations: &Path, axis: Axis) -> Result<Option<Duplicates>, StorageError> {
    let table = frame_name(axis);
    let fail = |e: &hdf5::Error| problem("read", annotations, table, e);
    let file = hdf::file::open(annotations)?;
    let group = file.group(table).map_err(|e| fail(&e))?;
    let index = attribute::text(&group, "_index").unwrap_or_else(|| "_index".into());
    let dataset = group.dataset(&index).or_else(|_| group.dataset(&format!("{index}/values")));
    let Ok(dataset) = dataset else { return Ok(None) };
    let Some(names) = TextColumn::of(&dataset, None).map_err(|e| fail(&e))? else { return Ok(None) };

    let mut sorter = Sorter::new(annotations.parent().unwrap_or(Path::new(".")));
    let mut failed = None;
    let visited = names.visit_all(|name| {
        if failed.is_none() {
            failed = sorter.push(hash(name)).err();
        }
    });
    visited.map_err(|e| fail(&e))?;
    failed.map_or(Ok(()), Err)?;
    let Some((count, repeated)) = sorter.repeats()? else { return Ok(None) };
    let mut example = None;
    let find = names.visit_all(|name| {
        if example.is_none() && hash(name) == repeated {
            example = Some(String::from_utf8_lossy(name).into_owned());
        }
    });
    find.map_err(|e| fail(&e))?;
    Ok(Some(Duplicates { count, example: example.unwrap_or_default() }))
}
