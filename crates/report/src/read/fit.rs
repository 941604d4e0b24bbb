//! A result of `fit`.

use std::path::Path;

use partwise_storage::StorageError;
use partwise_storage::anndata::{Table, members};

use super::rows::{Rows, whole};
use super::{Labels, Sample, Story, cell_names, check_rows, gene_names};
use crate::error::ReportError;

/// The most cells in pictures.
const CELLS: usize = 4000;
/// The most shares in pictures: fewer cells if there are many programs.
const SHARES: usize = 100_000;

/// A result of `fit`. The *share* of a program in a cell is W·ΣH over its sum: the part of the cell's model that
/// the program has.
#[derive(Debug)]
pub(crate) struct Fit {
    pub(crate) story: Story,
    pub(crate) cells: usize,
    pub(crate) k: usize,
    pub(crate) sample: Sample,
    /// Names of the cells of the sample.
    pub(crate) names: Vec<String>,
    /// Shares of the cells of the sample, sample × k.
    pub(crate) shares: Vec<f64>,
    /// The mean share of each program over all cells.
    pub(crate) usage: Vec<f64>,
    pub(crate) genes: Vec<String>,
    /// Hᵀ, genes × k. NaN for genes that the programs do not know.
    pub(crate) spectra: Vec<f32>,
    /// Scores of genes, genes × k.
    pub(crate) scores: Option<Vec<f32>>,
    pub(crate) labels: Vec<Labels>,
}

impl Fit {
    /// Reads the result at `path`, whose `uns["nmf"]` is `story`.
    pub(crate) fn read(path: &Path, story: Story, labels: &[String]) -> Result<Fit, ReportError> {
        let usages = Table::open(path, "obsm", "X_nmf")?;
        let (cells, k) = (usages.rows(), usages.columns());
        let (spectra, width) = spectra(path)?;
        check_components(path, "varm/spectra", width, k)?;
        let genes = gene_names(path, spectra.len() / k)?;
        let scores = match members(path, "varm")?.iter().any(|name| name == "gene_scores") {
            true => {
                let (scores, width) = whole(path, "varm", "gene_scores")?;
                check_components(path, "varm/gene_scores", width, k)?;
                check_rows(path, "varm/gene_scores", scores.len() / k, genes.len())?;
                Some(scores)
            }
            false => None,
        };
        let sample = Sample::new(cells, CELLS.min(SHARES / k).max(2));
        let names = cell_names(path, &sample)?;
        let mut rows = Shares::new(usages, path, weights(&spectra, k));
        let (mut shares, mut usage, mut cell) = (Vec::new(), vec![0.0; k], 0);
        let mut wanted = sample.rows().iter().peekable();
        while let Some(row) = rows.next()? {
            usage.iter_mut().zip(row).for_each(|(sum, share)| *sum += share);
            if wanted.next_if_eq(&&cell).is_some() {
                shares.extend_from_slice(row);
            }
            cell += 1;
        }
        usage.iter_mut().for_each(|sum| *sum /= cells as f64);
        let mut read = Vec::new();
        for column in labels {
            let usages = Table::open(path, "obsm", "X_nmf")?;
            let mut rows = Shares::new(usages, path, weights(&spectra, k));
            read.push(Labels::read(path, column, &sample, Some(&mut rows))?);
        }
        Ok(Fit { story, cells, k, sample, names, shares, usage, genes, spectra, scores, labels: read })
    }

    /// Scores of genes, or weights if the result has none, genes × k.
    pub(crate) fn marks(&self) -> &[f32] {
        self.scores.as_deref().unwrap_or(&self.spectra)
    }

    /// The `count` genes of the largest score (or weight) of a program, the first one first.
    pub(crate) fn top_genes(&self, program: usize, count: usize) -> Vec<usize> {
        let value = |gene: usize| self.marks()[gene * self.k + program];
        let mut genes: Vec<usize> = (0..self.genes.len()).filter(|&gene| value(gene) > 0.0).collect();
        genes.sort_by(|&a, &b| value(b).total_cmp(&value(a)).then(a.cmp(&b)));
        genes.truncate(count);
        genes
    }
}

/// Hᵀ of the result at `path`, genes × k, and k.
pub(crate) fn spectra(path: &Path) -> Result<(Vec<f32>, usize), ReportError> {
    whole(path, "varm", "spectra")
}

/// The sum of each spectrum.
fn weights(spectra: &[f32], k: usize) -> Vec<f64> {
    let mut weights = vec![0.0; k];
    for gene in spectra.chunks_exact(k) {
        for (sum, &weight) in weights.iter_mut().zip(gene).filter(|(_, weight)| weight.is_finite()) {
            *sum += f64::from(weight);
        }
    }
    weights
}

fn check_components(path: &Path, dataset: &str, found: usize, k: usize) -> Result<(), ReportError> {
    if found == k {
        return Ok(());
    }
    let problem = format!("has {found} components, but obsm/X_nmf has {k}");
    let remedy = "they are of two fits; use a result as partwise wrote it";
    Err(StorageError::InvalidDataset { path: path.into(), dataset: dataset.into(), problem, remedy: remedy.into() }
        .into())
}

/// The shares of cell after cell.
pub(crate) struct Shares<'p> {
    rows: Rows,
    path: &'p Path,
    weights: Vec<f64>,
    row: usize,
    shares: Vec<f64>,
}

impl<'p> Shares<'p> {
    fn new(usages: Table, path: &'p Path, weights: Vec<f64>) -> Self {
        let k = usages.columns();
        Shares { rows: Rows::new(usages, k), path, weights, row: 0, shares: vec![0.0; k] }
    }

    /// The shares of the next cell, zero if it uses nothing; `None` after the last one.
    pub(crate) fn next(&mut self) -> Result<Option<&[f64]>, ReportError> {
        let Some(usages) = self.rows.next()? else { return Ok(None) };
        if let Some(column) = usages.iter().position(|usage| !(*usage >= 0.0 && usage.is_finite())) {
            return Err(StorageError::InvalidValue {
                path: self.path.into(),
                dataset: "obsm/X_nmf".into(),
                row: self.row as u64,
                column: column as u64,
                value: f64::from(usages[column]),
                remedy: "usages are finite and at least 0; use a result as partwise wrote it".into(),
            }
            .into());
        }
        self.row += 1;
        let mut sum = 0.0;
        for ((share, &usage), weight) in self.shares.iter_mut().zip(usages).zip(&self.weights) {
            *share = f64::from(usage) * weight;
            sum += *share;
        }
        if sum > 0.0 {
            self.shares.iter_mut().for_each(|share| *share /= sum);
        }
        Ok(Some(&self.shares))
    }

    /// The number of programs.
    pub(crate) fn k(&self) -> usize {
        self.weights.len()
    }
}
