//! Why there is no report.

use std::path::PathBuf;

use partwise_storage::StorageError;
use partwise_storage::remedy::listed;

/// Why a report cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file cannot be read, or the page cannot be written.
    #[error(transparent)]
    Storage(#[from] StorageError),

    /// The path is nothing that a report can show.
    #[error(
        "{}: {found}; a report needs a result of fit or pca as partwise wrote it, or a folder of results of fit",
        path.display()
    )]
    NoResult {
        /// The path asked for.
        path: PathBuf,
        /// What it is instead, in half a sentence.
        found: String,
    },

    /// The result has no such column.
    #[error("{}: obs has no column \"{column}\"; {}", path.display(), choices(columns))]
    NoColumn {
        /// The result.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// Those that there are.
        columns: Vec<String>,
    },

    /// A column names cells rather than groups of cells.
    #[error(
        "{}: obs[\"{column}\"] has more than {most} different values; choose a column that names groups of cells",
        path.display()
    )]
    ManyGroups {
        /// The result.
        path: PathBuf,
        /// The column.
        column: String,
        /// The most groups.
        most: usize,
    },

    /// Tables of a result disagree on the number of rows.
    #[error(
        "{}: \"{dataset}\" has {found} rows, but there are {expected}; use the file as partwise wrote it",
        path.display()
    )]
    Rows {
        /// The file.
        path: PathBuf,
        /// The table or column.
        dataset: String,
        /// The rows that it has.
        found: usize,
        /// The rows that it should have.
        expected: usize,
    },

    /// The embedding is of other cells.
    #[error(
        "{}: none of the {looked_for} cells looked for is in this file, such as \"{}\" (its first cell is \"{}\"); \
         give the embedding of the cells of the result",
        path.display(),
        example.escape_debug(),
        first.escape_debug()
    )]
    OtherCells {
        /// The file with the embedding.
        path: PathBuf,
        /// How many cells were looked for.
        looked_for: usize,
        /// One of them.
        example: String,
        /// The first cell of the file.
        first: String,
    },

    /// An embedding has one column only.
    #[error("{}: obsm[\"{key}\"] has one column, and a scatter plot needs two; choose another table", path.display())]
    OneColumn {
        /// The file with the embedding.
        path: PathBuf,
        /// The table.
        key: String,
    },

    /// The file has none of the usual embeddings.
    #[error("{}: obsm has none of X_umap, X_tsne and X_pca; {}", path.display(), tables(keys))]
    NoEmbedding {
        /// The file.
        path: PathBuf,
        /// The tables that there are.
        keys: Vec<String>,
    },

    /// Labels or an embedding for a folder of results.
    #[error("{}: labels and embeddings are for the report of one result; choose a file of this folder", path.display())]
    OneResultOnly {
        /// The folder.
        path: PathBuf,
    },

    /// Labels or an embedding for a sweep.
    #[error(
        "{}: a sweep has no cells, so labels and embeddings are for the report of one result of its consensus",
        path.display()
    )]
    NoCells {
        /// The folder.
        path: PathBuf,
    },

    /// A file of a sweep is not what a sweep writes.
    #[error("{}: {problem}; {remedy}", path.display())]
    Sweep {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What helps.
        remedy: &'static str,
    },

    /// The page could not be filled in.
    #[error("the page cannot be filled in: {0}")]
    Page(String),
}

fn choices(columns: &[String]) -> String {
    match columns {
        [] => "it has no columns".into(),
        columns => format!("its columns are {}", listed(columns, |name| name.escape_debug().to_string())),
    }
}

fn tables(keys: &[String]) -> String {
    match keys {
        [] => "it has no tables".into(),
        keys => format!("name one of its tables: {}", listed(keys, |name| name.escape_debug().to_string())),
    }
}
