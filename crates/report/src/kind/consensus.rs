//! The page of a consensus: that of a fit, and how far the replicates agree.

use std::path::Path;

use super::Made;
use super::fit::Drawn;
use crate::ReportSpec;
use crate::error::ReportError;
use crate::picture::{clusters, density, percent, thousands};
use crate::read::{Consensus, Fit, Story};

/// The names of its figures; a result may lack some.
pub(super) const FIGURES: [&str; 8] =
    ["programs", "density", "clusters", "cells", "labels", "shares", "genes", "overlap"];

/// The page of the consensus at `path`, whose `uns["nmf"]` is `story`.
pub(super) fn page(path: &Path, story: Story, spec: &ReportSpec) -> Result<Made, ReportError> {
    let mut drawn = Drawn::new(path, story, spec)?;
    let consensus = Consensus::read(path, &drawn.fit.story, drawn.fit.k)?;
    // After the cards of the programs.
    let of_replicates = density::figure(&consensus).into_iter().chain(clusters::figure(&consensus));
    drawn.figures.splice(1..1, of_replicates);
    let lead = words(&consensus, &drawn.fit);
    Ok(drawn.page(path, "a consensus", lead))
}

/// What it comes from, in sentences.
fn words(consensus: &Consensus, fit: &Fit) -> Vec<String> {
    let story = &fit.story;
    let origin = match story.text("replicates_of") {
        Some("cnmf") => " of a run of cNMF",
        Some("sweep") => " of a sweep",
        _ => "",
    };
    let mut words = vec![format!(
        "Consensus of {} replicates{origin}: k = {} programs of {} cells × {} genes.",
        thousands(consensus.replicates),
        consensus.k,
        thousands(fit.cells),
        thousands(fit.genes.len()),
    )];
    if consensus.densities.is_empty() {
        words.push(format!("The threshold of the local density is {}.", consensus.threshold));
    } else {
        words.push(format!(
            "A spectrum is left out if its local density, the mean distance to its nearest ones (30 % of the \
             replicates), is not below the threshold. {}",
            density::said(consensus)
        ));
    }
    if consensus.stability.is_finite() {
        words.push(format!(
            "Stability {:.3}: the mean silhouette of the clusters of all spectra, and 1 if all replicates find the same \
             programs.",
            consensus.stability
        ));
    }
    if let Some(error) = story.number("relative_error") {
        let selected =
            story.number("selected_genes").map_or(String::new(), |genes| format!("{} ", thousands(genes as usize)));
        words.push(format!(
            "Over the {selected}selected genes, divided by their standard deviations, the relative error ‖X − WH‖ / ‖X‖ is \
             {error:.4}; the programs explain {} of ‖X‖².",
            percent(story.number("explained").unwrap_or(1.0 - error * error))
        ));
    }
    words.push(format!("partwise {}.", story.text("version").unwrap_or("?")));
    words
}
