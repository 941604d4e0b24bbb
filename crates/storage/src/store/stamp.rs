//! What a store was made from, and whether it may take another one's place.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which matrix of a file is meant. The default is the main one, as it lies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// `layers/NAME` instead of the main matrix.
    pub layer: Option<String>,
    /// The matrix under `raw`.
    pub raw: bool,
    /// Rows are genes: turn the matrix.
    pub transpose: bool,
}

/// Identifies an input, so that a store made from it can be recognised and used again.
///
/// A store fits an input when their stamps are equal. A path that is not UTF-8 is kept with replacement characters and so
/// never equals: the input is converted again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStamp {
    /// Absolute path.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// Time of the last change, in nanoseconds since 1970 (0: unknown).
    pub modified_ns: i64,
    /// Which of its matrices.
    pub selection: Selection,
}

/// What to do about an output that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// Leave it alone and fail.
    #[default]
    Refuse,
    /// Put the new one in its place once that is whole. What is not of the kind that is being written stays.
    Replace,
}

fn lossy<S: serde::Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
