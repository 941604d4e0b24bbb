//! The input of a store, and whether an output may be replaced.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Selects a matrix of a file. The default is the main one, not transposed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The layer `layers/NAME` instead of the main matrix.
    pub layer: Option<String>,
    /// The matrix under `raw`.
    pub raw: bool,
    /// Rows of the file are genes: transpose the matrix.
    pub transpose: bool,
}

/// Identifies an input, so that a store of it can be recognised and reused.
///
/// A store fits an input if their stamps are equal. A path that is not UTF-8 is stored with
/// replacement characters and is never equal, so that the input is converted again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStamp {
    /// Absolute path.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// Time of the last change, in nanoseconds since 1970 (0: unknown).
    pub modified_ns: i64,
    /// The selected matrix.
    pub selection: Selection,
}

/// Whether an existing output may be replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// Keep the existing output and fail.
    #[default]
    Refuse,
    /// Replace the existing output when the new one is complete. An existing file or folder of
    /// another kind stays.
    Replace,
}

fn lossy<S: serde::Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
