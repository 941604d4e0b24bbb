//! Collects entries by strip, and puts them aside in a temporary file.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::gather::{Aside, Gather, Piece};
use super::piece::Packer;
use super::room::Room;
use crate::source::Entries;
use crate::tile::TILE_ROWS;
use crate::{StorageError, traffic};

/// The most entries of a piece: what a thread packs of them stays in its cache.
const MOST_IN_PIECE: usize = 1 << 16;

/// The first phase of a transposition.
pub(super) struct Scatter {
    file: File,
    folder: PathBuf,
    /// Bytes in the file.
    end: AtomicU64,
    cells: usize,
    room: Room,
    threads: usize,
    /// The entries of each strip that are in memory. Cells count from the first of the strip.
    strips: Vec<Entries>,
    held: usize,
    /// The pieces of each strip in the file, in the order of the file that is read.
    pieces: Vec<Vec<Piece>>,
    /// Entries of each tile.
    counts: Vec<u64>,
}

impl Scatter {
    /// Begins without entries, for `cells` cells. The temporary file is in `folder`.
    pub(super) fn create(folder: &Path, cells: usize, room: Room, threads: usize) -> Result<Self, StorageError> {
        let file = tempfile::tempfile_in(folder).map_err(|e| StorageError::io("write", folder, e))?;
        let tiles = cells.div_ceil(TILE_ROWS);
        let strips = tiles.div_ceil(room.strip_tiles);
        Ok(Scatter {
            file,
            folder: folder.into(),
            end: AtomicU64::new(0),
            cells,
            room,
            threads: threads.max(1),
            strips: vec![Entries::default(); strips],
            held: 0,
            pieces: vec![Vec::new(); strips],
            counts: vec![0; tiles],
        })
    }

    /// Adds entries, whose cells are inside the matrix.
    pub(super) fn push(&mut self, entries: &Entries) -> Result<(), StorageError> {
        if self.held > 0 && self.held + entries.len() > self.room.collected {
            self.put_aside()?;
        }
        let Entries { cells, genes, values } = entries;
        // Entries of one tile mostly follow each other, by cell as well as by gene.
        let mut first = 0;
        while let Some(&cell) = cells.get(first) {
            let tile = cell as usize / TILE_ROWS;
            let len = cells[first..].iter().take_while(|&&cell| cell as usize / TILE_ROWS == tile).count();
            let run = first..first + len;
            let strip = tile / self.room.strip_tiles;
            let before = (strip * self.room.strip_tiles * TILE_ROWS) as u32;
            let of = &mut self.strips[strip];
            of.cells.extend(cells[run.clone()].iter().map(|cell| cell - before));
            of.genes.extend_from_slice(&genes[run.clone()]);
            of.values.extend_from_slice(&values[run.clone()]);
            self.counts[tile] += len as u64;
            first = run.end;
        }
        self.held += entries.len();
        Ok(())
    }

    /// Packs the entries in memory and appends them to the file.
    fn put_aside(&mut self) -> Result<(), StorageError> {
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
        let (file, end, strips) = (&self.file, &self.end, &self.strips);
        // In a file by cell, few strips have all entries, and several threads pack one of them.
        let parts = strips.iter().enumerate().flat_map(|(strip, entries)| {
            let all = entries.len();
            (0..all).step_by(MOST_IN_PIECE).map(move |first| (strip, first..all.min(first + MOST_IN_PIECE)))
        });
        let parts: Vec<(usize, Range<usize>)> = parts.collect();
        let written: Vec<Mutex<Option<Piece>>> = parts.iter().map(|_| Mutex::new(None)).collect();
        let work = || {
            let mut packer = Packer::default();
            loop {
                let part = next.fetch_add(1, Ordering::Relaxed);
                let Some((strip, places)) = parts.get(part) else { return };
                let bytes = packer.pack(&strips[*strip], places.clone());
                let at = end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                if let Err(error) = file.write_all_at(bytes, at) {
                    *failed.lock().unwrap_or_else(|e| e.into_inner()) = Some(error);
                    return;
                }
                traffic::ended();
                *written[part].lock().unwrap_or_else(|e| e.into_inner()) =
                    Some(Piece { at, bytes: bytes.len(), entries: places.len() });
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.min(parts.len()) {
                // Fewer threads do the same work.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        if let Some(error) = failed.into_inner().unwrap_or_else(|e| e.into_inner()) {
            return Err(StorageError::io("write", &self.folder, error));
        }
        for ((strip, _), piece) in parts.iter().zip(written) {
            self.pieces[*strip].extend(piece.into_inner().unwrap_or_else(|e| e.into_inner()));
        }
        // Their memory too: in a file by cell, other strips need it next.
        self.strips.iter_mut().for_each(|strip| *strip = Entries::default());
        self.held = 0;
        Ok(())
    }

    /// Ends the phase.
    pub(super) fn finish(mut self) -> Result<Gather, StorageError> {
        self.put_aside()?;
        let Scatter { file, folder, cells, room, pieces, counts, .. } = self;
        Ok(Gather::new(Aside { file, folder, pieces }, cells, room, counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_stays_within_its_share_in_any_order_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room { collected: 1 << 12, strip_tiles: 1, window: 1 << 12 };
        let cells = 40 * TILE_ROWS;
        for by_cell in [true, false] {
            let mut scatter = Scatter::create(folder.path(), cells, room, 1).unwrap();
            let mut entries = Entries::default();
            for at in 0..100 * cells {
                entries.push((if by_cell { at / 100 } else { at % cells }) as u32, 0, 1.0);
                if entries.len() == 256 {
                    scatter.push(&entries).unwrap();
                    entries.clear();
                    let held: usize = scatter.strips.iter().map(|strip| strip.values.capacity()).sum();
                    assert!(held <= 2 * room.collected, "room for {held} entries, by cell {by_cell}");
                }
            }
        }
    }
}
