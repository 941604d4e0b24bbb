//! Reads the genes that mark each program of a result.

use std::collections::BTreeMap;
use std::path::Path;

use hdf5::Datatype;

use super::factors::{SPECTRA, table};
use super::names::visit_names;
use crate::hdf::{self, problem, raw};
use crate::{Axis, StorageError};

const SCORES: &str = "varm/gene_scores";
/// Values that are read at once, unless one row has more.
const VALUES_AT_ONCE: usize = 1 << 16;

/// The genes that mark each program of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopGenes {
    /// Names of genes for each program, the first one first.
    pub genes: Vec<Vec<String>>,
    /// Whether they are those of the largest score; otherwise of the largest weight.
    pub by_score: bool,
}

/// The `count` genes of largest score in each program of the result at `path`, or of largest weight if it
/// has no scores.
///
/// # Errors
///
/// - the file cannot be read, or is no result
pub fn read_top_genes(path: &Path, count: usize) -> Result<TopGenes, StorageError> {
    let file = hdf::file::open(path)?;
    let by_score = file.dataset(SCORES).is_ok();
    let name = if by_score { SCORES } else { SPECTRA };
    let (dataset, [genes, k]) = table(&file, path, name)?;
    let problem = |e: &hdf5::Error| problem::problem("read", path, name, e);
    let memory = Datatype::from_type::<f32>().map_err(|e| problem(&e))?;
    // Ascending, and as many as are wanted.
    let mut top: Vec<Vec<(f32, usize)>> = vec![Vec::new(); k];
    let (step, mut values) = ((VALUES_AT_ONCE / k).max(1), Vec::new());
    for first in (0..genes).step_by(step) {
        let rows = step.min(genes - first);
        values.resize(rows * k, 0.0_f32);
        raw::read(&dataset, &memory, &[first, 0], &[rows, k], &mut values).map_err(|e| problem(&e))?;
        for (gene, row) in values.chunks_exact(k).enumerate() {
            for (&value, top) in row.iter().zip(&mut top).filter(|(value, _)| **value > 0.0) {
                // Of equal ones the first comes first.
                let at = top.partition_point(|(other, _)| *other < value);
                if at > 0 || top.len() < count {
                    top.insert(at, (value, first + gene));
                    if top.len() > count {
                        top.remove(0);
                    }
                }
            }
        }
    }
    let mut names: BTreeMap<usize, String> = top.iter().flatten().map(|&(_, gene)| (gene, String::new())).collect();
    let mut gene = 0;
    visit_names(path, Axis::Genes, |name| {
        if let Some(place) = names.get_mut(&gene) {
            name.clone_into(place);
        }
        gene += 1;
    })?;
    let named = |top: Vec<(f32, usize)>| top.into_iter().rev().map(|(_, gene)| names[&gene].clone()).collect();
    Ok(TopGenes { genes: top.into_iter().map(named).collect(), by_score })
}
