//! The report on an input file, from its header alone.

use std::fmt;

use partwise::storage::source::{Form, Source};
use serde::Serialize;

use crate::wording::{cells_by_genes, thousands};

/// The keys of `info --json` for an input file.
#[derive(Serialize)]
pub(super) struct FileReport {
    path: String,
    dataset: String,
    cells: usize,
    genes: usize,
    layout: &'static str,
    /// Stored entries, including explicit zeros and duplicates.
    entries: u64,
    bytes: u64,
}

impl FileReport {
    pub(super) fn new(source: &dyn Source) -> Self {
        let (cells, genes) = (source.cells(), source.genes());
        let (layout, entries) = match source.form() {
            Form::Sparse { entries, .. } => ("sparse", entries),
            Form::Dense => ("dense", cells as u64 * genes as u64),
        };
        FileReport {
            path: source.path().to_string_lossy().into_owned(),
            dataset: source.dataset().to_owned(),
            cells,
            genes,
            layout,
            entries,
            bytes: source.stamp().bytes,
        }
    }
}

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileReport { path, dataset, layout, .. } = self;
        let shape = cells_by_genes(self.cells, self.genes);
        writeln!(f, "{path}: {shape} in \"{dataset}\", {layout}, {} stored entries", thousands(self.entries))?;
        write!(f, "not converted yet: partwise convert or partwise fit can read it")
    }
}
