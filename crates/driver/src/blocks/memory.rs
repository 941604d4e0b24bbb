//! Row blocks in memory, packed in the tiles of a store.

use std::ops::Range;
use std::sync::Arc;

use aligned_vec::{AVec, ConstAlign};
use partwise_storage::store::{BlockInfo, Layout, SegmentBuf};
use partwise_storage::tile::{DenseTile, SparseTile, Tile, TileError};
use sha2::{Digest, Sha256};

use super::{Blocks, RowWeights};
use crate::error::DriverError;
use crate::products::Decoder;

/// One tile, packed as in a store.
#[derive(Debug)]
pub(crate) struct PackedTile {
    bytes: AVec<u8, ConstAlign<64>>,
    rows: usize,
    /// Stored entries: nonzeros where sparse, all values where dense.
    entries: u64,
}

impl PackedTile {
    /// A tile of these bytes, aligned as it is to be read.
    pub(crate) fn new(bytes: AVec<u8, ConstAlign<64>>, rows: usize, entries: u64) -> Self {
        PackedTile { bytes, rows, entries }
    }

    /// A copy of these bytes.
    pub(crate) fn copy(bytes: &[u8], rows: usize, entries: u64) -> Self {
        let mut aligned = AVec::with_capacity(64, bytes.len());
        aligned.extend_from_slice(bytes);
        PackedTile { bytes: aligned, rows, entries }
    }

    /// Rows of the tile.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
}

/// Row blocks in memory: packed tiles, some of which other matrices may share, and weights of rows.
#[derive(Debug)]
pub(crate) struct MemoryBlocks {
    layout: Layout,
    genes: usize,
    cells: usize,
    tile_rows: usize,
    tiles_per_block: usize,
    pub(super) tiles: Vec<Arc<PackedTile>>,
    /// The factor of every row; `None`: all are 1.
    weights: Option<Vec<f32>>,
    gene_sq_norms: Vec<f64>,
}

/// How a matrix is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) layout: Layout,
    pub(crate) genes: usize,
    pub(crate) tile_rows: usize,
    pub(crate) tiles_per_block: usize,
}

impl MemoryBlocks {
    /// The matrix of these tiles, all but the last of which have all their rows; `weights` has a
    /// factor for every row. Decodes all of it once, for the genes' norms.
    ///
    /// # Errors
    ///
    /// When a tile does not decode.
    pub(crate) fn new(cut: Cut, tiles: Vec<Arc<PackedTile>>, weights: Option<Vec<f32>>) -> Result<Self, TileError> {
        let mut blocks = Self::with_norms(cut, tiles, weights, Vec::new());
        let mut squares = vec![0.0; blocks.genes];
        let weights = blocks.weights.as_deref();
        blocks.entries_of_all(|row, gene, value| {
            let weight = weights.map_or(1.0, |weights| f64::from(weights[row]));
            squares[gene] += (weight * f64::from(value)).powi(2);
        })?;
        blocks.gene_sq_norms = squares;
        Ok(blocks)
    }

    /// The same, the genes' norms known.
    pub(super) fn with_norms(
        cut: Cut,
        tiles: Vec<Arc<PackedTile>>,
        weights: Option<Vec<f32>>,
        gene_sq_norms: Vec<f64>,
    ) -> Self {
        let Cut { layout, genes, tile_rows, tiles_per_block } = cut;
        let cells = tiles.iter().map(|tile| tile.rows).sum();
        MemoryBlocks { layout, genes, cells, tile_rows, tiles_per_block, tiles, weights, gene_sq_norms }
    }

    /// The same tiles in blocks of so many of them.
    pub(super) fn cut_into(self, tiles_per_block: usize) -> Self {
        MemoryBlocks { tiles_per_block: tiles_per_block.max(1), ..self }
    }

    /// The same rows with a factor for each.
    #[cfg(test)]
    pub(crate) fn weighted(&self, weights: Vec<f32>) -> Self {
        let Self { layout, genes, tile_rows, tiles_per_block, ref tiles, .. } = *self;
        let cut = Cut { layout, genes, tile_rows, tiles_per_block };
        Self::new(cut, tiles.clone(), Some(weights)).expect("the tiles decode")
    }

    /// Shows every stored entry as (row, gene, value without the weight), tile by tile.
    ///
    /// # Errors
    ///
    /// When a tile does not decode.
    pub(crate) fn entries_of_all(&self, mut see: impl FnMut(usize, usize, f32)) -> Result<(), TileError> {
        let mut decoder = Decoder::new();
        for (t, tile) in self.tiles.iter().enumerate() {
            let first = t * self.tile_rows;
            decoder
                .products(self.parse(tile)?, self.genes)
                .entries(|row, gene, value| see(first + row, gene, value))?;
        }
        Ok(())
    }

    /// A hash of the shape and of every byte.
    pub(super) fn fingerprint(&self) -> String {
        let MemoryBlocks { layout, genes, cells, tile_rows, tiles_per_block, .. } = self;
        let mut hash = Sha256::new();
        hash.update(format!("{layout:?} {cells} {genes} {tile_rows} {tiles_per_block}"));
        self.tiles.iter().for_each(|tile| hash.update(&*tile.bytes));
        hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn parse<'t>(&self, tile: &'t PackedTile) -> Result<Tile<'t>, TileError> {
        Ok(match self.layout {
            Layout::Sparse => Tile::Sparse(SparseTile::parse(&tile.bytes, tile.rows, self.genes, tile.entries)?),
            Layout::Dense => Tile::Dense(DenseTile::parse(&tile.bytes, tile.rows, self.genes)?),
        })
    }

    fn tiles_of(&self, block: usize) -> &[Arc<PackedTile>] {
        let first = block * self.tiles_per_block;
        &self.tiles[first..(first + self.tiles_per_block).min(self.tiles.len())]
    }
}

impl Blocks for MemoryBlocks {
    fn cells(&self) -> usize {
        self.cells
    }
    fn genes(&self) -> usize {
        self.genes
    }
    fn entries(&self) -> u64 {
        self.tiles.iter().map(|tile| tile.entries).sum()
    }
    fn layout(&self) -> Layout {
        self.layout
    }
    fn blocks(&self) -> usize {
        self.tiles.len().div_ceil(self.tiles_per_block)
    }
    fn block_rows(&self) -> usize {
        let rows = self.tiles_per_block * self.tile_rows;
        rows.min(self.cells.next_multiple_of(self.tile_rows))
    }
    fn tile_rows(&self) -> usize {
        self.tile_rows
    }
    fn block(&self, block: usize) -> BlockInfo {
        let tiles = self.tiles_of(block);
        BlockInfo {
            first_row: block * self.tiles_per_block * self.tile_rows,
            rows: tiles.iter().map(|tile| tile.rows).sum(),
            tiles: tiles.len(),
            bytes: tiles.iter().map(|tile| tile.bytes.len()).sum(),
            nonzeros: tiles.iter().map(|tile| tile.entries).sum(),
        }
    }
    fn tile_bytes(&self, block: usize, tile: usize) -> usize {
        self.tiles_of(block)[tile].bytes.len()
    }
    fn gene_sq_norms(&self) -> &[f64] {
        &self.gene_sq_norms
    }
    fn row_weights(&self, block: usize) -> RowWeights<'_> {
        let BlockInfo { first_row, rows, .. } = self.block(block);
        self.weights
            .as_ref()
            .map_or(RowWeights::Ones, |weights| RowWeights::Each(&weights[first_row..first_row + rows]))
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
        self.parse(&self.tiles_of(block)[tile]).map_err(DriverError::Memory)
    }
    fn damaged(&self, _block: usize, _tile: usize, error: TileError) -> DriverError {
        DriverError::Memory(error)
    }
}
