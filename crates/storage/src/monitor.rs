//! How long work reports what it does and learns that it should stop.
//!
//! Libraries never print. A conversion or a verification calls a [`Monitor`], and whoever started it decides what becomes
//! of that: a progress bar, a log, nothing ([`Quiet`]).

use std::fmt;

use crate::error::Short;

/// Receives progress and warnings, and can ask for a stop.
///
/// Calls may come from several threads at once. Stages do not nest: a `start` is followed by any number of `advance`
/// calls and one `finish` before the next `start`; after an error or a cancellation `finish` may be missing.
///
/// To write a new one, implement what you need: every method has a default that does nothing.
pub trait Monitor: Sync {
    /// A stage begins that will take `total` units (0: unknown).
    fn start(&self, stage: &str, total: u64, unit: Unit) {
        let _ = (stage, total, unit);
    }

    /// `done` more units are behind us.
    fn advance(&self, done: u64) {
        let _ = done;
    }

    /// The stage is over.
    fn finish(&self) {}

    /// Much memory has just been given up, and what comes next needs other pieces: a chance to make the allocator return it.
    fn freed(&self) {}

    /// Something the user should know, although the work goes on.
    fn warn(&self, warning: &Warning) {
        let _ = warning;
    }

    /// Whether the work should end as soon as it can, with [`StorageError::Cancelled`](crate::StorageError::Cancelled).
    fn cancelled(&self) -> bool {
        false
    }
}

/// The monitor that hears nothing and never cancels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Monitor for Quiet {}

/// What a stage is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Rows of the matrix.
    Rows,
    /// Bytes read or written.
    Bytes,
    /// Passes over the matrix.
    Passes,
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

/// What may surprise a user although it stops nothing. `Display` says it in one line, with the next step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// Some names occur more than once; they are kept as they are.
    DuplicateNames {
        /// Whose names.
        axis: Axis,
        /// How many entries carry a name that an earlier one has.
        count: u64,
        /// One such name.
        example: String,
    },
    /// The file gives no names; 0, 1, 2, … stand in, as in anndata.
    MissingNames {
        /// Whose names.
        axis: Axis,
    },
    /// Values that `f32` does not hold exactly were rounded to the nearest one.
    RoundedToF32 {
        /// The dataset they are in.
        dataset: String,
        /// How many values changed.
        count: u64,
        /// The first of them, as stored.
        example: f64,
    },
    /// Entries at one position were added up.
    MergedDuplicates {
        /// Entries that went into an earlier one.
        count: u64,
    },
    /// Rows whose columns were not ascending were sorted.
    SortedRows {
        /// How many rows.
        count: u64,
    },
    /// Stored zeros were left out.
    DroppedZeros {
        /// How many entries.
        count: u64,
    },
    /// Cells or genes hold nothing at all.
    Empty {
        /// Which side.
        axis: Axis,
        /// How many of them.
        count: u64,
    },
    /// A column of `obs` or `var` (or another annotation) could not be carried over.
    SkippedAnnotation {
        /// Where it was, such as `obs/batch`.
        dataset: String,
        /// Why it was left behind.
        reason: String,
    },
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
                write!(f, "the file gives no names of {axis}; they are called 0, 1, 2, …")
            }
            Self::RoundedToF32 { dataset, count, example } => write!(
                f,
                "dataset \"{dataset}\": {count} values such as {} are not exact in 32-bit floats and were rounded; \
                 results hold to about 7 digits",
                Short(*example)
            ),
            Self::MergedDuplicates { count } => write!(
                f,
                "{count} entries share their row and column with another one and were added to it; \
                 check how the file was made"
            ),
            Self::SortedRows { count } => {
                write!(f, "{count} rows had unsorted columns and were sorted; nothing else changed")
            }
            Self::DroppedZeros { count } => {
                write!(f, "{count} stored zeros were left out; nothing else changed")
            }
            Self::Empty { axis, count } => write!(
                f,
                "{count} {axis} hold no value above zero; their factors will be zero, filter them out to save time"
            ),
            Self::SkippedAnnotation { dataset, reason } => write!(
                f,
                "\"{dataset}\" is not carried over: {reason}; copy it from the input if you need it in the result"
            ),
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
