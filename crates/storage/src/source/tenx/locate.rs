//! Finds the files of a matrix in a folder, or in the folders that Cell Ranger makes in it.
//!
//! ```text
//! outs/filtered_feature_bc_matrix/{matrix.mtx,features.tsv,barcodes.tsv}.gz    since version 3
//! outs/filtered_gene_bc_matrices/GENOME/{matrix.mtx,genes.tsv,barcodes.tsv}    before
//! ```
//!
//! In archives of publications, the files of many samples lie in one folder: `SAMPLE_matrix.mtx.gz` with
//! `SAMPLE_features.tsv.gz` and `SAMPLE_barcodes.tsv.gz`.

use std::path::{Path, PathBuf};

use crate::detect::{GENOMES, matrices_below, matrix_in};
use crate::remedy::Choice;
use crate::store::Selection;
use crate::{Remedy, StorageError};

/// The files of a matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) matrix: PathBuf,
    pub(super) features: Option<PathBuf>,
    pub(super) barcodes: Option<PathBuf>,
    /// Other matrices in the folder, which were passed over because they are not filtered.
    pub(super) passed_over: Vec<String>,
}

/// What the name of the Matrix Market file at `path` has before `matrix.mtx`, if it has anything.
fn sample_of(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.strip_suffix("matrix.mtx").filter(|sample| !sample.is_empty())
}

/// Whether lists of the same sample lie beside the Matrix Market file at `path`.
pub(in crate::source) fn has_lists(path: &Path) -> bool {
    sample_of(path).is_some_and(|sample| {
        let found = files(path.parent().unwrap_or(Path::new("")), sample, path.into(), Vec::new());
        found.features.is_some() && found.barcodes.is_some()
    })
}

/// Finds the files in the folder at `path`, or those of the sample whose Matrix Market file is at `path`.
///
/// # Errors
///
/// - it holds several matrices, and no genome was chosen, or one that it does not have
pub(super) fn locate(path: &Path, selection: &Selection) -> Result<Files, StorageError> {
    if let Some(sample) = sample_of(path).filter(|_| path.is_file()) {
        return Ok(files(path.parent().unwrap_or(Path::new("")), sample, path.into(), Vec::new()));
    }
    if let Some(matrix) = matrix_in(path) {
        if selection.genome.as_ref().is_some_and(|genome| !path.ends_with(genome)) {
            let problem = "a folder of a matrix has no choice of genome".to_owned();
            let remedy = Remedy::LeaveAway(vec![Choice::Genome]).into();
            return Err(StorageError::Selection { path: path.into(), problem, remedy });
        }
        return Ok(files(path, "", matrix, Vec::new()));
    }
    let below = matrices_below(path).map_err(|e| StorageError::io("read", path, e))?;
    let name = |folder: &PathBuf| folder.strip_prefix(path).unwrap_or(folder).to_string_lossy().into_owned();
    let is_filtered = |folder: &&PathBuf| name(folder).contains("filtered");
    let any_filtered = below.iter().any(|folder| is_filtered(&folder));
    let mut found: Vec<&PathBuf> = below.iter().filter(|folder| !any_filtered || is_filtered(folder)).collect();
    let passed_over = below.iter().filter(|folder| !found.contains(folder)).map(name).collect();
    let genomes: Vec<String> = found.iter().filter_map(|folder| genome_of(folder)).collect();
    if let Some(genome) = &selection.genome {
        found.retain(|folder| genome_of(folder).as_ref() == Some(genome));
    }
    match found[..] {
        [folder] => match matrix_in(folder) {
            Some(matrix) => Ok(files(folder, "", matrix, passed_over)),
            None => Err(StorageError::NotFound { path: folder.clone() }),
        },
        _ => {
            let problem = match &selection.genome {
                Some(genome) => format!("no genome is {genome}"),
                None if genomes.is_empty() => format!("it holds several matrices: {}", list(&found, &name)),
                None => "it holds counts of several genomes".to_owned(),
            };
            let remedy = match genomes.is_empty() {
                true if selection.genome.is_some() => Remedy::LeaveAway(vec![Choice::Genome]),
                true => Remedy::Text("name one of these folders".into()),
                false => Remedy::ChooseOne { choice: Choice::Genome, names: genomes },
            };
            Err(StorageError::NoneChosen { path: path.into(), problem, remedy: remedy.into() })
        }
    }
}

/// Matrices that a message lists at most.
const LISTED: usize = 8;

fn list(folders: &[&PathBuf], name: &dyn Fn(&PathBuf) -> String) -> String {
    let names: Vec<String> = folders.iter().take(LISTED).map(|folder| name(folder)).collect();
    names.join(", ")
}

/// The genome of a folder that Cell Ranger named after one.
fn genome_of(folder: &Path) -> Option<String> {
    let parent = folder.parent()?.file_name()?.to_string_lossy().into_owned();
    parent.ends_with(GENOMES).then(|| folder.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

/// The lists in `folder` whose names begin with `sample`, for the matrix beside them.
fn files(folder: &Path, sample: &str, matrix: PathBuf, passed_over: Vec<String>) -> Files {
    let at = |name: &&str| folder.join(format!("{sample}{name}"));
    let first = |names: &[&str]| names.iter().map(at).find(|path| path.exists());
    Files {
        matrix,
        features: first(&["features.tsv.gz", "features.tsv", "genes.tsv", "genes.tsv.gz"]),
        barcodes: first(&["barcodes.tsv.gz", "barcodes.tsv"]),
        passed_over,
    }
}
