//! Results as one page of pictures: an HTML file that holds its data and its code, and asks no network for anything.
//! Each picture can also be a file of its own, for a paper.
//!
//! The crate reads results of `fit`, `consensus` and `pca` and folders of `sweep` as partwise wrote them, and nothing
//! else. It does no mathematics of a fit: what a page shows follows from W, H, the trace and the distances of a
//! consensus. It neither prints nor knows the program's options.
//!
//! | module    | question                                                                |
//! |-----------|-------------------------------------------------------------------------|
//! | `read`    | what is in a result, in bounded memory?                                 |
//! | `cluster` | in which order are like rows neighbours?                                |
//! | `picture` | which figure do numbers make? One picture per file                      |
//! | `page`    | how do figures become one file?                                         |
//! | `paper`   | how does each figure become a file of its own?                          |
//! | `kind`    | which pictures does a kind of result have? One kind per file            |
//! | `error`   | why is there no report?                                                 |
//!
//! Equal results give equal pages, byte for byte: a page holds no time, host or folder, and its sample of cells is
//! evenly spaced.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use partwise_report::{FigureFormat, ReportSpec, report};
//! use partwise_storage::Overwrite;
//!
//! let spec = ReportSpec::default().with_labels(["cell_type"]);
//! let page = report(Path::new("pbmc3k.nmf.h5ad"), &spec)?;
//! page.write(Path::new("pbmc3k.html"), Overwrite::Refuse)?;
//! page.write_figures(Path::new("figures"), FigureFormat::Svg, Overwrite::Refuse)?;
//! assert!(page.pictures().contains(&"cells"));
//! # Ok::<(), partwise_report::ReportError>(())
//! ```
#![forbid(unsafe_code)]

mod cluster;
mod error;
mod kind;
mod page;
mod paper;
mod picture;
mod read;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use partwise_storage::anndata::write_whole;
use partwise_storage::{Overwrite, StorageError};

pub use error::ReportError;
pub use kind::CLEAR_LEAD;
pub use page::BEGINS;

use paper::svg::Ground;
use picture::Figure;

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

/// What a file of a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FigureFormat {
    /// Vectors, with texts that an editor can change.
    Svg,
    /// 300 pixels to the inch, drawn with the font of this crate.
    Png,
}

impl FigureFormat {
    /// The name of the file of a figure.
    pub fn file(self, figure: &str) -> String {
        let ending = match self {
            FigureFormat::Svg => "svg",
            FigureFormat::Png => "png",
        };
        format!("{figure}.{ending}")
    }
}

/// The names of the figures that the page of what is at `path` can have; a result may lack some.
///
/// # Errors
///
/// Nothing is at `path`, or no result that a report can show.
pub fn figures(path: &Path) -> Result<&'static [&'static str], ReportError> {
    kind::figures(path)
}

/// A page that is made and not written yet.
#[derive(Debug)]
pub struct Report {
    html: String,
    figures: Vec<Figure>,
    notes: Vec<Note>,
}

/// Makes the page of the result at `path`, or of a folder: of results of `fit`, or of a sweep.
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
/// - a sweep is not finished, or a file of it is damaged
pub fn report(path: &Path, spec: &ReportSpec) -> Result<Report, ReportError> {
    let (page, notes) = kind::page(path, spec)?;
    Ok(Report { html: page.html()?, figures: page.figures, notes })
}

impl Report {
    /// The page.
    pub fn html(&self) -> &str {
        &self.html
    }

    /// The names of its pictures, in their order.
    pub fn pictures(&self) -> Vec<&'static str> {
        self.figures.iter().map(|figure| figure.id).collect()
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
        Ok(write_whole(dest, self.html.as_bytes(), overwrite)?)
    }

    /// Each figure as a file: its name, and its content. It has the width of a column or of a page, 85 to 180 mm, and
    /// type of 7 and 8 points, on white.
    ///
    /// Equal results give equal files, on every machine.
    pub fn figures(&self, format: FigureFormat) -> Vec<(String, Vec<u8>)> {
        let file = |figure: &Figure| {
            let sheet = paper::draw(figure);
            let content = match format {
                FigureFormat::Svg => paper::svg::write(&sheet, &figure.title, Ground::White).into_bytes(),
                FigureFormat::Png => paper::png::write(&sheet),
            };
            (format.file(figure.id), content)
        };
        self.figures.iter().map(file).collect()
    }

    /// Characters of texts that the font of PNG files does not have: boxes stand for them.
    pub fn characters_without_glyph(&self) -> String {
        let mut characters = BTreeSet::new();
        self.figures.iter().for_each(|figure| paper::png::unknown(&paper::draw(figure), &mut characters));
        characters.into_iter().collect()
    }

    /// Writes each figure into `folder`, which is made if it is not there, and returns the files. Each file is whole or
    /// not there; others in the folder stay.
    ///
    /// # Errors
    ///
    /// - a file exists and may not be overwritten, or another run is writing it
    /// - the folder cannot be made, or is not writable
    /// - the disk is full or failing: figures before this one are there
    pub fn write_figures(
        &self,
        folder: &Path,
        format: FigureFormat,
        overwrite: Overwrite,
    ) -> Result<Vec<PathBuf>, ReportError> {
        match std::fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(StorageError::io("create", folder, error).into());
            }
            _ => (),
        }
        let mut files = Vec::new();
        for (name, content) in self.figures(format) {
            let file = folder.join(name);
            write_whole(&file, &content, overwrite)?;
            files.push(file);
        }
        Ok(files)
    }
}
