//! Finds the selected matrix in an HDF5 file.

use std::path::Path;

use hdf5::{File, Group, LocationType};

use super::{DAMAGED, Place};
use crate::hdf::attribute;
use crate::store::Selection;
use crate::{Matrices, Remedy, StorageError};

/// The form of the matrix in the file.
pub(super) enum Matrix {
    /// A group of `data`, `indices`, `indptr`.
    Csr {
        /// The group.
        group: Group,
        /// Cells and genes, if an attribute gives them.
        shape: Option<(usize, usize)>,
    },
    /// A table of cells × genes.
    Dense,
}

/// Finds the matrix that `selection` names.
///
/// # Errors
///
/// - it does not exist (the message lists the others), or the file has another format based on HDF5
/// - it is stored by gene, or in a form that no version of anndata writes
pub(super) fn locate(file: &File, path: &Path, selection: &Selection) -> Result<(Place, Matrix), StorageError> {
    let layers = members(file, "layers");
    let raw = ["raw/X", "raw.X"].into_iter().find(|name| exists(file, name));
    if !exists(file, "X") && layers.is_empty() && raw.is_none() {
        refuse_other_formats(file, path)?;
    }
    let missing =
        |dataset: String, remedy: Box<Remedy>| StorageError::MissingDataset { path: path.into(), dataset, remedy };
    let dataset = match (&selection.layer, selection.raw) {
        (Some(layer), true) => {
            let problem = format!("a layer ({layer}) and raw were both asked for");
            return Err(StorageError::Selection { path: path.into(), problem, remedy: "choose one".into() });
        }
        (Some(layer), false) if layers.contains(layer) => format!("layers/{layer}"),
        (Some(layer), false) if layers.is_empty() => {
            return Err(missing(format!("layers/{layer}"), "the file has no layers".into()));
        }
        (Some(layer), false) => {
            return Err(missing(format!("layers/{layer}"), format!("its layers are {}", layers.join(", ")).into()));
        }
        (None, true) => match raw {
            Some(name) => name.to_owned(),
            None => {
                let others = Matrices { layers, raw: false };
                return Err(missing("raw/X".into(), Remedy::LeaveRawAway(others).into()));
            }
        },
        (None, false) if exists(file, "X") && !is_null(file) => "X".to_owned(),
        (None, false) => {
            let there = Matrices { layers, raw: raw.is_some() };
            let remedy = match there.is_empty() {
                true => "the file holds no matrix at all".into(),
                false => Remedy::ChooseMatrix(there).into(),
            };
            return Err(missing("X".into(), remedy));
        }
    };
    let others = Matrices {
        layers: layers.into_iter().filter(|l| selection.layer.as_ref() != Some(l)).collect(),
        raw: raw.is_some() && !selection.raw,
    };
    let place = Place { path: path.into(), dataset: dataset.clone(), others };
    let matrix = classify(file, &dataset, &place)?;
    Ok((place, matrix))
}

fn classify(file: &File, dataset: &str, place: &Place) -> Result<Matrix, StorageError> {
    let kind = file.loc_type_by_name(dataset).map_err(|e| place.problem("", &e))?;
    if kind == LocationType::Dataset {
        return Ok(Matrix::Dense);
    }
    let group = file.group(dataset).map_err(|e| place.problem("", &e))?;
    let encoding = ["encoding-type", "h5sparse_format"].into_iter().find_map(|name| attribute::text(&group, name));
    match encoding.as_deref() {
        Some("csr_matrix" | "csr") => {}
        Some("csc_matrix" | "csc") => {
            let problem = "is stored by gene (CSC), which is not supported yet".to_owned();
            let remedy = format!(
                "save it by cell from Python: {} = {}.tocsr(), then write_h5ad",
                python(dataset),
                python(dataset)
            );
            return Err(place.invalid("", problem, &remedy));
        }
        Some(other) => {
            let problem = format!("has the encoding {other}, expected csr_matrix or array");
            return Err(place.invalid("", problem, "save it again with anndata"));
        }
        None => {
            let problem = "is a group without an encoding-type, expected csr_matrix".to_owned();
            return Err(place.invalid("", problem, "save it again with anndata"));
        }
    }
    let numbers = ["shape", "h5sparse_shape"].into_iter().find_map(|name| attribute::integers(&group, name));
    let shape = match numbers.as_deref() {
        None => None,
        Some(&[cells, genes]) if cells >= 0 && genes >= 0 => Some((cells as usize, genes as usize)),
        Some(other) => {
            return Err(place.invalid("", format!("has the shape {other:?}, expected cells and genes"), DAMAGED));
        }
    };
    Ok(Matrix::Csr { group, shape })
}

/// The Python expression for a matrix of an AnnData object.
fn python(dataset: &str) -> String {
    match dataset.split_once('/') {
        Some(("layers", name)) => format!("adata.layers[\"{name}\"]"),
        Some(_) => "adata.raw.X".to_owned(),
        None => "adata.X".to_owned(),
    }
}

/// Refuses other formats based on HDF5, recognised by members that only they have.
fn refuse_other_formats(file: &File, path: &Path) -> Result<(), StorageError> {
    let modalities = members(file, "mod");
    if !modalities.is_empty() {
        let list: Vec<String> = modalities.iter().map(|name| format!("mod/{name}")).collect();
        let remedy = format!(
            "it is a MuData file, whose matrices are under {}; save one as .h5ad from Python (mdata.mod[\"{}\"].write)",
            list.join(", "),
            modalities[0]
        );
        return Err(StorageError::MissingDataset { path: path.into(), dataset: "X".into(), remedy: remedy.into() });
    }
    let unknown = |reason: &str| Err(StorageError::UnknownFormat { path: path.into(), reason: reason.into() });
    if file.dataset("matrix").is_ok() && (exists(file, "row_attrs") || exists(file, "col_attrs")) {
        return unknown(
            "it is a loom file, a format not supported yet; save it as .h5ad from Python (scanpy.read_loom)",
        );
    }
    let groups = file.member_names().unwrap_or_default();
    if groups.iter().any(|name| exists(file, &format!("{name}/indptr")) && exists(file, &format!("{name}/data"))) {
        return unknown(
            "it is a 10x HDF5 file, a format not supported yet; save it as .h5ad from Python (scanpy.read_10x_h5)",
        );
    }
    Ok(())
}

/// The names of the members of a group; empty if there is no such group.
fn members(file: &File, group: &str) -> Vec<String> {
    if !exists(file, group) {
        return Vec::new();
    }
    file.group(group).and_then(|g| g.member_names()).unwrap_or_default()
}

/// Whether every part of a path exists.
fn exists(file: &File, name: &str) -> bool {
    let mut prefix = String::new();
    name.split('/').all(|part| {
        if !prefix.is_empty() {
            prefix.push('/');
        }
        prefix.push_str(part);
        file.link_exists(&prefix)
    }) && file.loc_type_by_name(name).is_ok()
}

/// Whether the matrix is None, which newer anndata writes as an empty element.
fn is_null(file: &File) -> bool {
    file.dataset("X").is_ok_and(|d| attribute::text(&d, "encoding-type").as_deref() == Some("null"))
}
