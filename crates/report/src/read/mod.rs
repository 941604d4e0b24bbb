//! What a report needs of result files, in bounded memory: tables are read in pieces of rows, and only a sample of
//! the cells is kept.
//!
//! | file        | question                                                        |
//! |-------------|-----------------------------------------------------------------|
//! | `story`     | what does `uns` tell about the run?                             |
//! | `sample`    | which cells are kept for pictures?                              |
//! | `rows`      | how is a table read row by row?                                 |
//! | `fit`       | what is in a result of `fit`?                                   |
//! | `consensus` | what does a consensus tell about the spectra of its replicates? |
//! | `pca`       | what is in a result of `pca`?                                   |
//! | `sweep`     | what is in the folder of a sweep?                               |
//! | `labels`    | which groups do cells belong to, and what do these use?         |
//! | `embedding` | where do the cells lie in an embedding of another file?         |

mod consensus;
mod embedding;
mod fit;
mod labels;
mod pca;
mod rows;
mod sample;
mod story;
mod sweep;

use std::path::Path;

use partwise_storage::Axis;
use partwise_storage::anndata::visit_names;

use crate::error::ReportError;

pub(crate) use consensus::{Consensus, Spectra};
pub(crate) use embedding::Embedding;
pub(crate) use fit::{Fit, spectra};
pub(crate) use labels::{Labels, Values};
pub(crate) use pca::Pca;
pub(crate) use sample::Sample;
pub(crate) use story::Story;
pub(crate) use sweep::{OfK, Replicate, Sweep};

/// The names of all genes of the file.
fn gene_names(path: &Path, genes: usize) -> Result<Vec<String>, ReportError> {
    let mut names = Vec::new();
    visit_names(path, Axis::Genes, |name| names.push(name.to_owned()))?;
    check_rows(path, "var", names.len(), genes)?;
    Ok(names)
}

/// The names of the cells of the sample.
fn cell_names(path: &Path, sample: &Sample) -> Result<Vec<String>, ReportError> {
    let (mut names, mut cell, mut wanted) = (Vec::new(), 0, sample.rows().iter().peekable());
    visit_names(path, Axis::Cells, |name| {
        if wanted.next_if_eq(&&cell).is_some() {
            names.push(name.to_owned());
        }
        cell += 1;
    })?;
    check_rows(path, "obs", cell, sample.cells())?;
    Ok(names)
}

fn check_rows(path: &Path, dataset: &str, found: usize, expected: usize) -> Result<(), ReportError> {
    match found == expected {
        true => Ok(()),
        false => Err(ReportError::Rows { path: path.into(), dataset: dataset.into(), found, expected }),
    }
}
