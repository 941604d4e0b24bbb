//! The page of a result of `pca`.

use std::path::Path;

use super::{Made, embedding, name_of, on_lost, on_sample};
use crate::ReportSpec;
use crate::error::ReportError;
use crate::page::{Page, settings};
use crate::picture::{axes, cells, percent, thousands, variance};
use crate::read::{Pca, Story};

/// The names of its figures; a result may lack some.
pub(super) const FIGURES: [&str; 3] = ["cells", "variance", "axes"];

/// The page of the result at `path`, whose `uns["partwise_pca"]` is `story`.
pub(super) fn page(path: &Path, story: Story, spec: &ReportSpec) -> Result<Made, ReportError> {
    let pca = Pca::read(path, story, &spec.labels)?;
    let mut notes = Vec::new();
    let embedding = embedding(path, spec, &pca.sample, &pca.names, &mut notes)?;
    let mut figures = vec![cells::of_pca(&pca, embedding.as_ref())];
    figures.extend(variance::figure(&pca.variance_ratio));
    figures.push(axes::figure(&pca));

    let mut lead = vec![format!(
        "Principal components of {} cells × {} genes: {} components.",
        thousands(pca.cells),
        thousands(pca.genes.len()),
        pca.components
    )];
    if !pca.variance_ratio.is_empty() {
        lead.push(format!("Together they have {} of the variance.", percent(pca.variance_ratio.iter().sum())));
    }
    lead.push(match pca.story.truth("log1p") {
        Some(true) => "The values are logarithms, ln(1 + x), of counts scaled to the same sum for each cell.".into(),
        _ => "The values are those of the input.".into(),
    });
    if let (Some(passes), Some(version)) = (pca.story.number("passes"), pca.story.text("version")) {
        lead.push(format!("They took {passes} reads of the data; partwise {version}."));
    }
    if pca.shown < pca.components {
        lead.push(format!("The page shows the first {}.", pca.shown));
    }
    lead.push(on_sample(&pca.sample));
    lead.extend(on_lost(&notes));
    let settings = settings(&pca.story);
    Ok((
        Page { title: name_of(path), kind: "principal components".into(), lead, settings, figures, table: None },
        notes,
    ))
}
