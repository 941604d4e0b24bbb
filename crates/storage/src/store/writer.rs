//! Making a store, tile after tile.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::Store;
use super::block::{self, TILE_ALIGN, TileRecord};
use super::cells::CellWriter;
use super::cut::{Cut, Layout};
use super::files;
use super::genes::{self, GeneAccumulator, GeneMoments, Totals};
use super::manifest::{FileStamp, Manifest};
use super::names;
use super::replace::Partial;
use super::stamp::{Overwrite, SourceStamp};
use super::table::{BlockRecord, Table};
use crate::error::StorageError;
use crate::tile::{CellMoments, TileMoments};

/// A block file that has this many bytes takes no further block.
const BLOCK_FILE_BYTES: u64 = 4 << 30;

/// What is known of a store before its first tile.
#[derive(Clone, Debug)]
pub struct StoreHeader {
    /// Rows of the matrix.
    pub cells: usize,
    /// Columns.
    pub genes: usize,
    /// What its tiles are.
    pub layout: Layout,
    /// Rows of a block, a multiple of `tile_rows`; see [`default_block_rows`](super::default_block_rows).
    pub block_rows: usize,
    /// Rows of a tile; see [`Layout::tile_rows`].
    pub tile_rows: usize,
    /// What it is made from.
    pub source: SourceStamp,
}

/// A tile ready to be written: by [`TileEncoder::encode`](crate::tile::TileEncoder::encode) or
/// [`encode_dense`](crate::tile::encode_dense).
#[derive(Clone, Debug)]
pub struct EncodedTile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its rows.
    pub rows: usize,
    /// Its values above zero.
    pub nonzeros: u64,
    /// Its sums.
    pub moments: TileMoments,
}

/// Writes a store. Until [`finish`](Self::finish) nothing is at its destination, and a writer that is dropped before leaves
/// nothing behind.
///
/// Memory is O(genes + tiles), whatever the tiles hold.
#[derive(Debug)]
pub struct StoreWriter {
    cut: Cut,
    source: SourceStamp,
    /// Tiles taken so far; those of the current block come after `block_tiles`.
    table: Table,
    block_tiles: usize,
    current: Option<BlockFileWriter>,
    block_files: Vec<u64>,
    file_bytes: u64,
    genes: GeneAccumulator,
    cells: CellWriter,
    /// Last, so that its folder goes when the files in it are closed.
    partial: Partial,
}

/// The block file that is being written.
#[derive(Debug)]
struct BlockFileWriter {
    file: File,
    path: PathBuf,
    /// Where the current block starts, and where its next tile goes.
    block: u64,
    end: u64,
}

impl StoreWriter {
    /// Begins a store that will be at `dest`, in a folder beside it.
    ///
    /// # Errors
    ///
    /// - `dest` holds a store and `overwrite` is [`Overwrite::Refuse`], or holds something that is not a store;
    /// - another process is writing the same store;
    /// - the numbers of `header` contradict each other;
    /// - the folder cannot be written to.
    pub fn create(dest: &Path, header: StoreHeader, overwrite: Overwrite) -> Result<Self, StorageError> {
        let StoreHeader { cells, genes, layout, block_rows, tile_rows, source } = header;
        let cut = Cut { cells, genes, layout, block_rows, tile_rows };
        if let Some(problem) = cut.problem() {
            return Err(StorageError::Usage { message: format!("{}: a store cannot have {problem}", dest.display()) });
        }
        let partial = Partial::create(dest, overwrite)?;
        Ok(Self {
            cut,
            source,
            table: Table::default(),
            block_tiles: 0,
            current: None,
            block_files: Vec::new(),
            file_bytes: BLOCK_FILE_BYTES,
            genes: GeneAccumulator::new(genes),
            cells: CellWriter::create(partial.folder().join(names::CELLS), cells)?,
            partial,
        })
    }

    /// Where the annotations have to be, as an AnnData file without `X`, before [`finish`](Self::finish). A store can do
    /// without.
    pub fn annotations_path(&self) -> PathBuf {
        self.partial.folder().join(names::ANNOTATIONS)
    }

    /// Adds the next tile. Tiles come in row order; every one has the rows of a tile but the last.
    ///
    /// # Errors
    ///
    /// When it cannot be written, such as on a full disk.
    ///
    /// # Panics
    ///
    /// When the tile has not the rows that come next, or its moments are of other rows.
    #[track_caller]
    pub fn push_tile(&mut self, tile: EncodedTile) -> Result<(), StorageError> {
        let number = self.table.tiles.len();
        assert!(number < self.cut.tiles(), "a store of {} rows is full", self.cut.cells);
        assert_eq!(tile.rows, self.cut.tile_rows_of(number).len(), "rows of tile {number}");
        assert_eq!(tile.moments.cells.len(), tile.rows, "moments for each row of tile {number}");

        self.append(&tile.bytes, tile.nonzeros, crc32c::crc32c(&tile.bytes))?;
        self.genes.add(&tile.moments.genes);
        self.cells.add(&tile.moments.cells)
    }

    /// Adds the next tile to the block files and the table, but to no sums: its bytes, values above zero and checksum.
    pub(super) fn append(&mut self, bytes: &[u8], nonzeros: u64, crc: u32) -> Result<(), StorageError> {
        if self.table.tiles.len() == self.block_tiles {
            self.begin_block()?;
        }
        let current = self.current.as_mut().expect("the file of a block that has begun");
        files::write_at(&current.file, &current.path, current.end, bytes)?;
        current.end = (current.end + bytes.len() as u64).next_multiple_of(TILE_ALIGN);
        self.table.tiles.push(TileRecord { bytes: bytes.len() as u64, nonzeros, crc });
        let block = self.table.blocks.len();
        if self.table.tiles.len() == self.cut.block_tiles(block).end {
            self.end_block()?;
        }
        Ok(())
    }

    /// Adds the sums of the next cells, for tiles that were appended without theirs.
    pub(super) fn add_cells(&mut self, cells: &[CellMoments]) -> Result<(), StorageError> {
        self.cells.add(cells)
    }

    /// Opens a block file where there is none with room, and leaves room for the head of the block.
    fn begin_block(&mut self) -> Result<(), StorageError> {
        if self.current.as_ref().is_some_and(|current| current.end >= self.file_bytes) {
            self.end_file()?;
        }
        let current = match &mut self.current {
            Some(current) => current,
            none => {
                let path = self.partial.folder().join(names::block_file(self.block_files.len()));
                let file = File::create(&path).map_err(|error| StorageError::io("create", &path, error))?;
                none.insert(BlockFileWriter { file, path, block: 0, end: 0 })
            }
        };
        current.block = current.end;
        current.end += block::first_tile(self.cut.block_tiles(self.table.blocks.len()).len());
        Ok(())
    }

    /// Writes the head of the block whose last tile has come.
    fn end_block(&mut self) -> Result<(), StorageError> {
        let number = self.table.blocks.len();
        let tiles = &self.table.tiles[self.block_tiles..];
        let bytes = block::size(tiles).expect("the sum of what has been written");
        let current = self.current.as_mut().expect("the file of a block that has begun");
        files::write_at(&current.file, &current.path, current.block, &block::head(&self.cut, number, tiles))?;
        let end = current.block + bytes;
        current.file.set_len(end).map_err(|error| StorageError::io("write", &current.path, error))?;
        self.table.blocks.push(BlockRecord {
            file: self.block_files.len() as u32,
            offset: current.block,
            bytes,
            nonzeros: tiles.iter().map(|tile| tile.nonzeros).sum(),
        });
        current.end = end;
        self.block_tiles = self.table.tiles.len();
        Ok(())
    }

    /// Lets a block file take further blocks up to `bytes` only.
    #[cfg(test)]
    pub(super) fn limit_block_files(&mut self, bytes: u64) {
        self.file_bytes = bytes;
    }

    fn end_file(&mut self) -> Result<(), StorageError> {
        if let Some(current) = self.current.take() {
            files::sync(&current.file, &current.path)?;
            self.block_files.push(current.end);
        }
        Ok(())
    }

    /// Writes what is left, brings all of it to the disk, and puts the store in its place.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create) and [`push_tile`](Self::push_tile).
    ///
    /// # Panics
    ///
    /// When tiles are missing.
    #[track_caller]
    pub fn finish(mut self) -> Result<Store, StorageError> {
        let (moments, totals) = std::mem::replace(&mut self.genes, GeneAccumulator::new(0)).finish();
        self.finish_with(&moments, &totals)
    }

    /// As [`finish`](Self::finish), with sums of the genes that are known already.
    #[track_caller]
    pub(super) fn finish_with(mut self, moments: &[GeneMoments], totals: &Totals) -> Result<Store, StorageError> {
        assert_eq!(self.table.tiles.len(), self.cut.tiles(), "all tiles of the store");
        self.end_file()?;
        self.cells.finish()?;
        let folder = self.partial.folder();
        let write = |name, content: &[u8]| {
            files::create(&folder.join(name), content)?;
            Ok::<_, StorageError>(FileStamp { bytes: content.len() as u64, crc32c: crc32c::crc32c(content) })
        };
        let nonzeros = self.table.nonzeros();
        let table = write(names::TABLE, &self.table.to_bytes())?;
        let genes = write(names::GENES, &genes::to_bytes(moments, totals))?;
        let annotations = annotations_stamp(&folder.join(names::ANNOTATIONS))?;
        Manifest::new(&self.cut, nonzeros, self.source, self.block_files, [table, genes], annotations).write(folder)?;
        Store::open(&self.partial.place()?)
    }
}

/// Brings the annotations, if there are any, to the disk and takes their stamp.
fn annotations_stamp(path: &Path) -> Result<Option<FileStamp>, StorageError> {
    if !path.exists() {
        return Ok(None);
    }
    files::sync(&files::open(path)?, path)?;
    let (bytes, crc32c) = files::checksum(path)?;
    Ok(Some(FileStamp { bytes, crc32c }))
}
