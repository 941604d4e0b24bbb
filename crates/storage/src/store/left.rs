//! What a conversion of several files left when it did not finish, and how a later one goes on after it.
//!
//! The folder of an unfinished store keeps a description of the store that it was to become. Blocks are
//! checked by themselves: their heads repeat the table. A block is taken over if its head is that of the
//! new store, its tiles have their checksums, and its rows come from files that have not changed. The sums
//! of cells and genes come from its tiles, packed once more, which also shows that they are the tiles that a
//! conversion writes.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::block::{self, TileRecord};
use super::cut::{Cut, Layout};
use super::files;
use super::names;
use super::stamp::SourceStamp;
use super::writer::EncodedTile;
use crate::error::StorageError;
use crate::sealed;
use crate::tile::{DenseTile, Rows, SparseTile, TileEncoder, encode_dense};

/// How a conversion may go on after an unfinished one.
pub struct GoOn<'a> {
    /// Identifies the genes and their order.
    pub genes: u32,
    /// The leading rows that a source with this stamp has in common with the new one.
    pub common_rows: &'a dyn Fn(&SourceStamp) -> usize,
}

/// The description of an unfinished store.
#[derive(Serialize, Deserialize)]
pub(super) struct Unfinished {
    layout: Layout,
    genes: u32,
    source: SourceStamp,
}

impl Unfinished {
    pub(super) fn new(cut: &Cut, source: &SourceStamp, go_on: &GoOn<'_>) -> Self {
        Unfinished { layout: cut.layout, genes: go_on.genes, source: source.clone() }
    }

    /// Writes it into the folder of the unfinished store.
    pub(super) fn write(&self, folder: &Path) -> Result<(), StorageError> {
        files::create(&folder.join(names::UNFINISHED), &sealed::to_bytes(self))
    }

    /// The leading rows of the unfinished store in `folder` that a new one has as well.
    pub(super) fn common_rows(folder: &Path, cut: &Cut, go_on: &GoOn<'_>) -> usize {
        let path = folder.join(names::UNFINISHED);
        let Some(left) = fs::read(&path)
            .ok()
            .filter(|content| sealed::check(content, &path).is_ok())
            .and_then(|content| serde_json::from_slice::<Unfinished>(&content).ok())
        else {
            return 0;
        };
        let same = left.layout == cut.layout && left.genes == go_on.genes;
        if same { (go_on.common_rows)(&left.source).min(cut.cells) } else { 0 }
    }
}

/// Blocks of an unfinished store, in their order.
pub(super) struct Left<'a> {
    pub(super) folder: &'a Path,
    pub(super) cut: &'a Cut,
    /// Rows that may be taken over.
    pub(super) rows: usize,
    rebuild: Rebuild,
}

/// A block that may be taken over.
pub(super) struct LeftBlock {
    /// The number of its file, and its place there.
    pub(super) file: usize,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) tiles: Vec<TileRecord>,
    /// The number of its first tile in the store.
    first_tile: usize,
}

/// Packs tiles once more. Keeps its buffers.
#[derive(Default)]
struct Rebuild {
    rows: Rows,
    encoder: TileEncoder,
}

impl<'a> Left<'a> {
    pub(super) fn new(folder: &'a Path, cut: &'a Cut, rows: usize) -> Self {
        Left { folder, cut, rows, rebuild: Rebuild::default() }
    }

    /// Block `number`, if it is at `offset` of file `file`, or else at the start of the next file; `None`
    /// if it is not there whole, or of other rows.
    pub(super) fn block(&mut self, number: usize, (file, offset): (usize, u64)) -> Option<LeftBlock> {
        if number >= self.cut.blocks() || self.cut.block_rows_of(number).end > self.rows {
            return None;
        }
        self.block_at(number, file, offset)
            .or_else(|| if offset > 0 { self.block_at(number, file + 1, 0) } else { None })
    }

    fn block_at(&mut self, number: usize, file: usize, offset: u64) -> Option<LeftBlock> {
        let path = self.folder.join(names::block_file(file));
        let open = File::open(&path).ok()?;
        let place = self.cut.block_tiles(number);
        let mut head = vec![0; block::first_tile(place.len()) as usize];
        files::read_at(&open, &path, offset, &mut head).ok()?;
        let directory = &head[block::HEADER..block::HEADER + place.len() * TileRecord::BYTES];
        let tiles: Vec<TileRecord> = directory.chunks_exact(TileRecord::BYTES).map(TileRecord::read).collect();
        let bytes = block::size(&tiles)?;
        if offset.checked_add(bytes)? > open.metadata().ok()?.len() || head != block::head(self.cut, number, &tiles) {
            return None;
        }
        let block = LeftBlock { file, offset, bytes, tiles, first_tile: place.start };
        let mut sound = true;
        self.read(&block, |packed, _, record| {
            sound &= crc32c::crc32c(&packed) == record.crc;
            Ok(())
        })
        .ok()?;
        sound.then_some(block)
    }

    /// Calls `each` with the bytes, the number and the record of each tile of `block`.
    fn read(
        &self,
        block: &LeftBlock,
        mut each: impl FnMut(Vec<u8>, usize, &TileRecord) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let path = self.folder.join(names::block_file(block.file));
        let file = files::open(&path)?;
        let mut at = block.offset + block::first_tile(block.tiles.len());
        for (tile, record) in (block.first_tile..).zip(&block.tiles) {
            let mut packed = vec![0; record.bytes as usize];
            files::read_at(&file, &path, at, &mut packed)?;
            each(packed, tile, record)?;
            at += record.padded().expect("less than the size of the block");
        }
        Ok(())
    }

    /// Calls `each` with the tiles of `block` and their sums.
    ///
    /// # Errors
    ///
    /// - a tile cannot be read, or is none that a conversion writes
    pub(super) fn tiles(
        &mut self,
        block: &LeftBlock,
        mut each: impl FnMut(EncodedTile) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut rebuild = std::mem::take(&mut self.rebuild);
        self.read(block, |packed, tile, record| {
            let rows = self.cut.tile_rows_of(tile).len();
            let rebuilt = rebuild.tile(packed, rows, self.cut, record.nonzeros);
            each(rebuilt.ok_or_else(|| {
                StorageError::damaged(self.folder, format!("tile {tile}"), "one that a conversion writes", "another")
            })?)
        })
    }
}

impl Rebuild {
    /// The tile with its sums, if packing it again gives the same bytes.
    fn tile(&mut self, packed: Vec<u8>, rows: usize, cut: &Cut, nonzeros: u64) -> Option<EncodedTile> {
        let mut again = Vec::new();
        let moments = match cut.layout {
            Layout::Sparse => {
                let tile = SparseTile::parse(&packed, rows, cut.genes, nonzeros).ok()?;
                self.encoder.encode(self.rows.of(&tile).ok()?, cut.genes, &mut again)
            }
            Layout::Dense => {
                let mut aligned = aligned_vec::AVec::<u8, aligned_vec::ConstAlign<64>>::with_capacity(64, packed.len());
                aligned.extend_from_slice(&packed);
                let tile = DenseTile::parse(&aligned, rows, cut.genes).ok()?;
                encode_dense(tile.values, cut.genes, &mut again)
            }
        };
        (again == packed).then_some(EncodedTile { bytes: packed, rows, nonzeros, moments })
    }
}

/// Opens the block file that the last block was taken from, to go on behind it: everything after `end` is
/// removed, and so are later files.
pub(super) fn continue_file(folder: &Path, number: usize, end: u64) -> Result<File, StorageError> {
    let path = folder.join(names::block_file(number));
    let file = OpenOptions::new().read(true).write(true).open(&path).map_err(|e| StorageError::io("open", &path, e))?;
    file.set_len(end).map_err(|e| StorageError::io("write", &path, e))?;
    remove_from(folder, number + 1)?;
    Ok(file)
}

/// Removes all block files.
pub(super) fn remove_blocks(folder: &Path) -> Result<(), StorageError> {
    remove_from(folder, 0)
}

fn remove_from(folder: &Path, first: usize) -> Result<(), StorageError> {
    for number in first.. {
        let path = folder.join(names::block_file(number));
        if !path.exists() {
            break;
        }
        fs::remove_file(&path).map_err(|e| StorageError::io("remove", &path, e))?;
    }
    Ok(())
}
