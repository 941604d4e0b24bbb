//! Writes a store, one tile after another.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::Store;
use super::block::{self, TILE_ALIGN, TileRecord};
use super::cells::CellWriter;
use super::cut::{Cut, Layout};
use super::files;
use super::genes::{self, GeneAccumulator, GeneMoments, PerMillion, Totals};
use super::left::{self, GoOn, Left, Unfinished};
use super::manifest::{FileStamp, Manifest, Optional};
use super::names;
use super::replace::Partial;
use super::sample;
use super::stamp::{Overwrite, SourceStamp};
use super::table::{BlockRecord, Table};
use crate::error::StorageError;
use crate::monitor::Monitor;
use crate::sampling::Caps;
use crate::tile::{CellMoments, TileMoments, packs_rows};

/// A block file of this many bytes takes no further block.
const BLOCK_FILE_BYTES: u64 = 4 << 30;

/// The properties of a store that are known before its first tile.
#[derive(Clone, Debug)]
pub struct StoreHeader {
    /// Rows of the matrix.
    pub cells: usize,
    /// Columns.
    pub genes: usize,
    /// The kind of its tiles.
    pub layout: Layout,
    /// Rows of a block, a multiple of `tile_rows`; see
    /// [`default_block_rows`](super::default_block_rows).
    pub block_rows: usize,
    /// Rows of a tile; see [`Layout::tile_rows`].
    pub tile_rows: usize,
    /// The input of the store.
    pub source: SourceStamp,
}

/// A packed tile, from [`TileEncoder::encode`](crate::tile::TileEncoder::encode) or
/// [`encode_dense`](crate::tile::encode_dense).
#[derive(Clone, Debug, Default)]
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

/// Writes a store. Nothing is at its destination before [`finish`](Self::finish), and a writer that
/// is dropped before that leaves nothing behind.
///
/// Memory is O(genes + tiles), for any content of the tiles.
#[derive(Debug)]
pub struct StoreWriter {
    cut: Cut,
    source: SourceStamp,
    /// The tiles so far; those of the current block begin at `block_tiles`.
    table: Table,
    block_tiles: usize,
    current: Option<BlockFileWriter>,
    block_files: Vec<u64>,
    file_bytes: u64,
    genes: GeneAccumulator,
    cells: CellWriter,
    /// Whether a tile packs its rows.
    packs_rows: bool,
    /// Of `sample.bin`, once it is written.
    sample: Option<FileStamp>,
    /// Last, so that its folder is removed after the files in it are closed.
    partial: Partial,
}

/// The current block file.
#[derive(Debug)]
struct BlockFileWriter {
    file: File,
    path: PathBuf,
    /// The start of the current block, and the position of its next tile.
    block: u64,
    end: u64,
}

impl StoreWriter {
    /// Begins a store for `dest`, in a folder beside it.
    ///
    /// # Errors
    ///
    /// - `dest` holds a store and `overwrite` is [`Overwrite::Refuse`], or holds something that is
    ///   not a store;
    /// - another process is writing the same store;
    /// - the numbers of `header` contradict each other;
    /// - the folder is not writable.
    pub fn create(dest: &Path, header: StoreHeader, overwrite: Overwrite) -> Result<Self, StorageError> {
        Self::begin(dest, header, overwrite, false)
    }

    /// As [`create`](Self::create), but goes on after the blocks that an unfinished conversion to `dest` has
    /// left: [`tiles_done`](Self::tiles_done) counts their tiles. Costs a read of them, and packing them once
    /// more.
    ///
    /// If this writer is dropped before [`finish`](Self::finish), its blocks stay for the next one.
    ///
    /// # Errors
    ///
    /// - as for [`create`](Self::create)
    pub fn go_on(
        dest: &Path,
        header: StoreHeader,
        overwrite: Overwrite,
        go_on: &GoOn<'_>,
    ) -> Result<Self, StorageError> {
        let mut writer = Self::begin(dest, header, overwrite, true)?;
        let (folder, cut) = (writer.partial.folder().to_path_buf(), writer.cut);
        let rows = Unfinished::common_rows(&folder, &cut, go_on);
        let mut left = Left::new(&folder, &cut, rows);
        let mut end = (0, 0);
        while let Some(found) = left.block(writer.table.blocks.len(), end) {
            if found.file > end.0 {
                writer.block_files.push(end.1);
            }
            left.tiles(&found, |tile| {
                writer.note_rows(&tile.bytes);
                writer.genes.add(&tile.moments.genes);
                writer.cells.add(&tile.moments.cells)
            })?;
            let nonzeros = found.tiles.iter().map(|tile| tile.nonzeros).sum();
            writer.table.tiles.extend(&found.tiles);
            let (file, offset, bytes) = (found.file as u32, found.offset, found.bytes);
            writer.table.blocks.push(BlockRecord { file, offset, bytes, nonzeros });
            writer.block_tiles = writer.table.tiles.len();
            end = (found.file, offset + bytes);
        }
        if writer.block_tiles > 0 {
            let file = left::continue_file(&folder, end.0, end.1)?;
            let path = folder.join(names::block_file(end.0));
            writer.current = Some(BlockFileWriter { file, path, block: end.1, end: end.1 });
        } else {
            left::remove_blocks(&folder)?;
        }
        Unfinished::new(&cut, &writer.source, go_on).write(&folder)?;
        Ok(writer)
    }

    /// The tiles that are written already.
    pub fn tiles_done(&self) -> usize {
        self.table.tiles.len()
    }

    /// Whether all values so far are integers up to 2²⁴.
    pub fn is_integer(&self) -> bool {
        self.genes.is_integer()
    }

    /// The rows of whole blocks, which a later writer may go on after.
    pub fn rows_kept(&self) -> usize {
        (self.table.blocks.len() * self.cut.block_rows).min(self.cut.cells)
    }

    fn begin(dest: &Path, header: StoreHeader, overwrite: Overwrite, keep: bool) -> Result<Self, StorageError> {
        let StoreHeader { cells, genes, layout, block_rows, tile_rows, source } = header;
        let cut = Cut { cells, genes, layout, block_rows, tile_rows };
        if let Some(problem) = cut.problem() {
            return Err(StorageError::Usage { message: format!("{}: a store cannot have {problem}", dest.display()) });
        }
        let partial = Partial::create(dest, overwrite, keep)?;
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
            packs_rows: false,
            sample: None,
            partial,
        })
    }

    /// The path for the annotations, an AnnData file without `X`, to be written before
    /// [`finish`](Self::finish). They are optional.
    pub fn annotations_path(&self) -> PathBuf {
        self.partial.folder().join(names::ANNOTATIONS)
    }

    /// Adds the next tile. Tiles come in row order. Each has the rows of a tile; the last may have
    /// fewer.
    ///
    /// # Errors
    ///
    /// When it cannot be written, for example because the disk is full.
    ///
    /// # Panics
    ///
    /// When the tile does not have the number of rows that comes next, or its moments have another.
    #[track_caller]
    pub fn push_tile(&mut self, tile: &EncodedTile) -> Result<(), StorageError> {
        let number = self.table.tiles.len();
        assert!(number < self.cut.tiles(), "a store of {} rows is full", self.cut.cells);
        assert_eq!(tile.rows, self.cut.tile_rows_of(number).len(), "rows of tile {number}");
        assert_eq!(tile.moments.cells.len(), tile.rows, "moments for each row of tile {number}");

        self.append(&tile.bytes, tile.nonzeros, crc32c::crc32c(&tile.bytes))?;
        self.genes.add(&tile.moments.genes);
        self.cells.add(&tile.moments.cells)
    }

    /// Adds the bytes, values above zero and checksum of the next tile to the block files and the
    /// table, but not to the sums.
    pub(super) fn append(&mut self, bytes: &[u8], nonzeros: u64, crc: u32) -> Result<(), StorageError> {
        if self.table.tiles.len() == self.block_tiles {
            self.begin_block()?;
        }
        self.note_rows(bytes);
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

    /// Notes how a tile has its rows, for the manifest.
    fn note_rows(&mut self, tile: &[u8]) {
        self.packs_rows |= self.cut.layout == Layout::Sparse && packs_rows(tile);
    }

    /// Adds the sums of the next cells, for tiles that were appended without them.
    pub(super) fn add_cells(&mut self, cells: &[CellMoments]) -> Result<(), StorageError> {
        self.cells.add(cells)
    }

    /// Opens a new block file if the current one is full, and leaves room for the head of the
    /// block.
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

    /// Writes the head of the block after its last tile.
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

    /// The size of the sample that the store should keep, all tiles being written; `None`: it should keep none.
    pub fn kept_caps(&self) -> Option<Caps> {
        sample::kept_caps(self.cut.layout, self.table.nonzeros())
    }

    /// Keeps a sample of the rows in the store, with at most `caps` rows and entries. Fits start from it.
    ///
    /// Costs a read of the tiles that its rows are in. Each of `threads` threads holds no more than to pack the fullest
    /// tile. The sample depends on neither. Reports rows to `monitor`.
    ///
    /// # Errors
    ///
    /// - a file cannot be written, or read again
    /// - `monitor` cancels
    ///
    /// # Panics
    ///
    /// When tiles are missing, or they are dense.
    #[track_caller]
    pub fn write_sample(&mut self, caps: Caps, threads: usize, monitor: &dyn Monitor) -> Result<(), StorageError> {
        assert_eq!(self.table.tiles.len(), self.cut.tiles(), "all tiles of the store");
        assert_eq!(self.cut.layout, Layout::Sparse, "a store that keeps a sample");
        self.cells.finish()?;
        let tiles = sample::Tiles { folder: self.partial.folder(), cut: &self.cut, table: &self.table };
        let (sample, packs_rows) = sample::write(&tiles, caps, threads, monitor)?;
        self.packs_rows |= packs_rows;
        self.sample = Some(sample);
        Ok(())
    }

    /// Limits block files to `bytes` bytes.
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

    /// Writes the remaining files, syncs all of them, and renames the store to its destination.
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
        let tables = std::mem::replace(&mut self.genes, GeneAccumulator::new(0)).finish();
        self.finish_with(&tables.moments, Some(&tables.per_million), &tables.totals)
    }

    /// As [`finish`](Self::finish), with known sums of the genes.
    #[track_caller]
    pub(super) fn finish_with(
        mut self,
        moments: &[GeneMoments],
        per_million: Option<&[PerMillion]>,
        totals: &Totals,
    ) -> Result<Store, StorageError> {
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
        let per_million = per_million.map(|sums| write(names::MILLION, &genes::million_to_bytes(sums))).transpose()?;
        let annotations = annotations_stamp(&folder.join(names::ANNOTATIONS))?;
        // An earlier run may have left them.
        let stale = [names::UNFINISHED].into_iter().chain(self.sample.is_none().then_some(names::SAMPLE));
        for path in stale.map(|name| folder.join(name)).filter(|path| path.exists()) {
            std::fs::remove_file(&path).map_err(|error| StorageError::io("remove", &path, error))?;
        }
        let optional = Optional { per_million, sample: self.sample, annotations };
        let files = [table, genes];
        Manifest::new(&self.cut, nonzeros, self.source, self.block_files, files, optional, self.packs_rows)
            .write(folder)?;
        Store::open(&self.partial.place()?)
    }
}

/// Syncs the annotations, if there are any, and returns their stamp.
fn annotations_stamp(path: &Path) -> Result<Option<FileStamp>, StorageError> {
    if !path.exists() {
        return Ok(None);
    }
    files::sync(&files::open(path)?, path)?;
    let (bytes, crc32c) = files::checksum(path)?;
    Ok(Some(FileStamp { bytes, crc32c }))
}
