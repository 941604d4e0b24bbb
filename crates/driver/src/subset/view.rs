//! A subset as a fit sees it: the whole matrix, with factors.

use std::ops::Range;

use fixedbitset::FixedBitSet;
use partwise_storage::StorageError;
use partwise_storage::store::{BlockInfo, GeneMoments, Layout, PerMillion, SegmentBuf};
use partwise_storage::tile::{CellMoments, Tile, TileError};

use super::Subset;
use crate::blocks::{Blocks, FitData, RowWeights};
use crate::error::DriverError;

/// A matrix of which a [`Subset`] is fitted.
pub(crate) struct SubsetData<'d> {
    whole: &'d dyn FitData,
    subset: &'d Subset,
    gene_sq_norms: Vec<f64>,
}

impl<'d> SubsetData<'d> {
    pub(crate) fn new(whole: &'d dyn FitData, subset: &'d Subset) -> Self {
        let gene_sq_norms = subset.moments.iter().map(|gene| gene.sum_sq).collect();
        SubsetData { whole, subset, gene_sq_norms }
    }

    fn inner(&self) -> &dyn Blocks {
        self.whole.blocks()
    }
}

impl Blocks for SubsetData<'_> {
    fn cells(&self) -> usize {
        self.inner().cells()
    }
    fn genes(&self) -> usize {
        self.inner().genes()
    }
    fn entries(&self) -> u64 {
        self.inner().entries()
    }
    fn layout(&self) -> Layout {
        self.inner().layout()
    }
    fn blocks(&self) -> usize {
        self.inner().blocks()
    }
    fn block_rows(&self) -> usize {
        self.inner().block_rows()
    }
    fn tile_rows(&self) -> usize {
        self.inner().tile_rows()
    }
    fn block(&self, block: usize) -> BlockInfo {
        self.inner().block(block)
    }
    fn tile_bytes(&self, block: usize, tile: usize) -> usize {
        self.inner().tile_bytes(block, tile)
    }
    fn gene_sq_norms(&self) -> &[f64] {
        &self.gene_sq_norms
    }
    fn row_weights(&self, block: usize) -> RowWeights<'_> {
        match self.subset.cells() {
            None => RowWeights::Ones,
            Some(rows) => RowWeights::Kept { rows, first_row: self.inner().block(block).first_row },
        }
    }
    fn kept(&self) -> (usize, usize) {
        (self.subset.cell_count(), self.subset.gene_count())
    }
    fn resident(&self) -> bool {
        self.inner().resident()
    }
    fn fetch(&self, block: usize, tiles: Range<usize>, buf: &mut SegmentBuf) -> Result<(), DriverError> {
        self.inner().fetch(block, tiles, buf)
    }
    fn tile<'a>(
        &'a self,
        block: usize,
        tiles: Range<usize>,
        tile: usize,
        buf: &'a SegmentBuf,
    ) -> Result<Tile<'a>, DriverError> {
        self.inner().tile(block, tiles, tile, buf)
    }
    fn damaged(&self, block: usize, tile: usize, error: TileError) -> DriverError {
        self.inner().damaged(block, tile, error)
    }
}

impl FitData for SubsetData<'_> {
    fn blocks(&self) -> &dyn Blocks {
        self
    }
    fn nonzeros(&self) -> u64 {
        self.subset.nonzeros()
    }
    fn sq_norm(&self) -> f64 {
        self.gene_sq_norms.iter().sum()
    }
    fn gene_moments(&self) -> &[GeneMoments] {
        &self.subset.moments
    }
    fn holds_counts(&self) -> bool {
        self.whole.holds_counts()
    }
    fn per_million(&self) -> Result<Option<Vec<PerMillion>>, StorageError> {
        // The sums of all cells are not those of some.
        if self.subset.cells().is_none() { self.whole.per_million() } else { Ok(None) }
    }
    fn kept_genes(&self) -> Option<&FixedBitSet> {
        self.subset.genes()
    }
    fn cell_moments(&self, cells: Range<usize>) -> Result<Vec<CellMoments>, StorageError> {
        let mut moments = self.whole.cell_moments(cells.clone())?;
        if let Some(kept) = self.subset.cells() {
            for (cell, moments) in cells.zip(&mut moments) {
                if !kept.contains(cell) {
                    *moments = CellMoments::default();
                }
            }
        }
        Ok(moments)
    }
    fn fingerprint(&self) -> String {
        format!("{}.{}", self.whole.fingerprint(), self.subset.key())
    }
    fn bytes_read(&self) -> u64 {
        self.whole.bytes_read()
    }
}
