//! A card for each program: its first genes, its part of the cells, where it is used, and which ones are like it.

use super::number::{digits, percent};
use super::{Card, Figure, Gene, Picture};
use crate::read::{Fit, Values};

/// Genes of a card.
const GENES: usize = 10;
/// Groups and programs that a card names.
const NAMED: usize = 3;
/// The least correlation of similar programs.
const ALIKE: f64 = 0.2;

/// The names of programs.
pub(super) fn titles(programs: &[usize]) -> Vec<String> {
    programs.iter().map(|program| format!("program {program}")).collect()
}

/// The figure; `similarity` has the correlation of each pair of spectra.
pub(crate) fn figure(fit: &Fit, similarity: &[f64]) -> Figure {
    let by_score = fit.scores.is_some();
    let (see, measure) = match by_score {
        true => (
            "The genes of the largest score mark a program, whatever their level; the bar shows the score beside that \
             of the first gene.",
            "score",
        ),
        false => (
            "The result has no scores, so these are the genes of the largest weight, which are often high in every \
             cell; the bar shows the weight beside that of the first gene.",
            "weight",
        ),
    };
    let cards = (0..fit.k).map(|program| card(fit, program, similarity)).collect();
    Figure { id: "programs", title: "Programs".into(), see: see.into(), picture: Picture::Cards { cards, measure } }
}

fn card(fit: &Fit, program: usize, similarity: &[f64]) -> Card {
    let mut facts = vec![format!("{} of an average cell.", percent(fit.usage[program]))];
    let parts = fit.story.inner("programs");
    if let (Some(counts), Some(variance)) =
        (parts.numbers("counts").get(program), parts.numbers("variance").get(program))
    {
        facts.push(format!("{} of the counts, {} of ‖WH‖².", percent(*counts), percent(*variance)));
    }
    for label in &fit.labels {
        let Values::Groups { names, usage, .. } = &label.values else { continue };
        let mut groups: Vec<(f64, &str)> =
            names.iter().enumerate().map(|(group, name)| (usage[group * fit.k + program], name.as_str())).collect();
        groups.sort_by(|a, b| b.0.total_cmp(&a.0));
        let most: Vec<String> =
            groups.iter().take(NAMED).map(|(share, name)| format!("{name} ({})", percent(*share))).collect();
        facts.push(format!("Most used by {}: {}.", label.name, most.join(", ")));
    }
    let mut others: Vec<(f64, usize)> = (0..fit.k)
        .filter(|&other| other != program)
        .map(|other| (similarity[program * fit.k + other], other))
        .collect();
    others.retain(|(correlation, _)| *correlation >= ALIKE);
    others.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let alike: Vec<String> =
        others.iter().take(NAMED).map(|(correlation, other)| format!("program {other} ({correlation:.2})")).collect();
    if !alike.is_empty() {
        facts.push(format!("Most similar by spectrum: {}.", alike.join(", ")));
    }
    let genes = fit.top_genes(program, GENES);
    let value = |gene: usize| f64::from(fit.marks()[gene * fit.k + program]);
    let most = genes.first().map_or(1.0, |&gene| value(gene));
    let genes = genes.iter().map(|&gene| Gene {
        name: fit.genes[gene].clone(),
        value: format!("{:.3e}", value(gene)),
        bar: digits(100.0 * value(gene) / most, 4),
    });
    Card {
        number: program,
        title: format!("Program {program}"),
        size: fit.usage[program],
        facts,
        lists: vec![(String::new(), genes.collect())],
    }
}
