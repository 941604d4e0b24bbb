//! A figure: a title, a sentence on what to see in it, and what it shows.

use super::{Cells, Genes, Plot};

/// A titled figure.
#[derive(Debug)]
pub(crate) struct Figure {
    /// Its name in the page, a word.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    /// One sentence: what to see in it.
    pub(crate) see: String,
    pub(crate) picture: Picture,
}

/// What a figure shows.
#[derive(Debug)]
pub(crate) enum Picture {
    /// Plots, one for each choice of the reader.
    Views {
        /// What the reader chooses; empty if there is one view.
        choice: &'static str,
        views: Vec<View>,
        /// Height in pixels.
        height: usize,
    },
    /// Cells in the plane.
    Cells(Cells),
    /// A gene in every program.
    Genes(Genes),
    /// Cards with lists of genes.
    Cards {
        cards: Vec<Card>,
        /// The name of the length of bars.
        measure: &'static str,
    },
}

/// One view of a figure.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) plot: Plot,
}

/// A card: a program, or an axis.
#[derive(Debug)]
pub(crate) struct Card {
    /// Its number.
    pub(crate) number: usize,
    pub(crate) title: String,
    /// What the cards can be sorted by besides their number.
    pub(crate) size: f64,
    /// Sentences.
    pub(crate) facts: Vec<String>,
    /// Lists of genes with their headings.
    pub(crate) lists: Vec<(String, Vec<Gene>)>,
}

/// A gene of a card.
#[derive(Debug)]
pub(crate) struct Gene {
    pub(crate) name: String,
    pub(crate) value: String,
    /// Length of the bar, percent.
    pub(crate) bar: f64,
}
