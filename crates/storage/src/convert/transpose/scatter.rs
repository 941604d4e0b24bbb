//! Collects entries by strip, and puts them aside in a temporary file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::gather::{Aside, Gather, Piece};
use super::piece;
use super::room::Room;
use crate::source::Entries;
use crate::tile::TILE_ROWS;
use crate::{StorageError, traffic};

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
        let height = self.room.strip_tiles * TILE_ROWS;
        let Entries { cells, genes, values } = entries;
        // The cells of a strip, so that most entries need no division.
        let (mut strip, mut rows) = (0, 0..0);
        for ((&cell, &gene), &value) in cells.iter().zip(genes).zip(values) {
            let at = cell as usize;
            if !rows.contains(&at) {
                strip = at / height;
                rows = strip * height..(strip + 1) * height;
            }
            self.strips[strip].push((at - rows.start) as u32, gene, value);
            self.counts[at / TILE_ROWS] += 1;
        }
        self.held += entries.len();
        Ok(())
    }

    /// Packs the entries in memory and appends them to the file.
    fn put_aside(&mut self) -> Result<(), StorageError> {
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
        let (file, end, strips) = (&self.file, &self.end, &self.strips);
        let written: Vec<Mutex<Option<Piece>>> = strips.iter().map(|_| Mutex::new(None)).collect();
        let work = || {
            let (mut bytes, mut plane) = (Vec::new(), Vec::new());
            loop {
                let strip = next.fetch_add(1, Ordering::Relaxed);
                let Some(entries) = strips.get(strip) else { return };
                if entries.is_empty() {
                    continue;
                }
                bytes.clear();
                piece::pack(entries, &mut bytes, &mut plane);
                let at = end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                if let Err(error) = file.write_all_at(&bytes, at) {
                    *failed.lock().unwrap_or_else(|e| e.into_inner()) = Some(error);
                    return;
                }
                traffic::ended();
                *written[strip].lock().unwrap_or_else(|e| e.into_inner()) =
                    Some(Piece { at, bytes: bytes.len(), entries: entries.len() });
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.min(strips.len()) {
                // Fewer threads do the same work.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        if let Some(error) = failed.into_inner().unwrap_or_else(|e| e.into_inner()) {
            return Err(StorageError::io("write", &self.folder, error));
        }
        for (strip, piece) in written.into_iter().enumerate() {
            self.pieces[strip].extend(piece.into_inner().unwrap_or_else(|e| e.into_inner()));
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
