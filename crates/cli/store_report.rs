//! The report on the contents of a store, for `info` and `convert`.

use std::fmt;

use partwise::storage::Store;
use serde::Serialize;

use crate::size::ByteSize;
use crate::wording::{cells_by_genes, layout, thousands};

/// The keys of `info --json` for a store.
#[derive(Serialize)]
pub(crate) struct StoreReport {
    cells: usize,
    genes: usize,
    nonzeros: u64,
    sum: f64,
    max: f32,
    integer: bool,
    bytes: u64,
    bytes_per_nonzero: f64,
    sample_bytes: u64,
    blocks: usize,
    block_rows: usize,
    tile_rows: usize,
    layout: &'static str,
    source: String,
    layer: Option<String>,
    raw: bool,
    transpose: bool,
    fingerprint: String,
}

impl StoreReport {
    pub(crate) fn new(store: &Store) -> Self {
        let (summary, source) = (store.summary(), store.source());
        StoreReport {
            cells: summary.cells,
            genes: summary.genes,
            nonzeros: summary.nonzeros,
            sum: summary.sum,
            max: summary.max,
            integer: summary.integer,
            bytes: summary.bytes,
            bytes_per_nonzero: summary.bytes_per_nonzero,
            sample_bytes: summary.sample_bytes,
            blocks: summary.blocks,
            block_rows: summary.block_rows,
            tile_rows: store.tile_rows(),
            layout: layout(store.layout()),
            source: source.path.to_string_lossy().into_owned(),
            layer: source.selection.layer.clone(),
            raw: source.selection.raw,
            transpose: source.selection.transpose,
            fingerprint: store.fingerprint(),
        }
    }
}

impl fmt::Display for StoreReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let density = 100.0 * self.nonzeros as f64 / (self.cells as f64 * self.genes as f64).max(1.0);
        let values = if self.integer { "integers" } else { "fractions" };
        writeln!(
            f,
            "{}, {} nonzeros ({density:.3} %)",
            cells_by_genes(self.cells, self.genes),
            thousands(self.nonzeros)
        )?;
        writeln!(f, "values    {values} up to {}, sum {}", self.max, self.sum)?;
        let (size, each) = (ByteSize(self.bytes), self.bytes_per_nonzero);
        writeln!(f, "size      {size}, {each:.2} bytes per nonzero")?;
        if self.sample_bytes > 0 {
            writeln!(f, "sample    {} of rows that fits start from", ByteSize(self.sample_bytes))?;
        }
        let (blocks, height) = (self.blocks, self.block_rows);
        writeln!(f, "blocks    {blocks} of {height} rows, {} tiles of {} rows", self.layout, self.tile_rows)?;
        let part = match (&self.layer, self.raw) {
            (Some(layer), _) => format!(", layers/{layer}"),
            (None, true) => ", raw/X".into(),
            (None, false) => String::new(),
        };
        let turned = if self.transpose { ", transposed" } else { "" };
        write!(f, "made from {}{part}{turned}", self.source)
    }
}
