//! Progress, warnings and cancellation of long work.
//!
//! The library never prints. A conversion or a verification calls a [`Monitor`], which its caller
//! provides: a progress bar, a log, or nothing ([`Quiet`]).

use std::fmt;

use crate::error::Short;

/// Receives progress and warnings, and can request a stop.
///
/// Several threads may call it at once. Stages do not nest: after a `start` come any number of
/// `advance` calls and one `finish` before the next `start`. After an error or a cancellation
/// `finish` may be missing.
///
/// To write a new one, implement the methods that you need. The default of each does nothing.
pub trait Monitor: Sync {
    /// A stage of `total` units begins (0: unknown).
    fn start(&self, stage: &str, total: u64, unit: Unit) {
        let _ = (stage, total, unit);
    }

    /// `done` more units are complete.
    fn advance(&self, done: u64) {
        let _ = done;
    }

    /// The stage is over.
    fn finish(&self) {}

    /// Much memory has just been freed, and the next step needs pieces of other sizes. An
    /// implementation may make the allocator return it to the system.
    fn freed(&self) {}

    /// The user should know something, although the work continues.
    fn warn(&self, warning: &Warning) {
        let _ = warning;
    }

    /// Whether the work should end as soon as it can, with
    /// [`StorageError::Cancelled`](crate::StorageError::Cancelled).
    fn cancelled(&self) -> bool {
        false
    }
}

/// The monitor that ignores every call and never cancels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Monitor for Quiet {}

/// The unit of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Rows of the matrix.
    Rows,
    /// Entries of the matrix.
    Entries,
    /// Bytes read or written.
    Bytes,
    /// Passes over the matrix.
    Passes,
    /// Spectra: rows of H.
    Spectra,
}

/// One side of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Rows: observations.
    Cells,
    /// Columns: variables.
    Genes,
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cells => "cells",
            Self::Genes => "genes",
        })
    }
}

/// A warning: the work continues, but the result may surprise. `Display` gives one line with the
/// next step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// Some names occur more than once. They are kept.
    DuplicateNames {
        /// The axis of the names.
        axis: Axis,
        /// The number of entries with a name that an earlier entry has.
        count: u64,
        /// One such name.
        example: String,
    },
    /// The file has no names. 0, 1, 2, … are used instead, as in anndata.
    MissingNames {
        /// The axis of the names.
        axis: Axis,
    },
    /// Values that `f32` cannot represent were rounded to the nearest one that it can.
    RoundedToF32 {
        /// The dataset of the values.
        dataset: String,
        /// The number of values that changed.
        count: u64,
        /// The first of them, as stored.
        example: f64,
    },
    /// Several entries at one position were added.
    MergedDuplicates {
        /// The number of entries that were added to an earlier one.
        count: u64,
    },
    /// Rows with columns out of order were sorted.
    SortedRows {
        /// The number of rows.
        count: u64,
    },
    /// Stored zeros were dropped.
    DroppedZeros {
        /// The number of entries.
        count: u64,
    },
    /// The values are not integers. They are accepted.
    NotCounts {
        /// The dataset of the values.
        dataset: String,
        /// Another matrix of the file, whose first values are integers.
        counts: Option<Elsewhere>,
    },
    /// Cells or genes have no value above zero.
    Empty {
        /// The axis.
        axis: Axis,
        /// The number of cells or genes.
        count: u64,
    },
    /// Features of other types than genes were left out.
    OtherFeatures {
        /// The type that was kept.
        kept: String,
        /// The number of features that were left out.
        count: u64,
        /// Their types.
        types: Vec<String>,
    },
    /// A filtered matrix was read, although others are beside it.
    OtherMatrices {
        /// The folder that was read.
        chosen: String,
        /// The folders of the others.
        others: Vec<String>,
    },
    /// A file of several does not have the genes of the matrix that they are together.
    UnevenGenes {
        /// The sample of the file.
        sample: String,
        /// Genes of the matrix that it does not have. Its cells have zeros there.
        missing: u64,
        /// Genes of the file that the matrix does not have.
        left_out: u64,
        /// Genes of the matrix.
        of: u64,
    },
    /// Blocks that an earlier conversion of the same files has left are used.
    WentOn {
        /// Their cells.
        cells: u64,
    },
    /// A conversion of several files ends early. Its blocks are kept.
    Kept {
        /// Their cells.
        cells: u64,
    },
    /// Further files do not have its genes either.
    MoreUnevenGenes {
        /// The number of files.
        files: u64,
    },
    /// A column of `obs` or `var`, or another annotation, was not copied.
    SkippedAnnotation {
        /// Its place, such as `obs/batch`.
        dataset: String,
        /// The reason.
        reason: String,
    },
}

/// Another matrix of an AnnData file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// The main one.
    X,
    /// The layer of this name.
    Layer(String),
    /// The one under `raw`.
    Raw,
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X => f.write_str("X"),
            Self::Layer(name) => write!(f, "layer {name}"),
            Self::Raw => f.write_str("raw"),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateNames { axis, count, example } => write!(
                f,
                "{count} {axis} have a duplicate name (such as \"{example}\", which an earlier one has); they are kept, \
                 make them unique before looking {axis} up by name"
            ),
            Self::MissingNames { axis } => {
                write!(f, "the file has no names of {axis}; they are named 0, 1, 2, …")
            }
            Self::RoundedToF32 { dataset, count, example } => write!(
                f,
                "dataset \"{dataset}\": {count} values such as {} are not exact in 32-bit floats and were rounded; \
                 results are exact to about 7 digits",
                Short(*example)
            ),
            Self::MergedDuplicates { count } => write!(
                f,
                "{count} entries share their row and column with another one and were added to it; \
                 check how the file was created"
            ),
            Self::SortedRows { count } => {
                write!(f, "{count} rows had unsorted columns and were sorted; nothing else changed")
            }
            Self::DroppedZeros { count } => {
                write!(f, "{count} stored zeros were dropped; nothing else changed")
            }
            Self::NotCounts { dataset, counts } => {
                write!(
                    f,
                    "the values of \"{dataset}\" are not counts, and programs will describe them as they are, such as \
                     log-expression"
                )?;
                counts.as_ref().map_or(Ok(()), |place| write!(f, "; the file has counts elsewhere: choose {place}"))
            }
            Self::Empty { axis, count } => write!(
                f,
                "{count} {axis} have no value above zero; their factors will be zero, filter them out to save time"
            ),
            Self::OtherFeatures { kept, count, types } => write!(
                f,
                "the features of type {kept} were read, and {count} others left out ({}); choose another type, or all \
                 features, if you need them",
                types.join(", ")
            ),
            Self::OtherMatrices { chosen, others } => write!(
                f,
                "the matrix in {chosen} was read; others are beside it ({}), name that folder if you need one of them",
                others.join(", ")
            ),
            Self::UnevenGenes { sample, missing: 0, left_out, .. } => {
                write!(f, "sample {sample}: {left_out} genes that not all files have were left out")
            }
            Self::UnevenGenes { sample, missing, of, .. } => {
                write!(f, "sample {sample}: {missing} of {of} genes are not in its file and are zeros")
            }
            Self::WentOn { cells } => {
                write!(f, "{cells} cells were converted by a run that did not finish; going on after them")
            }
            Self::Kept { cells } => {
                write!(f, "{cells} cells are converted and kept; the same command goes on after them")
            }
            Self::MoreUnevenGenes { files } => write!(f, "{files} more samples have other genes, too"),
            Self::SkippedAnnotation { dataset, reason } => {
                write!(f, "\"{dataset}\" was not copied: {reason}; copy it from the input if you need it in the result")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_one_line_that_names_numbers() {
        let warning = Warning::DuplicateNames { axis: Axis::Genes, count: 24, example: "TBCE".into() };
        let text = warning.to_string();
        assert!(text.starts_with("24 genes have a duplicate name") && text.contains("\"TBCE\""), "{text}");
        assert!(!text.contains('\n') && !text.contains("  "), "{text}");
    }
}
