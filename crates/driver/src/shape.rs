//! The matrix and the machine that a plan is made for.

use std::ops::Range;

use partwise_storage::StorageError;
use partwise_storage::convert::Excerpt;
use partwise_storage::store::{GeneMoments, Layout, Store, kept_caps};
use partwise_storage::tile::CellMoments;

use crate::blocks::FitData;
use crate::sample::{FEWEST, leading};

/// Resident bytes of a program with this library that has opened a store: code, libraries,
/// allocator. Measured on the program `partwise` (Debian 12, x86-64): 11.2 to 11.6 MiB. With 11.5 MiB the smallest
/// fit of the tests once took a thousandth more than its forecast.
pub(crate) const RESIDENT: u64 = 12 << 20;

/// Code of the HDF5 library and its buffers once it has opened a file.
pub(crate) const HDF5_BYTES: u64 = 4 << 20;

/// Memory that stays resident after a conversion: pieces of the heap, and code. With 1 MiB, a fit of 12,000 × 2,000
/// counts needed about 1.5 MiB more than its forecast.
const AFTER_CONVERSION: u64 = 3 << 20;

/// Cells, spread over the store, whose sums are read to estimate the rows of a sample.
const PROBED_CELLS: usize = 1 << 18;
/// Cells read at once.
const PROBE: usize = 1 << 12;

/// The part of a machine that one process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Machine {
    /// Compute threads wanted.
    pub threads: usize,
    /// Memory budget, bytes: the peak resident size of the process.
    pub memory: u64,
    /// Bytes of it that are resident when the plan is made.
    pub resident: u64,
    /// Bytes of files that the system's page cache will keep beside this process.
    pub cache: u64,
    /// Whether stores may be mapped into memory.
    pub maps: bool,
}

impl Machine {
    /// A machine for a process that has only opened a store, with a page cache that holds all data
    /// read.
    pub fn new(threads: usize, memory: u64) -> Self {
        Machine { threads, memory, resident: RESIDENT, cache: u64::MAX, maps: true }
    }

    /// Sets a page cache of about `cache` bytes.
    pub fn with_cache(self, cache: u64) -> Self {
        Machine { cache, ..self }
    }

    /// Sets whether stores may be mapped, or only read.
    pub fn with_maps(self, maps: bool) -> Self {
        Machine { maps, ..self }
    }

    /// For a process that has `resident` bytes in memory already.
    pub fn with_resident(self, resident: u64) -> Self {
        Machine { resident, ..self }
    }

    /// For a process that has `resident` bytes in memory, and converts a file before it fits.
    pub fn with_conversion(self, resident: u64) -> Self {
        Machine { resident: resident.max(RESIDENT + HDF5_BYTES) + AFTER_CONVERSION, ..self }
    }
}

/// Size and layout of a matrix, known from a store or predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataShape {
    /// Rows n.
    pub cells: usize,
    /// Columns m.
    pub genes: usize,
    /// Nonzeros.
    pub nonzeros: u64,
    /// Sparse or dense tiles.
    pub layout: Layout,
    /// Rows of a block.
    pub block_rows: usize,
    /// Rows of a tile.
    pub tile_rows: usize,
    /// Packed bytes of all blocks.
    pub packed_bytes: u64,
    /// Packed bytes of the largest tile.
    pub max_tile_bytes: u64,
    /// Packed bytes of the largest block.
    pub max_block_bytes: u64,
    /// Stored entries of a row of a norm-weighted sample, on average.
    pub sample_row_entries: u64,
    /// Genes that hold most of ‖X‖², on which starts are found, and their nonzeros.
    pub leading_genes: usize,
    /// See [`leading_genes`](Self::leading_genes).
    pub leading_nonzeros: u64,
    /// Nonzeros of the fullest tile; 0 where tiles are dense.
    pub max_tile_nonzeros: usize,
    /// Whether the store keeps a sample of its rows, so that a start may cost no read of all of them.
    pub keeps_sample: bool,
    /// Rows of the blocks that this process has; all if it works alone.
    pub own_cells: usize,
    /// Packed bytes of these blocks.
    pub own_bytes: u64,
    /// Whether genes are left out.
    pub leaves_out_genes: bool,
}

impl DataShape {
    /// At least so many genes lead, or all if there are fewer.
    pub const FEWEST_LEADING: usize = FEWEST;

    /// The shape of a store. Reads the sums of up to a quarter of a million cells.
    ///
    /// # Errors
    ///
    /// When the sums of the cells cannot be read.
    pub fn of_store(store: &Store) -> Result<Self, StorageError> {
        let blocks = || (0..store.blocks()).map(|block| store.block(block).bytes as u64);
        let bytes = blocks().sum();
        let (leading_genes, leading_nonzeros) = leading_of(store.gene_moments(), store.summary().integer);
        Ok(DataShape {
            leading_genes,
            leading_nonzeros,
            cells: store.cells(),
            genes: store.genes(),
            nonzeros: store.nonzeros(),
            layout: store.layout(),
            block_rows: store.block_rows(),
            tile_rows: store.tile_rows(),
            packed_bytes: bytes,
            max_tile_bytes: store.max_tile_bytes() as u64,
            max_block_bytes: blocks().max().unwrap_or(0),
            sample_row_entries: match store.layout() {
                Layout::Sparse => sample_row_entries(store.cells(), &mut |cells| store.cell_moments(cells))?,
                Layout::Dense => store.genes() as u64,
            },
            max_tile_nonzeros: match store.layout() {
                Layout::Sparse => store.max_tile_nonzeros(),
                Layout::Dense => 0,
            },
            keeps_sample: store.keeps_sample(),
            own_cells: store.cells(),
            own_bytes: bytes,
            leaves_out_genes: false,
        })
    }

    /// The shape of data that lie in memory, all of it there already.
    ///
    /// # Errors
    ///
    /// When the sums of the cells cannot be read.
    pub fn of_data(data: &dyn FitData) -> Result<Self, StorageError> {
        let blocks = data.blocks();
        let info = || (0..blocks.blocks()).map(|block| blocks.block(block));
        let tiles = || info().enumerate().flat_map(|(block, info)| (0..info.tiles).map(move |tile| (block, tile)));
        let sparse = blocks.layout() == Layout::Sparse;
        let bytes = info().map(|info| info.bytes as u64).sum();
        let (leading_genes, leading_nonzeros) = leading_of(data.gene_moments(), data.holds_counts());
        let fullest = || info().map(|info| info.nonzeros.div_ceil(info.tiles.max(1) as u64)).max().unwrap_or(0);
        Ok(DataShape {
            leading_genes,
            leading_nonzeros,
            cells: blocks.cells(),
            genes: blocks.genes(),
            nonzeros: data.nonzeros(),
            layout: blocks.layout(),
            block_rows: blocks.block_rows(),
            tile_rows: blocks.tile_rows(),
            packed_bytes: bytes,
            max_tile_bytes: tiles().map(|(block, tile)| blocks.tile_bytes(block, tile) as u64).max().unwrap_or(0),
            max_block_bytes: info().map(|info| info.bytes as u64).max().unwrap_or(0),
            sample_row_entries: match sparse {
                true => sample_row_entries(blocks.cells(), &mut |cells| data.cell_moments(cells))?,
                false => blocks.genes() as u64,
            },
            max_tile_nonzeros: if sparse { 2 * fullest() as usize } else { 0 },
            keeps_sample: data.kept_sample()?.is_some(),
            own_cells: blocks.cells(),
            own_bytes: bytes,
            leaves_out_genes: data.kept_genes().is_some(),
        })
    }
}

/// How many genes lead, and their nonzeros.
fn leading_of(moments: &[GeneMoments], are_counts: bool) -> (usize, u64) {
    let (genes, leading) = leading(moments, are_counts, |_| 1.0);
    (leading, genes[..leading].iter().map(|&gene| moments[gene as usize].nonzeros).sum())
}

/// Reads the sums of some cells.
type CellSums<'r> = dyn FnMut(Range<usize>) -> Result<Vec<CellMoments>, StorageError> + 'r;

/// Σ nnz_i ‖x_i‖² / Σ ‖x_i‖² over some of the cells.
fn sample_row_entries(cells: usize, moments: &mut CellSums<'_>) -> Result<u64, StorageError> {
    let stride = (cells.div_ceil(PROBED_CELLS) * PROBE).max(PROBE);
    let (mut weighted, mut norms) = (0.0, 0.0);
    for first in (0..cells).step_by(stride) {
        for cell in moments(first..(first + PROBE).min(cells))? {
            weighted += f64::from(cell.nonzeros) * cell.sum_sq;
            norms += cell.sum_sq;
        }
    }
    Ok(if norms > 0.0 { (weighted / norms).ceil() as u64 } else { 1 })
}

impl From<&Excerpt> for DataShape {
    /// The shape of the store that a file will become, predicted from an excerpt of it.
    fn from(excerpt: &Excerpt) -> Self {
        let tiles = excerpt.block_rows.min(excerpt.cells).div_ceil(excerpt.tile_rows) as u64;
        let all_tiles = excerpt.cells.div_ceil(excerpt.tile_rows).max(1) as u64;
        // Between blocks of average tiles and blocks of largest ones.
        let block = tiles * excerpt.packed_bytes.div_ceil(all_tiles).midpoint(excerpt.max_tile_bytes);
        DataShape {
            // An excerpt has no sums of genes: as in most data, and more.
            leading_genes: excerpt.genes.min(FEWEST),
            leading_nonzeros: if excerpt.genes > FEWEST { excerpt.nonzeros / 10 * 9 } else { excerpt.nonzeros },
            cells: excerpt.cells,
            genes: excerpt.genes,
            nonzeros: excerpt.nonzeros,
            layout: excerpt.layout,
            block_rows: excerpt.block_rows,
            tile_rows: excerpt.tile_rows,
            packed_bytes: excerpt.packed_bytes,
            max_tile_bytes: excerpt.max_tile_bytes,
            max_block_bytes: block.min(excerpt.packed_bytes),
            sample_row_entries: match excerpt.layout {
                Layout::Sparse => excerpt.sample_row_nonzeros,
                Layout::Dense => excerpt.genes as u64,
            },
            max_tile_nonzeros: match excerpt.layout {
                Layout::Sparse => excerpt.max_tile_nonzeros as usize,
                Layout::Dense => 0,
            },
            keeps_sample: kept_caps(excerpt.layout, excerpt.nonzeros).is_some(),
            own_cells: excerpt.cells,
            own_bytes: excerpt.packed_bytes,
            leaves_out_genes: false,
        }
    }
}

impl DataShape {
    /// The same for a process that has the blocks `own` of `store` and no others.
    pub fn with_shard(self, store: &Store, own: Range<usize>) -> Self {
        let blocks = || own.clone().map(|block| store.block(block));
        DataShape {
            own_cells: blocks().map(|block| block.rows).sum(),
            own_bytes: blocks().map(|block| block.bytes as u64).sum(),
            ..self
        }
    }

    /// The same for a fit of a part of the genes.
    pub fn leaving_out_genes(self) -> Self {
        DataShape { leaves_out_genes: true, ..self }
    }

    /// The same for the process that has the most, of `processes` that share blocks of equal work.
    pub fn shared_by(self, processes: usize) -> Self {
        let cells = (self.blocks().div_ceil(processes.max(1)) * self.block_rows).min(self.cells);
        let part = cells as f64 / self.cells.max(1) as f64;
        DataShape { own_cells: cells, own_bytes: (self.packed_bytes as f64 * part) as u64, ..self }
    }

    /// Blocks that this process has.
    pub(crate) fn own_blocks(&self) -> usize {
        self.own_cells.div_ceil(self.block_rows)
    }

    pub(crate) fn tiles(&self) -> u64 {
        self.cells.div_ceil(self.tile_rows) as u64
    }

    pub(crate) fn blocks(&self) -> usize {
        self.cells.div_ceil(self.block_rows)
    }

    pub(crate) fn entries(&self) -> u64 {
        match self.layout {
            Layout::Sparse => self.nonzeros,
            Layout::Dense => self.cells as u64 * self.genes as u64,
        }
    }
}
