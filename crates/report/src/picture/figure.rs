//! A figure: a title, a sentence on what to see in it, and what the page draws.

use serde_json::{Value, json};

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

/// What the page draws.
#[derive(Debug)]
pub(crate) enum Picture {
    /// Traces and layouts of plotly.js, one for each choice of the reader.
    Views {
        /// What the reader chooses; empty if there is one view.
        choice: &'static str,
        views: Vec<View>,
        /// Height in pixels.
        height: usize,
    },
    /// Cells in the plane: an object for the page's own code.
    Cells(Value),
    /// A gene in every program: an object for the page's own code.
    Genes(Value),
    /// Cards with lists of genes.
    Cards(Vec<Card>),
}

/// One view of a figure.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) data: Value,
    pub(crate) layout: Value,
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
    pub(crate) bar: String,
}

impl Figure {
    /// The object of the figure in the data of the page; `None` if the page has all of it as text.
    pub(crate) fn data(&self) -> Option<Value> {
        let (kind, mut object) = match &self.picture {
            Picture::Views { views, .. } => {
                let views: Vec<Value> = views
                    .iter()
                    .map(|view| json!({"name": view.name, "data": view.data, "layout": view.layout}))
                    .collect();
                ("views", json!({ "views": views }))
            }
            Picture::Cells(object) => ("cells", object.clone()),
            Picture::Genes(object) => ("genes", object.clone()),
            Picture::Cards(_) => return None,
        };
        object["kind"] = kind.into();
        object["title"] = self.title.clone().into();
        Some(object)
    }
}
