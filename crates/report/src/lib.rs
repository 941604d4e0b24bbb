//! Results as one page of pictures: an HTML file that holds its data and its code, and asks no network for anything.
//!
//! The crate reads results of `fit` and `pca` as partwise wrote them, and nothing else. It does no mathematics of a
//! fit: what a page shows follows from W, H and the trace. It neither prints nor knows the program's options.
//!
//! | module    | question                                                                |
//! |-----------|-------------------------------------------------------------------------|
//! | `read`    | what is in a result, in bounded memory?                                 |
//! | `cluster` | in which order are like rows neighbours?                                |
//! | `picture` | which figure do numbers make? One picture per file                      |
//! | `page`    | how do figures become one file?                                         |
//! | `kind`    | which pictures does a kind of result have? One kind per file            |
//! | `error`   | why is there no report?                                                 |
//!
//! Equal results give equal pages, byte for byte: a page holds no time, host or folder, and its sample of cells is
//! evenly spaced.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use partwise_report::{ReportSpec, report};
//! use partwise_storage::Overwrite;
//!
//! let spec = ReportSpec::default().with_labels(["cell_type"]);
//! let page = report(Path::new("pbmc3k.nmf.h5ad"), &spec)?;
//! page.write(Path::new("pbmc3k.html"), Overwrite::Refuse)?;
//! assert!(page.pictures().contains(&"cells"));
//! # Ok::<(), partwise_report::ReportError>(())
//! ```
#![forbid(unsafe_code)]

mod cluster;
mod error;
mod kind;
mod page;
mod picture;
mod read;

use std::path::{Path, PathBuf};

use partwise_storage::Overwrite;
use partwise_storage::anndata::write_text;

pub use error::ReportError;
pub use page::BEGINS;

/// What a page shows beyond the result itself.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ReportSpec {
    /// Columns of `obs` that cells are coloured and grouped by.
    pub labels: Vec<String>,
    /// Where cells lie in the plane; `None`: in their own principal components.
    pub embedding: Option<EmbeddingSpec>,
}

/// An embedding of another file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EmbeddingSpec {
    /// An AnnData file with the same names of cells.
    pub path: PathBuf,
    /// The table of its `obsm`; `None`: `X_umap`, else `X_tsne`, else `X_pca`.
    pub key: Option<String>,
}

impl ReportSpec {
    /// With these columns of `obs`.
    pub fn with_labels<S: Into<String>>(mut self, labels: impl IntoIterator<Item = S>) -> Self {
        self.labels = labels.into_iter().map(Into::into).collect();
        self
    }

    /// With this embedding.
    pub fn with_embedding(mut self, embedding: EmbeddingSpec) -> Self {
        self.embedding = Some(embedding);
        self
    }
}

impl EmbeddingSpec {
    /// The table `key` of the file at `path`, or a usual one.
    pub fn new(path: impl Into<PathBuf>, key: Option<String>) -> Self {
        EmbeddingSpec { path: path.into(), key }
    }
}

/// What the user should know of a page besides its content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Some of the cells shown are not in the file of the embedding.
    LostCells {
        /// The file of the embedding.
        path: PathBuf,
        /// How many cells it lacks.
        lost: usize,
        /// How many cells were looked for.
        of: usize,
        /// One that it lacks.
        example: String,
    },
}

/// A page that is made and not written yet.
#[derive(Debug)]
pub struct Report {
    html: String,
    pictures: Vec<&'static str>,
    notes: Vec<Note>,
}

/// Makes the page of the result at `path`, or of a folder of results of `fit`.
///
/// Needs memory for H and its scores, and for some thousands of cells; W is read in pieces.
///
/// # Errors
///
/// - nothing is at `path`, or no result that a report can show
/// - a table of the result is damaged, or contradicts another one
/// - a label is no column of `obs`, or has a value of its own for each cell
/// - the embedding cannot be read, or is of other cells
/// - labels or an embedding are given for a folder
pub fn report(path: &Path, spec: &ReportSpec) -> Result<Report, ReportError> {
    let (page, notes) = kind::page(path, spec)?;
    let pictures = page.figures.iter().map(|figure| figure.id).collect();
    Ok(Report { html: page.html()?, pictures, notes })
}

impl Report {
    /// The page.
    pub fn html(&self) -> &str {
        &self.html
    }

    /// The names of its pictures, in their order.
    pub fn pictures(&self) -> &[&'static str] {
        &self.pictures
    }

    /// What the user should know besides.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Writes the page to `dest`, whole or not at all.
    ///
    /// # Errors
    ///
    /// - `dest` exists and may not be overwritten, another run is writing it, or its folder is not writable
    /// - the disk is full or failing
    pub fn write(&self, dest: &Path, overwrite: Overwrite) -> Result<(), ReportError> {
        Ok(write_text(dest, &self.html, overwrite)?)
    }
}
