//! The report on an input file: its matrices, what their first values are like, and whether they have a store.

use std::fmt;
use std::path::Path;

use partwise::job::find_store;
use partwise::storage::source::peek::{Peek, others, peek};
use partwise::storage::source::{Form, Source};
use partwise::storage::{Inputs, Selection};
use serde::Serialize;

use crate::wording::{cells_by_genes, thousands};

/// The most other matrices that are looked at.
const OTHERS: usize = 32;

/// The keys of `info --json` for an input file.
#[derive(Serialize)]
pub(super) struct FileReport {
    path: String,
    bytes: u64,
    #[serde(flatten)]
    chosen: MatrixReport,
    /// Other matrices of the file.
    others: Vec<MatrixReport>,
}

/// One matrix.
#[derive(Serialize)]
struct MatrixReport {
    dataset: String,
    /// The options that choose it.
    options: String,
    cells: usize,
    genes: usize,
    layout: &'static str,
    /// Stored entries, including explicit zeros and duplicates.
    entries: u64,
    /// Whether the first values are integers; `None` if they cannot be read.
    integer: Option<bool>,
    /// The largest of the first values.
    largest: Option<f32>,
    /// Why the first values cannot be used.
    problem: Option<String>,
    /// A store of it that later fits use.
    store: Option<String>,
}

impl FileReport {
    /// Looks at `source` and at the other matrices of its file.
    pub(super) fn new(source: &mut dyn Source) -> Self {
        let own = source.stamp();
        let mut reports = Vec::new();
        for selection in others(source).into_iter().take(OTHERS) {
            // A file need not have a main matrix.
            if let Ok(mut other) = Inputs::one(source.path()).open(&selection) {
                reports.push(MatrixReport::new(other.as_mut(), &selection));
            }
        }
        let path = source.path().to_string_lossy().into_owned();
        FileReport { path, bytes: own.bytes, chosen: MatrixReport::new(source, &own.selection), others: reports }
    }
}

impl MatrixReport {
    fn new(source: &mut dyn Source, selection: &Selection) -> Self {
        let (cells, genes) = (source.cells(), source.genes());
        let (layout, entries) = match source.form() {
            Form::Sparse { entries, .. } => ("sparse", entries),
            Form::Entries { at_most } => ("sparse, not by cell", at_most),
            Form::Dense => ("dense", cells as u64 * genes as u64),
        };
        let looked_at = peek(source);
        let (integer, largest) = match looked_at {
            Ok(Peek { integer, largest, .. }) => (Some(integer), Some(largest)),
            Err(_) => (None, None),
        };
        let store = find_store(&Inputs::one(source.path()), selection, Path::new("."));
        MatrixReport {
            dataset: source.dataset().to_owned(),
            options: options(selection),
            cells,
            genes,
            layout,
            entries,
            integer,
            largest,
            problem: looked_at.err().map(|error| error.to_string()),
            store: store.map(|path| path.to_string_lossy().into_owned()),
        }
    }
}

/// The options that make a selection among the matrices of a file.
fn options(selection: &Selection) -> String {
    let layer = selection.layer.as_ref().map(|layer| format!("--layer {layer}"));
    layer.unwrap_or_else(|| if selection.raw { "--raw".into() } else { String::new() })
}

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.chosen)?;
        for other in &self.others {
            write!(f, "\nwith {}: {other}", if other.options.is_empty() { "no option" } else { &other.options })?;
        }
        Ok(())
    }
}

impl fmt::Display for MatrixReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = cells_by_genes(self.cells, self.genes);
        write!(f, "{shape} in \"{}\", {}, {} stored entries", self.dataset, self.layout, thousands(self.entries))?;
        match (self.integer, self.largest) {
            (Some(true), Some(largest)) => write!(f, "; the first values are integers up to {largest}")?,
            (Some(false), Some(largest)) => write!(f, "; the first values are not integers, up to {largest}")?,
            _ => write!(f, "; its values cannot be used")?,
        }
        match &self.store {
            Some(store) => write!(f, "; its store is {store}"),
            None => write!(f, "; not converted yet"),
        }
    }
}
