//! Finds the selected matrix in a store.

use std::path::Path;

use serde_json::Value;

use super::node::{Kind, Node, Store};
use crate::source::matrix::{DAMAGED, Offer, Place};
use crate::store::Selection;
use crate::{Axis, StorageError};

/// The form of the matrix in the store.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A group of `data`, `indices`, `indptr`.
    Sparse {
        /// Whether its compressed rows are cells (CSR) or genes (CSC).
        by: Axis,
        /// Cells and genes, if an attribute gives them.
        shape: Option<(usize, usize)>,
    },
    /// A table.
    Dense {
        /// Whether its rows are cells or genes.
        by: Axis,
    },
}

/// Finds the matrix that `selection` names.
///
/// # Errors
///
/// - it does not exist (the message lists the others)
/// - it is stored in a form that no version of anndata writes
pub(super) fn locate(store: &Store, path: &Path, selection: &Selection) -> Result<(Place, Found), StorageError> {
    let mut layers = store.container().children("layers");
    layers.retain(|layer| matches!(store.node(&format!("layers/{layer}")), Ok(Some(_))));
    let mut raw = None;
    for name in ["raw/X", "raw.X"] {
        if raw.is_none() && store.node(name)?.is_some() {
            raw = Some(name);
        }
    }
    let x = store.node("X")?.is_some_and(|node| node.text("encoding-type") != Some("null"));
    let place = Offer { prefix: "", layers, raw, x }.select(path, selection)?;
    let Some(node) = store.node(&place.dataset)? else {
        return Err(place.invalid("", "cannot be found".into(), DAMAGED));
    };
    let found = classify(&node, &place)?;
    Ok((place, if selection.transpose { found.transposed() } else { found }))
}

impl Found {
    /// The same matrix in a store of genes × cells.
    fn transposed(self) -> Found {
        let other = |by| if by == Axis::Cells { Axis::Genes } else { Axis::Cells };
        match self {
            Found::Sparse { by, shape } => {
                Found::Sparse { by: other(by), shape: shape.map(|(rows, columns)| (columns, rows)) }
            }
            Found::Dense { by } => Found::Dense { by: other(by) },
        }
    }
}

fn classify(node: &Node, place: &Place) -> Result<Found, StorageError> {
    if let Kind::Array(_) = node.kind {
        return Ok(Found::Dense { by: Axis::Cells });
    }
    let again = "save it again with anndata";
    let by = match ["encoding-type", "h5sparse_format"].into_iter().find_map(|name| node.text(name)) {
        Some("csr_matrix" | "csr") => Axis::Cells,
        Some("csc_matrix" | "csc") => Axis::Genes,
        Some(other) => {
            let problem = format!("has the encoding {other}, expected csr_matrix, csc_matrix or array");
            return Err(place.invalid("", problem, again));
        }
        None => {
            let problem = "is a group without an encoding-type, expected csr_matrix".to_owned();
            return Err(place.invalid("", problem, again));
        }
    };
    let stated = ["shape", "h5sparse_shape"].into_iter().find_map(|name| node.attributes.get(name));
    let shape = match stated {
        None => None,
        Some(value) => {
            let lengths: Option<Vec<usize>> = value.as_array().and_then(|list| {
                list.iter().map(Value::as_u64).map(|n| n.and_then(|n| usize::try_from(n).ok())).collect()
            });
            match lengths.as_deref() {
                Some(&[cells, genes]) => Some((cells, genes)),
                _ => {
                    let shown: String = value.to_string().chars().take(60).collect();
                    return Err(place.invalid("", format!("has the shape {shown}, expected cells and genes"), DAMAGED));
                }
            }
        }
    };
    Ok(Found::Sparse { by, shape })
}
