//! The page of a result of `fit`.

use std::path::Path;

use super::{Made, embedding, name_of, on_lost, on_sample};
use crate::cluster;
use crate::error::ReportError;
use crate::page::{Page, settings};
use crate::picture::{Figure, by_label, cells, error_by_pass, genes, overlap, percent, programs, shares, thousands};
use crate::read::{Fit, Story};
use crate::{Note, ReportSpec};

/// The names of its figures; a result may lack some.
pub(super) const FIGURES: [&str; 7] = ["programs", "cells", "labels", "shares", "genes", "overlap", "error"];

/// The page of the result at `path`, whose `uns["nmf"]` is `story`.
pub(super) fn page(path: &Path, story: Story, spec: &ReportSpec) -> Result<Made, ReportError> {
    let drawn = Drawn::new(path, story, spec)?;
    let kind = if is_of_new_cells(&drawn.fit.story) { "usages of new cells" } else { "a factorization" };
    let lead = words(&drawn.fit);
    Ok(drawn.page(path, kind, lead))
}

/// A result with W and H, and what every page of one has.
pub(super) struct Drawn {
    pub(super) fit: Fit,
    pub(super) figures: Vec<Figure>,
    notes: Vec<Note>,
}

impl Drawn {
    pub(super) fn new(path: &Path, story: Story, spec: &ReportSpec) -> Result<Drawn, ReportError> {
        let fit = Fit::read(path, story, &spec.labels)?;
        let mut notes = Vec::new();
        let embedding = embedding(path, spec, &fit.sample, &fit.names, &mut notes)?;
        let similarity = overlap::correlations(&fit.spectra, fit.k);
        let order = cluster::order_by_similarity(&similarity, fit.k);

        let mut figures = vec![programs::figure(&fit, &similarity)];
        figures.extend(cells::of_fit(&fit, embedding.as_ref()));
        figures.extend(by_label::figure(&fit, &order));
        figures.push(shares::figure(&fit, &order));
        figures.push(genes::figure(&fit));
        figures.extend(overlap::figure(&fit, &similarity, &order));
        figures.extend(error_by_pass::figure(&fit.story));
        Ok(Drawn { fit, figures, notes })
    }

    /// The page, whose first sentences are `lead`.
    pub(super) fn page(self, path: &Path, kind: &str, mut lead: Vec<String>) -> Made {
        lead.push(
            "The share of a program in a cell is the part of the cell's counts in W·H that the program has; the shares \
             of a cell add up to 1."
                .into(),
        );
        lead.push(on_sample(&self.fit.sample));
        lead.extend(on_lost(&self.notes));
        let (settings, figures) = (settings(&self.fit.story), self.figures);
        let page = Page { title: name_of(path), kind: kind.into(), lead, settings, figures, table: None };
        (page, self.notes)
    }
}

/// What was run and on what, in sentences.
fn words(fit: &Fit) -> Vec<String> {
    let story = &fit.story;
    let (cells, genes, k) = (thousands(fit.cells), thousands(fit.genes.len()), fit.k);
    let mut words = vec![match is_of_new_cells(story) {
        true => format!("Usages of {cells} new cells × {genes} genes under {k} programs of another factorization."),
        false => {
            format!("Non-negative matrix factorization X ≈ W·H of {cells} cells × {genes} genes into {k} programs.")
        }
    }];
    if let (Some(passes), Some(stop)) = (story.number("passes"), story.text("stop")) {
        let why = match stop {
            "converged" => "the error fell by less than the tolerance",
            "stationary" => "no further improvement was possible",
            "max-passes" => "it had the most passes that were allowed",
            "cancelled" => "it was cancelled",
            other => other,
        };
        words.push(format!("It ended after {passes} reads of the data because {why}."));
    }
    if let Some(error) = story.number("relative_error") {
        let explained = story.number("explained").unwrap_or(1.0 - error * error);
        words.push(format!(
            "The relative error ‖X − WH‖ / ‖X‖ is {error:.4}; the programs explain {} of ‖X‖².",
            percent(explained)
        ));
    }
    if let Some(solver) = story.text("solver") {
        let scale = match story.text("scale") {
            Some("std") => ", genes divided by their standard deviation",
            _ => "",
        };
        let start = story.text("init").map_or(String::new(), |init| format!(", start from {}", start(init)));
        let seed = story.text("seed").map_or(String::new(), |seed| format!(", seed {seed}"));
        words.push(format!("Solver {solver}{start}{seed}{scale}; partwise {}.", story.text("version").unwrap_or("?")));
    }
    words
}

/// Whether the result is one of `transform`.
fn is_of_new_cells(story: &Story) -> bool {
    story.truth("transformed") == Some(true)
}

fn start(init: &str) -> &str {
    match init {
        "sample" => "a sample of the cells",
        "random" => "random numbers",
        "given" => "an earlier result",
        other => other,
    }
}
