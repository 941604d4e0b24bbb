//! Finds out in which form a matrix of an HDF5 file is stored.

use hdf5::{File, Group, LocationType};

use super::{DAMAGED, Place};
use crate::hdf::attribute;
use crate::hdf::number::NumberType;
use crate::number::{Number, with_scalar};
use crate::{Axis, StorageError};

/// The form of a matrix in a file.
pub(in crate::source) enum Found {
    /// A group of `data`, `indices`, `indptr`.
    Sparse {
        /// The group.
        group: Group,
        /// Whether its compressed rows are cells (CSR) or genes (CSC).
        by: Axis,
        /// Cells and genes, if the file gives them.
        shape: Option<(usize, usize)>,
    },
    /// A table.
    Dense {
        /// Whether its rows are cells or genes.
        by: Axis,
    },
}

impl Found {
    /// The form of the matrix at `place`: a table of cells × genes, or a sparse matrix whose
    /// attributes name its form as anndata does.
    pub(in crate::source) fn of(file: &File, place: &Place) -> Result<Found, StorageError> {
        let Some(group) = group_of(file, place)? else { return Ok(Found::Dense { by: Axis::Cells }) };
        let Some(by) = encoded(&group, place)? else {
            let problem = "is a group without an encoding-type, expected csr_matrix".to_owned();
            return Err(place.invalid("", problem, "save it again with anndata"));
        };
        Ok(Found::Sparse { by, shape: shape_of(&group, place)?, group })
    }

    /// The same for any writer: if no attribute names the form of a sparse matrix, its rows are
    /// compressed unless only its columns have as many pointers.
    pub(in crate::source) fn of_any(file: &File, place: &Place) -> Result<Found, StorageError> {
        let Some(group) = group_of(file, place)? else { return Ok(Found::Dense { by: Axis::Cells }) };
        let shape = shape_of(&group, place)?;
        let by = encoded(&group, place)?.unwrap_or_else(|| {
            let pointers = group.dataset("indptr").map_or(0, |list| list.size());
            match shape {
                Some((cells, genes)) if pointers != cells.wrapping_add(1) && pointers == genes.wrapping_add(1) => {
                    Axis::Genes
                }
                _ => Axis::Cells,
            }
        });
        Ok(Found::Sparse { group, by, shape })
    }

    /// The same matrix in a file of genes × cells.
    pub(in crate::source) fn transposed(self) -> Found {
        let other = |by| if by == Axis::Cells { Axis::Genes } else { Axis::Cells };
        match self {
            Found::Sparse { group, by, shape } => {
                Found::Sparse { group, by: other(by), shape: shape.map(|(rows, columns)| (columns, rows)) }
            }
            Found::Dense { by } => Found::Dense { by: other(by) },
        }
    }
}

/// The group of a sparse matrix; `None` for a table.
fn group_of(file: &File, place: &Place) -> Result<Option<Group>, StorageError> {
    let kind = file.loc_type_by_name(&place.dataset).map_err(|e| place.problem("", &e))?;
    if kind == LocationType::Dataset {
        return Ok(None);
    }
    file.group(&place.dataset).map(Some).map_err(|e| place.problem("", &e))
}

/// The axis whose rows are compressed, if an attribute names it.
fn encoded(group: &Group, place: &Place) -> Result<Option<Axis>, StorageError> {
    let encoding = ["encoding-type", "h5sparse_format"].into_iter().find_map(|name| attribute::text(group, name));
    match encoding.as_deref() {
        Some("csr_matrix" | "csr") => Ok(Some(Axis::Cells)),
        Some("csc_matrix" | "csc") => Ok(Some(Axis::Genes)),
        Some(other) => {
            let problem = format!("has the encoding {other}, expected csr_matrix, csc_matrix or array");
            Err(place.invalid("", problem, "save it again with anndata"))
        }
        None => Ok(None),
    }
}

/// Cells and genes, if an attribute or a list of the group gives them.
fn shape_of(group: &Group, place: &Place) -> Result<Option<(usize, usize)>, StorageError> {
    let attribute = ["shape", "h5sparse_shape"].into_iter().find_map(|name| attribute::integers(group, name));
    let Some(numbers) = attribute.or_else(|| two_integers(group, "shape")) else { return Ok(None) };
    match numbers[..] {
        [cells, genes] if cells >= 0 && genes >= 0 => Ok(Some((cells as usize, genes as usize))),
        _ => Err(place.invalid("", format!("has the shape {numbers:?}, expected cells and genes"), DAMAGED)),
    }
}

/// A list of two integers.
fn two_integers(group: &Group, name: &str) -> Option<Vec<i64>> {
    let list = group.dataset(name).ok().filter(|list| list.shape() == [2])?;
    let number = NumberType::of(&list.dtype().ok()?).ok()??;
    let mut numbers = Vec::new();
    let read = number.visit(&list, None, |_, bytes| {
        with_scalar!(number.scalar, T => {
            let values = bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned::<T>);
            numbers.extend(values.map(|value| value.whole() as i64));
        });
        Ok(())
    });
    read.is_ok().then_some(numbers)
}
