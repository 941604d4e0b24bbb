//! HDF5 files that follow no format: the table or sparse matrix `X`, or the one at a given path.

use std::path::Path;

use hdf5::Group;

use super::Source;
use super::annotations::{Annotations, Table};
use super::in_hdf5;
use super::matrix::{Found, Matrix, Place};
use crate::hdf::file::{Reading, exists};
use crate::hdf::number::NumberType;
use crate::remedy::{Choice, Remedy};
use crate::store::Selection;
use crate::{Axis, Matrices, StorageError};

/// The matrix that is read unless another one is named.
const DEFAULT: &str = "X";

/// Opens the matrix: cells × genes without names.
///
/// # Errors
///
/// - it does not exist (the message lists the matrices of the file with their shapes)
/// - it is neither a table nor a group of `data`, `indices` and `indptr`
pub(super) fn open(file: Reading, path: &Path, selection: &Selection) -> Result<Box<dyn Source>, StorageError> {
    selection.check(path, "an HDF5 file that follows no format", &[Choice::Dataset, Choice::Transpose])?;
    let dataset = selection.dataset.as_deref().unwrap_or(DEFAULT).trim_matches('/').to_owned();
    if dataset.is_empty() || !exists(&file, &dataset) {
        return Err(StorageError::MissingDataset { path: path.into(), dataset, remedy: another(&file) });
    }
    let place = Place { path: path.into(), dataset, others: Matrices::default() };
    let found = Found::of_any(&file, &place)?;
    if let Found::Sparse { group, .. } = &found
        && !is_sparse(group)
    {
        let problem = "is a group without data, indices and indptr".to_owned();
        let (path, dataset, remedy) = (path.into(), place.dataset, another(&file));
        return Err(StorageError::InvalidDataset { path, dataset, problem, remedy });
    }
    let found = if selection.transpose { found.transposed() } else { found };
    let matrix = Matrix::open(&file, found, None, place.clone())?;
    let annotations = Annotations::new(path, Table::absent(Axis::Cells), Table::absent(Axis::Genes));
    in_hdf5::boxed(file, path, selection, place, matrix, annotations)
}

/// Members of groups that are looked at to list matrices.
const LOOKED_AT: usize = 1000;

/// Matrices that a message lists.
const LISTED: usize = 8;

/// Depth of the groups that are looked into.
const DEEPEST: usize = 8;

/// The remedy that names the matrices of a file.
fn another(file: &Group) -> Box<Remedy> {
    let names = matrices(file);
    match names.is_empty() {
        true => "the file holds no matrix at all".into(),
        false => Remedy::ChooseOne { choice: Choice::Dataset, names }.into(),
    }
}

/// The matrices of a file with their shapes, as messages list them. A large file may have more.
fn matrices(file: &Group) -> Vec<String> {
    let (mut found, mut left) = (Vec::new(), LOOKED_AT);
    list(file, "", DEEPEST, &mut left, &mut found);
    if found.len() > LISTED {
        found.truncate(LISTED);
        found.push("…".into());
    }
    found
}

fn list(group: &Group, prefix: &str, depth: usize, left: &mut usize, found: &mut Vec<String>) {
    for name in group.member_names().unwrap_or_default() {
        if *left == 0 || found.len() > LISTED {
            return;
        }
        *left -= 1;
        let path = format!("{prefix}{name}");
        if let Ok(table) = group.dataset(&name) {
            let numbers = table.dtype().and_then(|datatype| NumberType::of(&datatype));
            if let ([rows, columns], Ok(Some(_))) = (&table.shape()[..], numbers) {
                found.push(format!("{path} ({rows} × {columns})"));
            }
        } else if let Ok(inner) = group.group(&name) {
            if is_sparse(&inner) {
                found.push(format!("{path} (sparse)"));
            } else if depth > 0 {
                list(&inner, &format!("{path}/"), depth - 1, left, found);
            }
        }
    }
}

fn is_sparse(group: &Group) -> bool {
    ["data", "indices", "indptr"].iter().all(|name| group.link_exists(name))
}
