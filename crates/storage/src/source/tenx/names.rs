//! The names and columns of cells and features, whatever holds them.

use crate::StorageError;

/// A text that each cell, or each feature, has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The name of a cell.
    Barcode,
    /// The name of a feature: the symbol of a gene.
    Symbol,
    /// The id of a feature.
    Id,
    /// The type of a feature: `Gene Expression`.
    Type,
    /// The genome of a feature.
    Genome,
}

/// The column of ids, as scanpy calls it.
pub(super) const GENE_IDS: &str = "gene_ids";

/// Lists of texts in a file or beside it.
pub(super) trait Names {
    /// Whether there is such a list.
    fn has(&self, part: Part) -> bool;

    /// Calls `each` with the bytes of each text in order.
    ///
    /// # Errors
    ///
    /// - the list cannot be read
    fn visit(&self, part: Part, each: &mut dyn FnMut(&[u8])) -> Result<(), StorageError>;
}

#[cfg(feature = "hdf5")]
pub(super) use self::write::write;

#[cfg(feature = "hdf5")]
mod write {
    use super::super::choice::Chosen;
    use super::{GENE_IDS, Names, Part};
    use crate::anndata::FrameWriter;
    use crate::hdf::attribute;
    use crate::hdf::text::TextWriter;
    use crate::source::numbered;
    use crate::source::subset::Subset;
    use crate::{Axis, Monitor, StorageError};

    /// Writes the names and columns of the cells, or of the chosen features. Says which features are
    /// left out.
    pub(in super::super) fn write(
        names: &dyn Names,
        chosen: &Chosen,
        axis: Axis,
        frame: &mut FrameWriter,
        monitor: &dyn Monitor,
    ) -> Result<(), StorageError> {
        let (subset, index, columns) = match axis {
            Axis::Cells => (None, Part::Barcode, &[][..]),
            Axis::Genes => (chosen.subset.as_ref(), Part::Symbol, COLUMNS),
        };
        if axis == Axis::Cells {
            chosen.report(monitor);
        }
        if names.has(index) {
            let list = frame.index(None)?;
            copy(names, index, subset, list, frame)?;
        } else {
            numbered::names(axis, frame, monitor)?;
        }
        for &(part, name) in columns.iter().filter(|(part, _)| names.has(*part)) {
            if monitor.cancelled() {
                return Err(StorageError::Cancelled);
            }
            let list = TextWriter::create(frame.group(), name, frame.rows());
            copy(names, part, subset, list.map_err(|e| frame.problem(name, &e))?, frame)?;
            frame.announce(name);
        }
        Ok(())
    }

    /// The columns of features, with the names that scanpy gives them.
    const COLUMNS: &[(Part, &str)] = &[(Part::Id, GENE_IDS), (Part::Type, "feature_types"), (Part::Genome, "genome")];

    /// Copies the texts of the features that are kept.
    fn copy(
        names: &dyn Names,
        part: Part,
        subset: Option<&Subset>,
        mut list: TextWriter,
        frame: &FrameWriter,
    ) -> Result<(), StorageError> {
        let rows = frame.rows();
        let (mut at, mut kept, mut failed) = (0, 0, None);
        names.visit(part, &mut |text| {
            let is_kept = subset.is_none_or(|subset| subset.place(at).is_some());
            kept += usize::from(is_kept);
            if is_kept && failed.is_none() && kept <= rows {
                failed = list.push(text).err();
            }
            at += 1;
        })?;
        let written = match failed {
            Some(error) => Err(error),
            None if kept != rows => Err(format!("{kept} names were read, expected {rows}").into()),
            None => list.finish().and_then(|list| attribute::set_encoding(&list, "string-array", "0.2.0")),
        };
        written.map_err(|e| frame.problem("names", &e))
    }
}
