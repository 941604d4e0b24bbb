//! AnnData files (`.h5ad`) of all versions, and AnnData groups of other files.

mod locate;

use std::path::Path;

use self::locate::Element;
use super::Source;
use super::annotations::{Annotations, Table};
use super::in_hdf5;
use super::matrix::Matrix;
use crate::hdf::file::Reading;
use crate::remedy::Choice;
use crate::store::Selection;
use crate::{Axis, StorageError};

/// Opens the selected matrix of an AnnData file.
pub(super) fn open(file: Reading, path: &Path, selection: &Selection) -> Result<Box<dyn Source>, StorageError> {
    selection.check(path, "an AnnData file", &[Choice::Layer, Choice::Raw, Choice::Transpose])?;
    open_element(file, "", path, selection)
}

/// Opens the selected matrix of the AnnData group at `prefix`: empty for the file itself, or a path
/// with a slash at its end.
///
/// Considers the layer, `raw` and the orientation of `selection` only.
pub(super) fn open_element(
    file: Reading,
    prefix: &str,
    path: &Path,
    selection: &Selection,
) -> Result<Box<dyn Source>, StorageError> {
    let element = Element::open(&file, prefix, path)?;
    let (place, found) = element.locate(selection)?;
    let annotations = annotations(&element, path, selection);
    let matrix = Matrix::open(&file, found, annotations.lens(), place.clone())?;
    in_hdf5::boxed(file, path, selection, place, matrix, annotations)
}

/// Finds the tables of names and columns. Under `raw`, the genes are those of the raw matrix. If the
/// matrix is transposed, so are its tables.
fn annotations(element: &Element<'_>, path: &Path, selection: &Selection) -> Annotations {
    let obs: &[&str] = &["obs"];
    let var: &[&str] = if selection.raw { &["raw/var", "raw.var"] } else { &["var"] };
    let (cells, genes) = if selection.transpose { (var, obs) } else { (obs, var) };
    let table = |axis, names: &[&str]| {
        let found = names.iter().find_map(|name| {
            // Old files store categories in `uns`, for the tables of the main matrix only.
            let categories = element.group.group("uns").ok().filter(|_| !name.starts_with("raw"));
            Table::of_anndata(axis, &element.group, element.prefix, name, categories)
        });
        found.unwrap_or_else(|| Table::absent(axis))
    };
    Annotations::new(path, table(Axis::Cells, cells), table(Axis::Genes, genes))
}
