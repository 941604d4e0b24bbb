//! The rows of a sample, packed like a store's blocks, in the order of their priorities.

use std::collections::BTreeMap;
use std::sync::Arc;

use partwise_storage::sampling::Draw;
use partwise_storage::store::Layout;
use partwise_storage::tile::{CsrRows, TILE_ROWS, TakenRows, TileEncoder, TileError};
use rayon::prelude::*;

use crate::blocks::{Cut, MemoryBlocks, PackedTile};

/// Rows of a block: few, because a sample is small and every core should have a part of it.
pub(crate) const BLOCK_ROWS: usize = 512;
/// Rows of a tile of dense rows.
const DENSE_TILE_ROWS: usize = 64;

/// A sample in memory, of which smaller samples are the first rows.
#[derive(Debug)]
pub(crate) struct Sample<'d> {
    cut: Cut,
    draw: &'d Draw,
    /// Tiles with all their rows.
    full: Vec<Arc<PackedTile>>,
    /// The last tile of each sample that does not end with a full one, by the rows of the sample.
    last: BTreeMap<usize, Arc<PackedTile>>,
}

/// Gathered rows, found by their row of the matrix.
pub(crate) struct Gathered<'g> {
    rows: &'g [TakenRows],
    /// Cell, block and place in the block, ascending.
    places: Vec<(usize, usize, usize)>,
}

impl<'g> Gathered<'g> {
    /// `rows` are by block, in the order of the matrix.
    pub(crate) fn new(rows: &'g [TakenRows]) -> Self {
        let of_block = |(block, rows): (usize, &'g TakenRows)| {
            rows.cells.iter().enumerate().map(move |(i, &cell)| (cell, block, i))
        };
        let mut places: Vec<_> = rows.iter().enumerate().flat_map(of_block).collect();
        places.sort_unstable();
        Gathered { rows, places }
    }

    /// Genes (none where dense) and values of a row.
    pub(super) fn entries(&self, cell: usize) -> (&'g [u32], &'g [f32]) {
        let at = self.places.binary_search_by_key(&cell, |place| place.0).expect("every row drawn was gathered");
        let (_, block, i) = self.places[at];
        let rows = &self.rows[block];
        let range = rows.entries(i);
        (if rows.genes.is_empty() { &[] } else { &rows.genes[range.clone()] }, &rows.values[range])
    }
}

impl<'d> Sample<'d> {
    /// Packs the rows drawn, for samples of each of `sizes` rows.
    pub(crate) fn pack(layout: Layout, genes: usize, draw: &'d Draw, sizes: &[usize], gathered: &Gathered<'_>) -> Self {
        let tile_rows = match layout {
            Layout::Sparse => TILE_ROWS,
            Layout::Dense => DENSE_TILE_ROWS,
        };
        let pack = |encoder: &mut TileEncoder, rows: std::ops::Range<usize>| {
            let rows: Vec<_> = draw.rows[rows].iter().map(|row| gathered.entries(row.cell)).collect();
            Arc::new(match layout {
                Layout::Sparse => pack_sparse(encoder, genes, &rows),
                Layout::Dense => pack_dense(genes, &rows),
            })
        };
        let most = sizes.iter().copied().max().unwrap_or(0);
        let full = (0..most / tile_rows)
            .into_par_iter()
            .map_init(TileEncoder::new, |encoder, tile| pack(encoder, tile * tile_rows..(tile + 1) * tile_rows))
            .collect();
        let mut encoder = TileEncoder::new();
        let last = sizes
            .iter()
            .filter(|&size| !size.is_multiple_of(tile_rows))
            .map(|&size| (size, pack(&mut encoder, size / tile_rows * tile_rows..size)))
            .collect();
        let cut = Cut { layout, genes, tile_rows, tiles_per_block: BLOCK_ROWS / tile_rows };
        Sample { cut, draw, full, last }
    }

    /// The rows drawn.
    pub(crate) fn draw(&self) -> &Draw {
        self.draw
    }

    /// Rows of a tile.
    pub(crate) fn tile_rows(&self) -> usize {
        self.cut.tile_rows
    }

    /// The sample of the first `rows` rows: one of the sizes that it was packed for, or whole
    /// tiles. Rows are multiplied by 1/√p.
    ///
    /// # Errors
    ///
    /// When a packed tile does not decode, which is a defect of this crate.
    pub(crate) fn first(&self, rows: usize) -> Result<MemoryBlocks, TileError> {
        let mut tiles = self.full[..rows / self.cut.tile_rows].to_vec();
        if !rows.is_multiple_of(self.cut.tile_rows) {
            tiles.push(self.last.get(&rows).expect("a size that the sample was packed for").clone());
        }
        MemoryBlocks::new(self.cut, tiles, self.draw.weights(rows))
    }
}

fn pack_sparse(encoder: &mut TileEncoder, genes: usize, rows: &[(&[u32], &[f32])]) -> PackedTile {
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for (row_genes, row_values) in rows {
        indices.extend_from_slice(row_genes);
        values.extend_from_slice(row_values);
        indptr.push(values.len());
    }
    let mut bytes = Vec::new();
    encoder.encode(CsrRows { indptr: &indptr, indices: &indices, values: &values }, genes, &mut bytes);
    PackedTile::copy(&bytes, rows.len(), values.len() as u64)
}

fn pack_dense(genes: usize, rows: &[(&[u32], &[f32])]) -> PackedTile {
    let mut bytes = aligned_vec::AVec::with_capacity(64, 4 * rows.len() * genes);
    for (_, values) in rows {
        bytes.extend_from_slice(bytemuck::cast_slice(values));
    }
    PackedTile::new(bytes, rows.len(), (rows.len() * genes) as u64)
}
