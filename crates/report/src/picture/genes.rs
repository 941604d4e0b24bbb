//! One gene in every program: the reader types its name.

use super::number::three;
use super::{Figure, Genes, Picture, thousands};
use crate::read::Fit;

/// The most numbers that go into the page, and the most genes.
const NUMBERS: usize = 200_000;
const ALL: usize = 40_000;
/// The most genes of each program otherwise.
const OF_PROGRAM: usize = 200;

/// The figure.
pub(crate) fn figure(fit: &Fit) -> Figure {
    let (k, genes) = (fit.k, fit.genes.len());
    let word = if fit.scores.is_some() { "score" } else { "weight" };
    let (kept, which): (Vec<usize>, String) = if genes <= ALL && genes * k <= NUMBERS {
        ((0..genes).collect(), format!("all {} genes", thousands(genes)))
    } else {
        let of_each = (NUMBERS / k / k).clamp(1, OF_PROGRAM);
        let mut kept: Vec<usize> = (0..k).flat_map(|program| fit.top_genes(program, of_each)).collect();
        kept.sort_unstable();
        kept.dedup();
        (kept, format!("the {of_each} genes of the largest {word} in each program"))
    };
    let names = kept.iter().map(|&gene| fit.genes[gene].clone()).collect();
    let values = three(kept.iter().flat_map(|&gene| fit.marks()[gene * k..][..k].iter().map(|&v| f64::from(v))));
    Figure {
        id: "genes",
        title: "Find a gene".into(),
        see: format!("The bars show the {word} of a gene in every program; the page holds {which}."),
        picture: Picture::Genes(Genes { names, values, k, word }),
    }
}
