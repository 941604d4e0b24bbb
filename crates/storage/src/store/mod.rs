//! The block store: a folder of packed row blocks that is written once and then only read.
//!
//! | file               | holds                                                                         |
//! |--------------------|-------------------------------------------------------------------------------|
//! | `blocks-00000.bin` | blocks, one after another; a new file (`00001`, …) once one has reached 4 GiB |
//! | `table.bin`        | the place of each block; length, nonzeros and checksum of each tile           |
//! | `genes.bin`        | nonzeros, sum, sum of squares and maximum of each gene, and of all            |
//! | `million.bin`      | sum and sum of squares of each gene's values per million                      |
//! | `cells.bin`        | nonzeros, sum and sum of squares of each cell                                 |
//! | `sample.bin`       | some of the rows, packed: what starts of fits read; large stores have it      |
//! | `annotations.h5ad` | names and columns of cells and genes: an AnnData file without `X`             |
//! | `manifest.json`    | shape, cut, source; sizes and checksums of the other files; written last      |
//!
//! `docs/format.md` has every byte. [`StoreWriter`] writes a store and [`Store`] reads it:
//! [`Store::read`] returns a [`Segment`], and a segment returns [`Tile`](crate::tile::Tile)s. Every
//! tile is checked against its checksum when it is returned, so that no computation uses damaged
//! data.

mod block;
mod cells;
mod cut;
mod files;
mod fingerprint;
mod genes;
mod left;
mod manifest;
mod map;
mod names;
mod open;
mod reblock;
mod replace;
mod sample;
mod segment;
mod select;
mod stamp;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use block::TileRecord;
pub use cut::{Layout, default_block_rows};
pub use genes::{GeneAccumulator, GeneMoments, GeneTables, PerMillion, Totals};
pub use left::GoOn;
pub use reblock::reblock;
pub(crate) use replace::check as check_destination;
pub use replace::remove_leftovers;
pub use sample::{KeptSample, kept_caps};
pub use segment::{Segment, SegmentBuf};
pub use select::{copy_block_rows, select_bytes, select_genes};
pub use stamp::{Join, JoinedStamp, Joining, Overwrite, SampleStamp, Selection, SourceStamp};
pub use summary::{BlockInfo, Summary};
pub use verify::VerifyReport;
pub use writer::{EncodedTile, StoreHeader, StoreWriter};

use crate::error::StorageError;
use crate::tile::{CellMoments, TileError};

/// A store, open for reading. Share it by reference between threads.
///
/// # Example
///
/// Write and read a store of three rows:
///
/// ```
/// use partwise_storage::store::{EncodedTile, Layout, Overwrite, SegmentBuf, SourceStamp, Store, StoreHeader, StoreWriter};
/// use partwise_storage::tile::{CsrRows, RunBatch, Tile, TileEncoder};
///
/// let folder = tempfile::tempdir()?;
/// let header = StoreHeader {
///     cells: 3,
///     genes: 5,
///     layout: Layout::Sparse,
///     block_rows: 256,
///     tile_rows: 256,
///     source: SourceStamp::default(),
/// };
/// let rows = CsrRows { indptr: &[0, 2, 2, 3], indices: &[1, 4, 4], values: &[2.0, 1.0, 7.0] };
/// let mut bytes = Vec::new();
/// let moments = TileEncoder::new().encode(rows, 5, &mut bytes);
///
/// let mut writer = StoreWriter::create(&folder.path().join("small.pw"), header, Overwrite::Refuse)?;
/// writer.push_tile(&EncodedTile { bytes, rows: 3, nonzeros: 3, moments })?;
/// let store: Store = writer.finish()?;
/// assert_eq!(store.gene_moments()[4].sum, 8.0);
///
/// let mut buf = SegmentBuf::new();
/// let segment = store.read(0, 0..1, &mut buf)?;
/// let Tile::Sparse(tile) = segment.tile(0)? else { unreachable!() };
/// let mut batch = RunBatch::new();
/// assert!(tile.runs().next_batch(&mut batch)?);
/// assert_eq!((&batch.genes[..], &batch.ends[..]), (&[1, 4][..], &[1, 3][..]));
/// assert_eq!((&batch.rows[..], &batch.values[..]), (&[0, 0, 2][..], &[2.0, 1.0, 7.0][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    cut: cut::Cut,
    table: table::Table,
    block_files: Vec<BlockFile>,
    genes: Vec<GeneMoments>,
    /// Of `million.bin`, if there is one.
    per_million: Option<manifest::FileStamp>,
    /// Of `sample.bin`, if there is one: its bytes, and the checksum of its lists.
    sample: Option<manifest::FileStamp>,
    totals: genes::Totals,
    /// Bytes of the block files and the table; bytes of all files.
    packed_bytes: u64,
    bytes: u64,
    annotations: Option<manifest::FileStamp>,
    source: SourceStamp,
}

/// A block file.
#[derive(Debug)]
struct BlockFile {
    file: File,
    path: PathBuf,
    map: Option<map::Map>,
}

impl Store {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rows of the matrix.
    pub fn cells(&self) -> usize {
        self.cut.cells
    }

    /// Columns of the matrix.
    pub fn genes(&self) -> usize {
        self.cut.genes
    }

    /// Values above zero.
    pub fn nonzeros(&self) -> u64 {
        self.table.nonzeros()
    }

    /// The kind of its tiles.
    pub fn layout(&self) -> Layout {
        self.cut.layout
    }

    /// Rows of a block. The last one may have fewer.
    pub fn block_rows(&self) -> usize {
        self.cut.block_rows
    }

    /// Rows of a tile. The last one may have fewer.
    pub fn tile_rows(&self) -> usize {
        self.cut.tile_rows
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.cut.blocks()
    }

    /// Bytes that tile `tile` of block `block` takes in a segment.
    ///
    /// # Panics
    ///
    /// When there is no such tile.
    #[track_caller]
    pub fn tile_bytes(&self, block: usize, tile: usize) -> usize {
        self.tile_record(block, tile).bytes.next_multiple_of(block::TILE_ALIGN) as usize
    }

    /// The largest [`tile_bytes`](Self::tile_bytes) of the store.
    pub fn max_tile_bytes(&self) -> usize {
        let bytes = self.table.tiles.iter().map(|tile| tile.bytes).max().unwrap_or(0);
        bytes.next_multiple_of(block::TILE_ALIGN) as usize
    }

    /// The most nonzeros of a tile.
    pub fn max_tile_nonzeros(&self) -> usize {
        self.table.tiles.iter().map(|tile| tile.nonzeros).max().unwrap_or(0) as usize
    }

    /// The sums of each gene.
    pub fn gene_moments(&self) -> &[GeneMoments] {
        &self.genes
    }

    /// The sums of each gene's values per million (10⁶ · x / sum of the cell; TPM of cNMF). `None` in stores
    /// of format 1.0. Reads them from the disk.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn gene_per_million(&self) -> Result<Option<Vec<PerMillion>>, StorageError> {
        let path = self.path.join(names::MILLION);
        let read = |stamp: manifest::FileStamp| {
            let content = files::read_checked(&path, stamp.bytes, stamp.crc32c)?;
            genes::parse_million(&content, &path, self.cut.genes)
        };
        self.per_million.map(read).transpose()
    }

    /// ‖X‖², the sum of all squares.
    pub fn sq_norm(&self) -> f64 {
        self.totals.sum_sq
    }

    /// The sums of the cells `rows`. Reads them from disk; request some tens of thousands at a
    /// time.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is damaged.
    ///
    /// # Panics
    ///
    /// When there are no such rows.
    #[track_caller]
    pub fn cell_moments(&self, rows: Range<usize>) -> Result<Vec<CellMoments>, StorageError> {
        assert!(rows.start <= rows.end && rows.end <= self.cells(), "rows {rows:?} are among {}", self.cells());
        cells::read(&self.path.join(names::CELLS), self.cells(), rows)
    }

    /// The path of the annotations: an AnnData file with `obs` and `var` but without `X`. Verifies
    /// its checksum, which reads the file.
    ///
    /// # Errors
    ///
    /// When the store has none, or the file cannot be read or is damaged.
    pub fn annotations(&self) -> Result<PathBuf, StorageError> {
        let Some(stamp) = self.annotations else {
            return Err(StorageError::MissingDataset {
                path: self.path.clone(),
                dataset: names::ANNOTATIONS.into(),
                remedy: "convert the input again to have its names and columns".into(),
            });
        };
        let path = self.path.join(names::ANNOTATIONS);
        files::check_size(&path, stamp.bytes)?;
        let (_, found) = files::checksum(&path)?;
        if found != stamp.crc32c {
            let expected = format!("{:08x}", stamp.crc32c);
            return Err(StorageError::damaged(&path, "its checksum", expected, format!("{found:08x}")));
        }
        Ok(path)
    }

    /// The input that the store was made from.
    pub fn source(&self) -> &SourceStamp {
        &self.source
    }

    fn block_file_of(&self, block: usize) -> &BlockFile {
        &self.block_files[self.table.blocks[block].file as usize]
    }

    #[track_caller]
    fn tile_record(&self, block: usize, tile: usize) -> &TileRecord {
        &self.table.tiles[self.cut.block_tiles(block)][tile]
    }

    /// The rows of a tile in the matrix.
    fn tile_rows_of(&self, block: usize, tile: usize) -> Range<usize> {
        self.cut.tile_rows_of(self.cut.block_tiles(block).start + tile)
    }

    /// The byte range of a tile in its block file.
    fn tile_place(&self, block: usize, tile: usize) -> Range<u64> {
        self.table.tile_place(&self.cut, self.cut.block_tiles(block).start + tile)
    }

    /// The error of a tile that turns out to be damaged while its runs are decoded: `source` with
    /// file, block and rows.
    pub fn damaged_tile(&self, block: usize, tile: usize, source: TileError) -> StorageError {
        let rows = self.tile_rows_of(block, tile);
        let (first_row, last_row) = (rows.start, rows.end - 1);
        StorageError::DamagedTile { path: self.block_file_of(block).path.clone(), block, first_row, last_row, source }
    }
}
