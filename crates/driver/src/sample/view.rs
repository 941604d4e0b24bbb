//! The first rows of a sample as a matrix of its own, weighted.

use std::ops::Range;

use partwise_storage::store::{BlockInfo, Layout, SegmentBuf};
use partwise_storage::tile::{DenseTile, RunBatch, SparseTile, Tile, TileError};

use super::packed::{Sample, SampleTile};
use crate::data::Blocks;
use crate::error::DriverError;

/// Rows of a block: few, because a sample is small and every core should have a share of it.
pub(crate) const BLOCK_ROWS: usize = 512;

/// The `rows` rows of smallest priority. Rows are multiplied by 1/√p as [`Blocks::row_weights`].
#[derive(Debug)]
pub(crate) struct SampleView<'s> {
    sample: &'s Sample,
    rows: usize,
    weights: Option<Vec<f32>>,
    gene_sq_norms: Vec<f64>,
}

impl<'s> SampleView<'s> {
    /// The first `rows` rows: a multiple of the tile's, or all.
    ///
    /// # Errors
    ///
    /// When a packed tile does not decode, which is a defect of this crate.
    pub(crate) fn new(sample: &'s Sample, rows: usize) -> Result<Self, TileError> {
        debug_assert!(rows == sample.rows() || rows.is_multiple_of(sample.tile_rows()));
        let threshold = sample.drawn.get(rows).map_or(sample.threshold, |next| next.priority);
        let weights = threshold.is_finite().then(|| {
            sample.drawn[..rows].iter().map(|row| (1.0 / (threshold * row.share).min(1.0).sqrt()) as f32).collect()
        });
        let mut view = SampleView { sample, rows, weights, gene_sq_norms: Vec::new() };
        view.gene_sq_norms = view.square_genes()?;
        Ok(view)
    }

    fn square_genes(&self) -> Result<Vec<f64>, TileError> {
        let mut squares = vec![0.0; self.sample.genes];
        self.for_each_entry(|row, gene, value| {
            let weight = self.weights.as_ref().map_or(1.0, |weights| f64::from(weights[row]));
            squares[gene] += (weight * f64::from(value)).powi(2);
        })?;
        Ok(squares)
    }

    /// Shows every stored entry as (row of the sample, gene, value without the weight), tile by tile.
    ///
    /// # Errors
    ///
    /// When a packed tile does not decode.
    pub(crate) fn for_each_entry(&self, mut see: impl FnMut(usize, usize, f32)) -> Result<(), TileError> {
        let tile_rows = self.sample.tile_rows();
        let mut batch = RunBatch::new();
        for t in 0..self.rows.div_ceil(tile_rows) {
            match self.packed(t)? {
                Tile::Sparse(tile) => {
                    let mut runs = tile.runs();
                    while runs.next_batch(&mut batch)? {
                        let mut start = 0;
                        for (&gene, &end) in batch.genes.iter().zip(&batch.ends) {
                            for i in start..end as usize {
                                see(t * tile_rows + usize::from(batch.rows[i]), gene as usize, batch.values[i]);
                            }
                            start = end as usize;
                        }
                    }
                }
                Tile::Dense(tile) => {
                    for (i, row) in tile.values.chunks_exact(tile.genes).enumerate() {
                        row.iter().enumerate().for_each(|(gene, &value)| see(t * tile_rows + i, gene, value));
                    }
                }
            }
        }
        Ok(())
    }

    fn packed(&self, t: usize) -> Result<Tile<'_>, TileError> {
        let tile = &self.sample.tiles[t];
        let genes = self.sample.genes;
        Ok(match self.sample.layout {
            Layout::Sparse => Tile::Sparse(SparseTile::parse(&tile.bytes, tile.rows, genes, tile.nonzeros)?),
            Layout::Dense => Tile::Dense(DenseTile { rows: tile.rows, genes, values: &tile.dense }),
        })
    }

    fn tiles_per_block(&self) -> usize {
        BLOCK_ROWS / self.sample.tile_rows()
    }
}

impl Blocks for SampleView<'_> {
    fn cells(&self) -> usize {
        self.rows
    }
    fn genes(&self) -> usize {
        self.sample.genes
    }
    fn entries(&self) -> u64 {
        self.sample.entries(self.rows)
    }
    fn layout(&self) -> Layout {
        self.sample.layout
    }
    fn blocks(&self) -> usize {
        self.rows.div_ceil(BLOCK_ROWS)
    }
    fn block_rows(&self) -> usize {
        BLOCK_ROWS.min(self.rows.next_multiple_of(self.sample.tile_rows()))
    }
    fn tile_rows(&self) -> usize {
        self.sample.tile_rows()
    }
    fn block(&self, block: usize) -> BlockInfo {
        let first_row = block * BLOCK_ROWS;
        let rows = BLOCK_ROWS.min(self.rows - first_row);
        let tiles = rows.div_ceil(self.sample.tile_rows());
        let first_tile = block * self.tiles_per_block();
        let packed = &self.sample.tiles[first_tile..first_tile + tiles];
        BlockInfo {
            first_row,
            rows,
            tiles,
            bytes: packed.iter().map(SampleTile::packed_bytes).sum(),
            nonzeros: packed.iter().map(|tile| tile.nonzeros).sum(),
        }
    }
    fn tile_bytes(&self, block: usize, tile: usize) -> usize {
        self.sample.tiles[block * self.tiles_per_block() + tile].packed_bytes()
    }
    fn gene_sq_norms(&self) -> &[f64] {
        &self.gene_sq_norms
    }
    fn row_weights(&self, block: usize) -> Option<&[f32]> {
        let first = block * BLOCK_ROWS;
        self.weights.as_ref().map(|weights| &weights[first..(first + BLOCK_ROWS).min(self.rows)])
    }
    fn resident(&self) -> bool {
        true
    }
    fn fetch(&self, _block: usize, _tiles: Range<usize>, _buf: &mut SegmentBuf) -> Result<(), DriverError> {
        Ok(())
    }
    fn tile<'a>(
        &'a self,
        block: usize,
        _tiles: Range<usize>,
        tile: usize,
        _buf: &'a SegmentBuf,
    ) -> Result<Tile<'a>, DriverError> {
        self.packed(block * self.tiles_per_block() + tile).map_err(DriverError::Sample)
    }
    fn damaged(&self, _block: usize, _tile: usize, error: TileError) -> DriverError {
        DriverError::Sample(error)
    }
}
