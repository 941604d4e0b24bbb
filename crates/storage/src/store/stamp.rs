//! The input of a store, and whether an output may be replaced.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::StorageError;
use crate::remedy::{Choice, Remedy};

/// Selects a matrix of a file. The default is the main one, not transposed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The layer `layers/NAME` instead of the main matrix.
    pub layer: Option<String>,
    /// The matrix under `raw`.
    pub raw: bool,
    /// The file has its axes the other way round than its format: transpose the matrix.
    pub transpose: bool,
    /// The modality of a MuData file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modality: Option<String>,
    /// The feature type of a 10x file, such as `Gene Expression`, or `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<String>,
    /// The genome of a 10x file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genome: Option<String>,
    /// The path of a matrix in a file that follows no format, or the name of an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
}

impl Selection {
    /// The choices that differ from the default.
    pub fn choices(&self) -> Vec<Choice> {
        let Selection { layer, raw, transpose, modality, features, genome, dataset } = self;
        let made = [
            (layer.is_some(), Choice::Layer),
            (*raw, Choice::Raw),
            (*transpose, Choice::Transpose),
            (modality.is_some(), Choice::Modality),
            (features.is_some(), Choice::Features),
            (genome.is_some(), Choice::Genome),
            (dataset.is_some(), Choice::Dataset),
        ];
        made.into_iter().filter_map(|(is_made, choice)| is_made.then_some(choice)).collect()
    }

    /// Refuses choices that a format does not have.
    ///
    /// `format` is the subject of the message: `a NumPy array`.
    pub(crate) fn check(&self, path: &Path, format: &str, has: &[Choice]) -> Result<(), StorageError> {
        let mut choices = self.choices();
        choices.retain(|choice| !has.contains(choice));
        if choices.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = choices.iter().map(|choice| choice.name()).collect();
        let problem = format!("{format} has no choice of {}", names.join(", "));
        Err(StorageError::Selection { path: path.into(), problem, remedy: Remedy::LeaveAway(choices).into() })
    }
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
    /// The files, if several are one matrix. Path, size and time are then those of the list or of all
    /// files together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<JoinedStamp>,
}

impl SourceStamp {
    /// Whether both are of one selection of the same files, which may have changed in between.
    pub fn is_same_input(&self, other: &SourceStamp) -> bool {
        let same_files = match (&self.joined, &other.joined) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                let file = |file: &SampleStamp| (file.sample.clone(), file.path.clone());
                a.joining == b.joining && a.files.iter().map(file).eq(b.files.iter().map(file))
            }
            _ => false,
        };
        same_files && self.path == other.path && self.selection == other.selection
    }
}

/// Identifies several files that are one matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedStamp {
    /// How they are joined.
    pub joining: Joining,
    /// The files, in the order of their cells.
    pub files: Vec<SampleStamp>,
}

/// Identifies one of several files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleStamp {
    /// The name of its sample.
    pub sample: String,
    /// Absolute path.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// Time of the last change, as in [`SourceStamp`].
    pub modified_ns: i64,
}

/// Which genes a matrix of several files has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Join {
    /// Those that all files have, in the order of the first.
    #[default]
    Inner,
    /// Those that any file has, in the order in which they first occur. A file has zeros for the others.
    Outer,
}

/// How several files become one matrix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joining {
    /// Its genes.
    pub join: Join,
    /// The column of `var` by which genes are the same. `None`: their ids if all files are of 10x, their
    /// names otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gene_key: Option<String>,
    /// Whether cells are called `SAMPLE_NAME` instead of `NAME`.
    pub prefix_cells: bool,
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

fn lossy<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
