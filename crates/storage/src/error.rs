//! Errors of reading and writing files, each with the remedy.
//!
//! Every message is one line. It names the file, the dataset, block, row and column where they
//! apply, the expected value beside the one found, and the remedy. [`StorageError::kind`]
//! classifies the error; the program turns the kind into an exit code.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::remedy::Remedy;
use crate::tile::TileError;

/// An error of reading or writing files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// There is nothing at the path.
    #[error("{}: no such file or folder", path.display())]
    NotFound {
        /// The path asked for.
        path: PathBuf,
    },

    /// The output exists already.
    #[error("{}: exists already; {}", path.display(), Remedy::AllowOverwrite)]
    Exists {
        /// The output.
        path: PathBuf,
    },

    /// The output exists already and is nothing that partwise may replace.
    #[error("{}: will not be overwritten: {reason}; move it away or choose another name", path.display())]
    NotReplaceable {
        /// The output.
        path: PathBuf,
        /// Why not, such as `it is a folder`.
        reason: String,
    },

    /// Another process writes to the same output.
    #[error("{}: another run is writing here; wait for it or choose another name", path.display())]
    Busy {
        /// The output, or the folder in work.
        path: PathBuf,
    },

    /// One process does not see a file that another has created.
    #[error(
        "{}: this process does not see the file that process 0 writes; choose a folder that all nodes share", path.display()
    )]
    NotShared {
        /// The file that the processes write together.
        path: PathBuf,
    },

    /// The operating system refused to read, write, sync or rename.
    #[error("{}: cannot {action}: {source}{}", path.display(), io_remedy(source))]
    Io {
        /// The action that failed, as a verb: `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },

    /// A call of the HDF5 library failed.
    #[error("{}: dataset \"{dataset}\": {message}", path.display())]
    Hdf5 {
        /// The HDF5 file.
        path: PathBuf,
        /// The dataset or group.
        dataset: String,
        /// The library's own message, in one line.
        message: String,
    },

    /// The format of the file is not supported.
    #[error("{}: cannot be read: {reason}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The format that the file seems to have, and the formats that are supported.
        reason: String,
    },

    /// A dataset that the format or the caller requires is missing.
    #[error("{}: there is no \"{dataset}\"; {remedy}", path.display())]
    MissingDataset {
        /// The file.
        path: PathBuf,
        /// The dataset or group asked for.
        dataset: String,
        /// The datasets that exist, or another way to proceed.
        remedy: Box<Remedy>,
    },

    /// A dataset contradicts its own format.
    #[error("{}: dataset \"{dataset}\" {problem}; {remedy}", path.display())]
    InvalidDataset {
        /// The file.
        path: PathBuf,
        /// The dataset or group.
        dataset: String,
        /// The contradiction, as the predicate of a sentence: expected beside found.
        problem: String,
        /// The way to proceed.
        remedy: Box<Remedy>,
    },

    /// A file of a list cannot be used.
    #[error("{}, line {line}: {error}", list.display())]
    Listed {
        /// The list.
        list: PathBuf,
        /// The line that names the file, counted from 1.
        line: usize,
        /// The error of the file.
        error: Box<StorageError>,
    },

    /// A line of a text contradicts its format, or holds a value that cannot be used.
    #[error("{}: line {line} {problem}; {remedy}", path.display())]
    InvalidLine {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The contradiction, as the predicate of a sentence: expected beside found.
        problem: String,
        /// The way to proceed.
        remedy: Box<Remedy>,
    },

    /// A value that no non-negative factorization can use.
    #[error(
        "{}: dataset \"{dataset}\" has {} {} at row {row}, column {column}; {remedy}",
        path.display(), value_word(*value), Short(*value)
    )]
    InvalidValue {
        /// The file.
        path: PathBuf,
        /// The dataset.
        dataset: String,
        /// The row (cell), counted from 0.
        row: u64,
        /// The column (gene), counted from 0.
        column: u64,
        /// The value as found.
        value: f64,
        /// The way to proceed.
        remedy: Box<Remedy>,
    },

    /// A sparse row refers to a column that does not exist.
    #[error(
        "{}: dataset \"{dataset}\" has column {column} in row {row}, but there are {columns} columns; \
         the file is damaged, create it again",
        path.display()
    )]
    ColumnOutOfRange {
        /// The file.
        path: PathBuf,
        /// The dataset.
        dataset: String,
        /// The row (cell), counted from 0.
        row: u64,
        /// The column as found.
        column: i128,
        /// The number of columns.
        columns: u64,
    },

    /// The path is not a store: another folder, or a file.
    #[error("{}: is not a partwise store: {reason}", path.display())]
    NotAStore {
        /// The path asked for.
        path: PathBuf,
        /// A description of what the path is.
        reason: String,
    },

    /// The conversion that writes this store did not finish.
    #[error("{}: the conversion that made this store did not finish (it has no manifest); convert again", path.display())]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },

    /// The format of the store is newer than this version.
    #[error("{}: has store format {found}, but this version reads {supported}; use a newer partwise", path.display())]
    UnsupportedFormat {
        /// The store.
        path: PathBuf,
        /// The format found: its version, or the feature that is not known.
        found: String,
        /// The version that is supported.
        supported: String,
    },

    /// A file of a store has changed since it was written.
    #[error("{}: is damaged: {what} should be {expected}, found {found}; convert the input again", path.display())]
    Damaged {
        /// The file inside the store.
        path: PathBuf,
        /// Which part of it.
        what: String,
        /// The value that the rest of the store requires.
        expected: String,
        /// The value found.
        found: String,
    },

    /// A tile of a store has changed since it was written.
    #[error(
        "{}: block {block} is damaged at rows {first_row} to {last_row}: {source}; convert the input again",
        path.display()
    )]
    DamagedTile {
        /// The block file.
        path: PathBuf,
        /// The block, counted from 0.
        block: usize,
        /// The first row of the tile in the matrix, counted from 0.
        first_row: usize,
        /// Its last row.
        last_row: usize,
        /// The damage.
        source: TileError,
    },

    /// A file of this format cannot contain the selected matrix.
    #[error("{}: {problem}; {remedy}", path.display())]
    Selection {
        /// The file.
        path: PathBuf,
        /// The reason, in half a sentence.
        problem: String,
        /// The selection to use instead.
        remedy: Box<Remedy>,
    },

    /// The file holds several matrices and none was chosen, or one that it does not hold.
    #[error("{}: {problem}; {remedy}", path.display())]
    NoneChosen {
        /// The file.
        path: PathBuf,
        /// The reason, in half a sentence.
        problem: String,
        /// The choices that there are.
        remedy: Box<Remedy>,
    },

    /// A store of this matrix cannot have blocks of this height.
    #[error("{block_rows} rows a block are not a multiple of {tile_rows}; {}", Remedy::ChooseBlockRows)]
    BlockRows {
        /// The requested height, in rows.
        block_rows: usize,
        /// Rows of a tile.
        tile_rows: usize,
    },

    /// The request does not apply to this input.
    #[error("{message}")]
    Usage {
        /// The whole message in one line, with the path if there is one.
        message: String,
    },

    /// The memory budget is too small for the work.
    #[error("{}: a memory budget of {given} bytes is too small; the smallest budget is {smallest} bytes{condition}", path.display())]
    MemoryBudget {
        /// The file to be read.
        path: PathBuf,
        /// The budget in bytes.
        given: u64,
        /// The smallest budget that works, in bytes.
        smallest: u64,
        /// A limit of this promise, such as ` for any values`; empty if there is none.
        condition: String,
    },

    /// The system did not start a thread.
    #[error("cannot start a thread: {source}; {}", Remedy::FewerThreads)]
    Threads {
        /// The error of the system.
        source: io::Error,
    },

    /// The monitor requested a stop.
    #[error("cancelled")]
    Cancelled,

    /// The monitor requested a stop of a conversion of several files, which keeps its blocks.
    #[error("cancelled; {cells} cells are converted and kept")]
    Stopped {
        /// The cells of the blocks.
        cells: u64,
    },
}

/// The kind of an error: who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The file's content is wrong or damaged.
    BadData,
    /// The file does not exist.
    NotFound,
    /// The output exists already.
    Exists,
    /// Reading or writing failed.
    Io,
    /// The request is invalid.
    Usage,
    /// The user stopped the work.
    Cancelled,
    /// The memory budget is too small. The message states the smallest one that works.
    Memory,
}

impl StorageError {
    /// The kind of this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Listed { error, .. } => error.kind(),
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Exists { .. } | Self::NotReplaceable { .. } | Self::Busy { .. } => ErrorKind::Exists,
            // As for a thread that the system refuses, the limit of the process is to blame, not the file.
            Self::Io { source, .. } if source.kind() == io::ErrorKind::OutOfMemory => ErrorKind::Usage,
            Self::Io { .. } | Self::NotShared { .. } => ErrorKind::Io,
            Self::Hdf5 { .. }
            | Self::UnknownFormat { .. }
            | Self::MissingDataset { .. }
            | Self::InvalidDataset { .. }
            | Self::InvalidLine { .. }
            | Self::NoneChosen { .. }
            | Self::InvalidValue { .. }
            | Self::ColumnOutOfRange { .. }
            | Self::NotAStore { .. }
            | Self::Unfinished { .. }
            | Self::UnsupportedFormat { .. }
            | Self::Damaged { .. }
            | Self::DamagedTile { .. } => ErrorKind::BadData,
            Self::Usage { .. } | Self::Selection { .. } | Self::BlockRows { .. } | Self::Threads { .. } => {
                ErrorKind::Usage
            }
            Self::MemoryBudget { .. } => ErrorKind::Memory,
            Self::Cancelled | Self::Stopped { .. } => ErrorKind::Cancelled,
        }
    }

    /// The remedy, if the error has one. The message ends with it.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::Listed { error, .. } => error.remedy(),
            Self::Exists { .. } => Some(Remedy::AllowOverwrite),
            Self::MissingDataset { remedy, .. }
            | Self::InvalidDataset { remedy, .. }
            | Self::InvalidLine { remedy, .. }
            | Self::NoneChosen { remedy, .. }
            | Self::InvalidValue { remedy, .. }
            | Self::Selection { remedy, .. } => Some((**remedy).clone()),
            Self::BlockRows { .. } => Some(Remedy::ChooseBlockRows),
            Self::Threads { .. } => Some(Remedy::FewerThreads),
            Self::MemoryBudget { smallest, condition, .. } => {
                Some(Remedy::RaiseMemory { smallest: *smallest, condition: condition.clone() })
            }
            _ => None,
        }
    }

    /// An error of the operating system during `action` (a verb) on `path`. A missing file becomes
    /// [`StorageError::NotFound`].
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path: path.into() },
            _ => Self::Io { action, path: path.into(), source },
        }
    }

    /// The error of `what` in the store's file `path` that differs from what was written.
    pub fn damaged(path: &Path, what: impl Into<String>, expected: impl ToString, found: impl ToString) -> Self {
        Self::Damaged { path: path.into(), what: what.into(), expected: expected.to_string(), found: found.to_string() }
    }
}

/// The remedy for an error of the system; empty if there is none.
fn io_remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space or write elsewhere",
        io::ErrorKind::FileTooLarge => "; raise the limit on the size of files (ulimit -f) or write elsewhere",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; check who may use it or choose another place"
        }
        io::ErrorKind::OutOfMemory => "; give less memory to the work, or raise the limit of the process",
        _ => "",
    }
}

/// The words for an unusable value.
fn value_word(value: f64) -> &'static str {
    if value < 0.0 {
        "a negative value"
    } else if value.is_finite() {
        "the value"
    } else {
        "a value that is not finite:"
    }
}

/// Displays a value in messages: short, however large or small it is.
pub(crate) struct Short(pub(crate) f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if size.is_finite() && (size >= 1e16 || (size > 0.0 && size < 1e-5)) {
            write!(f, "{:e}", self.0)
        } else {
            write!(f, "{}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remedy::Matrices;

    #[test]
    fn huge_and_tiny_values_are_short() {
        let values = [1e200, -3e16, 2.5e-7, 9_007_199_254_740_993.0, 0.1, 0.0, f64::INFINITY, f64::NAN];
        let said = values.map(|value| Short(value).to_string());
        assert_eq!(said, ["1e200", "-3e16", "2.5e-7", "9007199254740992", "0.1", "0", "inf", "NaN"]);
    }

    #[test]
    fn messages_end_with_their_remedy() {
        let (path, dataset) = (PathBuf::from("x.h5ad"), "X".to_owned());
        let others = Matrices { layers: vec!["counts".into()], raw: true };
        let condition = " for any values".to_owned();
        let errors = [
            StorageError::Exists { path: path.clone() },
            StorageError::MissingDataset {
                path: path.clone(),
                dataset: dataset.clone(),
                remedy: Remedy::ChooseMatrix(others).into(),
            },
            StorageError::Selection {
                path: path.clone(),
                problem: "no".into(),
                remedy: Remedy::LeaveAway(vec![crate::remedy::Choice::Transpose]).into(),
            },
            StorageError::BlockRows { block_rows: 100, tile_rows: 256 },
            StorageError::MemoryBudget { path, given: 1, smallest: 117_440_513, condition },
        ];
        for error in errors {
            let remedy = error.remedy().unwrap().to_string();
            assert!(error.to_string().ends_with(&format!("; {remedy}")), "{error}");
            assert!(!error.to_string().contains("--"), "{error}");
        }
    }

    #[test]
    fn messages_name_the_place_and_the_remedy() {
        let error = StorageError::InvalidValue {
            path: "pbmc.h5ad".into(),
            dataset: "X".into(),
            row: 10422,
            column: 17,
            value: -0.31,
            remedy: Remedy::ChooseValues(Matrices { layers: vec!["counts".into()], raw: false }).into(),
        };
        assert_eq!(
            error.to_string(),
            "pbmc.h5ad: dataset \"X\" has a negative value -0.31 at row 10422, column 17; \
             NMF needs finite values of at least 0 (the file also has layer counts)"
        );
        assert_eq!(error.kind(), ErrorKind::BadData);
    }

    #[test]
    fn a_missing_file_is_not_an_io_error() {
        let error = StorageError::io("open", Path::new("a"), io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_full_disk_names_the_path_and_a_way_out() {
        let error = StorageError::io("write", Path::new("out/x"), io::Error::from(io::ErrorKind::StorageFull));
        let text = error.to_string();
        assert!(text.starts_with("out/x: cannot write:") && text.ends_with("write elsewhere"), "{text}");
    }
}
