//! The sample's rows, packed like a store's blocks, in the order of their priorities.

use aligned_vec::{AVec, avec};
use partwise_storage::store::Layout;
use partwise_storage::tile::{CsrRows, TILE_ROWS, TileEncoder};
use rayon::prelude::*;

use super::draw::Drawn;
use crate::compute::gather::Rows;

/// Rows of a tile of dense rows.
const DENSE_TILE_ROWS: usize = 64;

/// A packed tile, or the rows themselves where the data are dense.
#[derive(Debug)]
pub(super) struct SampleTile {
    pub(super) bytes: Vec<u8>,
    pub(super) dense: AVec<f32>,
    pub(super) rows: usize,
    pub(super) nonzeros: u64,
}

impl SampleTile {
    pub(super) fn packed_bytes(&self) -> usize {
        self.bytes.len() + 4 * self.dense.len()
    }
}

/// A sample in memory.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(super) layout: Layout,
    pub(super) genes: usize,
    pub(super) drawn: Vec<Drawn>,
    pub(super) threshold: f64,
    pub(super) tiles: Vec<SampleTile>,
}

impl Sample {
    /// Packs the rows drawn; `gathered` holds them by block, in the order of the matrix.
    pub(crate) fn pack(layout: Layout, genes: usize, drawn: Vec<Drawn>, threshold: f64, gathered: Vec<Rows>) -> Self {
        // Where each row of the matrix lies among the gathered ones.
        let mut places: Vec<(usize, usize, usize)> = gathered
            .iter()
            .enumerate()
            .flat_map(|(block, rows)| rows.cells.iter().enumerate().map(move |(i, &cell)| (cell, block, i)))
            .collect();
        places.sort_unstable();
        let entries = |row: &Drawn| {
            let at = places.binary_search_by_key(&row.cell, |place| place.0).expect("every row drawn was gathered");
            let (_, block, i) = places[at];
            let rows = &gathered[block];
            let range = rows.entries(i);
            (if rows.genes.is_empty() { &[][..] } else { &rows.genes[range.clone()] }, &rows.values[range])
        };

        let tiles = drawn
            .par_chunks(Self::tile_rows_of(layout))
            .map_init(TileEncoder::new, |encoder, tile| match layout {
                Layout::Sparse => pack_sparse(encoder, genes, tile.iter().map(entries)),
                Layout::Dense => {
                    let mut dense = avec![0.0; tile.len() * genes];
                    for (into, row) in dense.chunks_exact_mut(genes).zip(tile) {
                        into.copy_from_slice(entries(row).1);
                    }
                    SampleTile { bytes: Vec::new(), nonzeros: dense.len() as u64, rows: tile.len(), dense }
                }
            })
            .collect();
        Sample { layout, genes, drawn, threshold, tiles }
    }

    /// Rows.
    pub(crate) fn rows(&self) -> usize {
        self.drawn.len()
    }

    /// Whether no row with a nonzero was left out.
    pub(crate) fn is_everything(&self) -> bool {
        self.threshold == f64::INFINITY
    }

    /// Stored entries of the first `rows` rows.
    pub(crate) fn entries(&self, rows: usize) -> u64 {
        self.drawn[..rows].iter().map(|row| row.entries).sum()
    }

    /// Rows of a tile.
    pub(crate) fn tile_rows(&self) -> usize {
        Self::tile_rows_of(self.layout)
    }

    fn tile_rows_of(layout: Layout) -> usize {
        match layout {
            Layout::Sparse => TILE_ROWS,
            Layout::Dense => DENSE_TILE_ROWS,
        }
    }
}

fn pack_sparse<'r>(
    encoder: &mut TileEncoder,
    genes: usize,
    rows: impl Iterator<Item = (&'r [u32], &'r [f32])>,
) -> SampleTile {
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for (row_genes, row_values) in rows {
        indices.extend_from_slice(row_genes);
        values.extend_from_slice(row_values);
        indptr.push(values.len());
    }
    let mut bytes = Vec::new();
    encoder.encode(CsrRows { indptr: &indptr, indices: &indices, values: &values }, genes, &mut bytes);
    bytes.shrink_to_fit();
    SampleTile { bytes, dense: AVec::new(64), rows: indptr.len() - 1, nonzeros: values.len() as u64 }
}
