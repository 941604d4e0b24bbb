//! How stable each k is, and how well its programs fit: the table from which k is chosen.

use std::path::Path;

use fixedbitset::FixedBitSet;
use partwise_driver::Spectra;
use partwise_driver::blocks::StoreBlocks;
use partwise_driver::comm::agree;
use partwise_driver::consensus::{Medians, Selected, find_medians, refit};
use partwise_driver::engine::Engine;
use partwise_driver::plan::RowsPlan;
use partwise_storage::anndata::write_whole;
use partwise_storage::{Overwrite, StorageError, Store};

use super::folder::Folder;
use crate::job::JobError;
use crate::job::host::Host;

/// What a sweep tells of one k.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct OfK {
    /// Components.
    pub k: usize,
    /// Replicates.
    pub replicates: usize,
    /// Replicates that were left out, because a component of theirs had vanished.
    pub left_out: usize,
    /// The mean silhouette of the clusters of all spectra.
    pub stability: f64,
    /// ‖X̂ − W·M‖² for the medians M of the clusters, genes divided by their standard deviation (n − 1).
    pub error: f64,
    /// The same over ‖X̂‖², its root.
    pub relative_error: f64,
    /// The median over the replicates of ‖X̂ − W·H‖² / ‖X̂‖².
    pub median_error: f64,
    /// Mean passes of a replicate over the selected genes.
    pub passes: f64,
}

impl OfK {
    /// The part of ‖X̂‖² that the medians explain.
    pub fn explained(&self) -> f64 {
        1.0 - self.relative_error.powi(2)
    }
}

const TABLE_BEGINS: &str = "k,replicates,stability,error,relative_error,explained,median_error,passes\n";

/// Every k of the sweep in `folder`, in one pass over `copy`, its selected genes. All processes of the host call it.
pub(super) fn choice<H: Host>(folder: &Folder, copy: &Store, plan: &RowsPlan, host: &H) -> Result<Vec<OfK>, JobError> {
    // Each process clusters all spectra; none goes into the pass alone.
    let (mut table, selected) = agree(host.comm(), clustered(folder, copy.genes(), plan.threads, host))?;
    let engine = Engine::new(plan.segment_bytes as usize, host).among(host.comm());
    let (programs, _) = refit(&StoreBlocks::new(copy), &selected, &engine, plan.threads)?;
    for (of_k, programs) in table.iter_mut().zip(programs) {
        (of_k.error, of_k.relative_error) = (programs.error, programs.relative_error);
    }
    Ok(table)
}

/// Every k but for its error, and its medians.
fn clustered<H: Host>(
    folder: &Folder,
    genes: usize,
    threads: usize,
    host: &H,
) -> Result<(Vec<OfK>, Vec<Selected>), JobError> {
    let (mut table, mut selected) = (Vec::new(), Vec::new());
    let mut all_genes = FixedBitSet::with_capacity(genes);
    all_genes.insert_range(..);
    let told = folder.told()?;
    for (&k, told) in &told {
        let (replicates, left_out) = folder.replicates(k, genes, told)?;
        // No spectrum is left out for its density.
        let found = find_medians(&replicates, f64::INFINITY, threads, host);
        let medians = found.map_err(|error| JobError::of_consensus(folder.replicates_folder(), error))?;
        drop(replicates);
        host.freed();
        let mut errors: Vec<f64> = told.iter().flat_map(|told| &told.errors).copied().collect();
        errors.sort_by(f64::total_cmp);
        let passes: Vec<f64> = told.iter().flat_map(|told| &told.passes).map(|&passes| passes as f64).collect();
        table.push(OfK {
            k,
            replicates: errors.len(),
            left_out,
            stability: medians.stability,
            error: f64::NAN,
            relative_error: f64::NAN,
            median_error: f64::midpoint(errors[(errors.len() - 1) / 2], errors[errors.len() / 2]),
            passes: passes.iter().sum::<f64>() / passes.len() as f64,
        });
        selected.push(Selected { genes: all_genes.clone(), medians: by_gene(&medians, genes, k) });
    }
    Ok((table, selected))
}

fn by_gene(medians: &Medians, genes: usize, k: usize) -> Spectra {
    let mut spectra = Spectra::zeros(genes, k);
    let ks = spectra.ks();
    for (component, spectrum) in medians.spectra.chunks_exact(genes).enumerate() {
        for (gene, &value) in spectrum.iter().enumerate() {
            spectra.ht_mut()[gene * ks + component] = value as f32;
        }
    }
    spectra
}

/// Writes the table as CSV.
pub(super) fn write(path: &Path, table: &[OfK]) -> Result<(), StorageError> {
    let mut text = String::from(TABLE_BEGINS);
    for of_k in table {
        let OfK { k, replicates, left_out: _, stability, error, relative_error, median_error, passes } = of_k;
        let explained = of_k.explained();
        text += &format!("{k},{replicates},{stability},{error},{relative_error},{explained},{median_error},{passes}\n");
    }
    write_whole(path, text.as_bytes(), Overwrite::Replace)
}
