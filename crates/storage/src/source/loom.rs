//! Loom files (`.loom`) of all versions: genes × cells, with lists of attributes for each axis.

use std::path::Path;

use super::Source;
use super::annotations::{Annotations, Table};
use super::in_hdf5;
use super::matrix::{Matrix, Place};
use crate::hdf::file::{Reading, members};
use crate::remedy::Choice;
use crate::store::Selection;
use crate::{Axis, Matrices, StorageError};

/// The attributes that name cells, as loompy and anndata write them.
const CELLS: [&str; 2] = ["CellID", "obs_names"];

/// The attributes that name genes.
const GENES: [&str; 2] = ["Gene", "var_names"];

/// Opens the main matrix or a layer.
///
/// # Errors
///
/// - the layer does not exist (the message lists the others)
/// - matrix and attributes do not have the same length
pub(super) fn open(file: Reading, path: &Path, selection: &Selection) -> Result<Box<dyn Source>, StorageError> {
    selection.check(path, "a loom file", &[Choice::Layer, Choice::Transpose])?;
    let mut layers = members(&file, "layers");
    let dataset = match &selection.layer {
        None => "matrix".to_owned(),
        Some(layer) => {
            let dataset = format!("layers/{layer}");
            if !layers.contains(layer) {
                let remedy = Place::no_layer(&layers);
                return Err(StorageError::MissingDataset { path: path.into(), dataset, remedy });
            }
            layers.retain(|other| other != layer);
            dataset
        }
    };
    let place = Place { path: path.into(), dataset, others: Matrices { layers, raw: false } };
    let (by, cells, genes) = match selection.transpose {
        false => (Axis::Genes, "col_attrs", "row_attrs"),
        true => (Axis::Cells, "row_attrs", "col_attrs"),
    };
    let matrix = Matrix::dense(&file, by, place.clone())?;
    // Where the axes are exchanged, the names of cells may be called as those of genes.
    let obs = Table::of_lists(Axis::Cells, &file, cells, &[CELLS, GENES].concat());
    let var = Table::of_lists(Axis::Genes, &file, genes, &[GENES, CELLS].concat());
    let annotations = Annotations::new(path, obs, var);
    in_hdf5::boxed(file, path, selection, place, matrix, annotations)
}
