//! A result of `pca`.

use std::path::Path;

use partwise_storage::anndata::Table;

use super::rows::{Rows, whole};
use super::{Labels, Sample, Story, cell_names, check_rows, gene_names};
use crate::error::ReportError;

/// The most cells in pictures.
const CELLS: usize = 4000;
/// The most axes whose scores are shown.
const AXES: usize = 20;

/// A result of `pca`.
#[derive(Debug)]
pub(crate) struct Pca {
    pub(crate) story: Story,
    pub(crate) cells: usize,
    /// All components.
    pub(crate) components: usize,
    /// The part of the variance that each component has.
    pub(crate) variance_ratio: Vec<f64>,
    pub(crate) sample: Sample,
    pub(crate) names: Vec<String>,
    /// Components whose scores are kept.
    pub(crate) shown: usize,
    /// Scores of the cells of the sample, sample × shown.
    pub(crate) scores: Vec<f64>,
    pub(crate) genes: Vec<String>,
    /// The axes, genes × components.
    pub(crate) axes: Vec<f32>,
    pub(crate) labels: Vec<Labels>,
}

impl Pca {
    /// Reads the result at `path`, whose `uns["partwise_pca"]` is `story`.
    pub(crate) fn read(path: &Path, story: Story, labels: &[String]) -> Result<Pca, ReportError> {
        let table = Table::open(path, "obsm", "X_pca")?;
        let (cells, components) = (table.rows(), table.columns());
        let (axes, width) = whole(path, "varm", "PCs")?;
        let genes = gene_names(path, axes.len() / width)?;
        check_rows(path, "varm/PCs (columns)", width, components)?;
        let scanpy = Story::read(path, "pca")?;
        let sample = Sample::new(cells, CELLS);
        let names = cell_names(path, &sample)?;
        let shown = components.min(AXES);
        let (mut rows, mut cell, mut scores) = (Rows::new(table, shown), 0, Vec::new());
        let mut wanted = sample.rows().iter().peekable();
        while let Some(row) = rows.next()? {
            if wanted.next_if_eq(&&cell).is_some() {
                scores.extend(row.iter().map(|&score| f64::from(score)));
            }
            cell += 1;
        }
        let labels: Result<_, _> = labels.iter().map(|column| Labels::read(path, column, &sample, None)).collect();
        Ok(Pca {
            story,
            cells,
            components,
            variance_ratio: scanpy.map(|story| story.numbers("variance_ratio")).unwrap_or_default(),
            sample,
            names,
            shown,
            scores,
            genes,
            axes,
            labels: labels?,
        })
    }
}
