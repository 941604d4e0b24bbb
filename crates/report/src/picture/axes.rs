//! A card for each principal component: the genes at both ends of its axis.

use super::number::{digits, percent};
use super::{Card, Figure, Gene, Picture};
use crate::read::Pca;

/// Genes of each end.
const GENES: usize = 8;

/// The figure.
pub(crate) fn figure(pca: &Pca) -> Figure {
    let cards = (0..pca.shown).map(|component| card(pca, component)).collect();
    let see = "Genes of opposite sign pull cells to opposite ends of a component; the bar shows the weight beside the \
               largest one.";
    Figure {
        id: "axes",
        title: "Genes of each component".into(),
        see: see.into(),
        picture: Picture::Cards { cards, measure: "weight" },
    }
}

fn card(pca: &Pca, component: usize) -> Card {
    let value = |gene: usize| f64::from(pca.axes[gene * pca.components + component]);
    let mut order: Vec<usize> = (0..pca.genes.len()).filter(|&gene| value(gene).is_finite()).collect();
    order.sort_by(|&a, &b| value(b).total_cmp(&value(a)).then(a.cmp(&b)));
    let most = order.iter().map(|&gene| value(gene).abs()).fold(f64::MIN_POSITIVE, f64::max);
    let gene = |&gene: &usize| Gene {
        name: pca.genes[gene].clone(),
        value: format!("{:.3}", value(gene)),
        bar: digits(100.0 * value(gene).abs() / most, 4),
    };
    let up = order.iter().filter(|&&gene| value(gene) > 0.0).take(GENES).map(gene).collect();
    let down = order.iter().rev().filter(|&&gene| value(gene) < 0.0).take(GENES).map(gene).collect();
    let part = pca.variance_ratio.get(component).copied();
    Card {
        number: component,
        title: format!("PC{}", component + 1),
        size: part.unwrap_or(0.0),
        facts: part.map(|part| format!("{} of the variance.", percent(part))).into_iter().collect(),
        lists: vec![("up".into(), up), ("down".into(), down)],
    }
}
