//! Sorts the entries of a strip by cell, a window of tiles at a time.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::piece::{self, Scratch};
use super::room::{IN_WINDOW, Room};
use crate::source::{Entries, Form, RowChunk};
use crate::tile::TILE_ROWS;
use crate::{StorageError, traffic};

/// The entries of a strip that were put aside together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// Its place in the temporary file.
    pub(super) at: u64,
    /// Its length there.
    pub(super) bytes: usize,
    /// Its entries.
    pub(super) entries: usize,
}

/// The temporary file.
pub(super) struct Aside {
    pub(super) file: File,
    /// The folder of the file, for messages.
    pub(super) folder: PathBuf,
    /// The pieces of each strip, in the order in which their entries were read.
    pub(super) pieces: Vec<Vec<Piece>>,
}

/// The second phase of a transposition: rows.
pub(crate) struct Gather {
    aside: Aside,
    cells: usize,
    room: Room,
    /// Entries of each tile.
    counts: Vec<u64>,
    window: Window,
    unpacked: Entries,
    bytes: Vec<u8>,
    scratch: Scratch,
}

/// Consecutive rows in memory, in compressed form.
#[derive(Default)]
struct Window {
    rows: Range<usize>,
    indptr: Vec<usize>,
    genes: Vec<u32>,
    values: Vec<f32>,
}

impl Gather {
    pub(super) fn new(aside: Aside, cells: usize, room: Room, counts: Vec<u64>) -> Self {
        let (window, unpacked, scratch) = (Window::default(), Entries::default(), Scratch::default());
        Gather { aside, cells, room, counts, window, unpacked, bytes: Vec::new(), scratch }
    }

    /// The exact form, from the counts of the tiles.
    pub(super) fn form(&self) -> Form {
        let most = self.counts.iter().copied().max().unwrap_or(0);
        Form::Sparse { entries: self.counts.iter().sum(), most_per_tile: usize::try_from(most).unwrap_or(usize::MAX) }
    }

    /// Bytes for the largest window and the largest piece.
    pub(super) fn resident_bytes(&self) -> u64 {
        let fullest = self.counts.iter().copied().max().unwrap_or(0);
        let pieces = self.aside.pieces.iter().flatten();
        let piece = pieces.map(|piece| 24 * piece.entries as u64 + piece.bytes as u64).max().unwrap_or(0);
        let places = self.aside.pieces.iter().map(|list| (24 * list.capacity()) as u64).sum::<u64>();
        let window = IN_WINDOW.saturating_mul(fullest.max(self.room.window as u64).min(self.counts.iter().sum()));
        window + piece + places + 8 * self.counts.len() as u64
    }

    /// Reads rows that are inside the matrix.
    pub(crate) fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        let (indptr, genes, values) = chunk.sparse();
        indptr.push(0);
        let mut row = rows.start;
        while row < rows.end {
            if !self.window.rows.contains(&row) {
                self.load(row / TILE_ROWS)?;
            }
            let window = &self.window;
            let end = rows.end.min(window.rows.end);
            let pointers = &window.indptr[row - window.rows.start..=end - window.rows.start];
            let (first, last) = (pointers[0], pointers[pointers.len() - 1]);
            let before = values.len();
            indptr.extend(pointers[1..].iter().map(|&pointer| before + pointer - first));
            genes.extend_from_slice(&window.genes[first..last]);
            values.extend_from_slice(&window.values[first..last]);
            row = end;
        }
        Ok(())
    }

    /// The tiles of the window that begins with `tile`: as many of its strip as there is room for.
    fn window_from(&self, tile: usize) -> Range<usize> {
        let strip_end = (tile / self.room.strip_tiles + 1) * self.room.strip_tiles;
        let mut entries = self.counts[tile];
        let mut end = tile + 1;
        while end < strip_end.min(self.counts.len()) && entries + self.counts[end] <= self.room.window as u64 {
            entries += self.counts[end];
            end += 1;
        }
        tile..end
    }

    /// Reads the window that begins with `tile`.
    fn load(&mut self, tile: usize) -> Result<(), StorageError> {
        let tiles = self.window_from(tile);
        let rows = tiles.start * TILE_ROWS..self.cells.min(tiles.end * TILE_ROWS);
        let strip = tile / self.room.strip_tiles;
        let first = strip * self.room.strip_tiles * TILE_ROWS;
        // Cells count from the first of the strip.
        let inside = (rows.start - first) as u32..(rows.end - first) as u32;
        self.window.rows = 0..0;
        self.unpacked.clear();
        for piece in &self.aside.pieces[strip] {
            self.bytes.resize(piece.bytes, 0);
            let io = |e| StorageError::io("read", &self.aside.folder, e);
            self.aside.file.read_exact_at(&mut self.bytes, piece.at).map_err(io)?;
            traffic::ended();
            let before = self.unpacked.len();
            let unpacked = piece::unpack(&self.bytes, piece.entries, &mut self.unpacked, &mut self.scratch);
            unpacked.ok_or_else(|| io(std::io::Error::other("the temporary file has changed")))?;
            keep(&mut self.unpacked, before, &inside);
        }
        self.sort(rows, inside.start);
        Ok(())
    }

    /// Sorts the unpacked entries by cell. Those of one cell keep their order.
    fn sort(&mut self, rows: Range<usize>, first: u32) {
        let Window { rows: held, indptr, genes, values } = &mut self.window;
        let Entries { cells, genes: from_genes, values: from_values } = &mut self.unpacked;
        indptr.clear();
        indptr.resize(rows.len() + 1, 0);
        cells.iter().for_each(|&cell| indptr[(cell - first) as usize + 1] += 1);
        let height = rows.len();
        for row in 0..height {
            indptr[row + 1] += indptr[row];
        }
        *held = rows;
        if cells.is_sorted() {
            // The file is by cell.
            std::mem::swap(genes, from_genes);
            std::mem::swap(values, from_values);
            return;
        }
        genes.resize(cells.len(), 0);
        values.resize(cells.len(), 0.0);
        for ((&cell, &gene), &value) in cells.iter().zip(&*from_genes).zip(&*from_values) {
            let next = &mut indptr[(cell - first) as usize];
            (genes[*next], values[*next]) = (gene, value);
            *next += 1;
        }
        // Each pointer has moved to the end of its row, which is the beginning of the next one.
        indptr.copy_within(0..height, 1);
        indptr[0] = 0;
    }
}

/// Keeps those entries from `first` on whose cells are `inside`.
fn keep(entries: &mut Entries, first: usize, inside: &Range<u32>) {
    let Entries { cells, genes, values } = entries;
    if cells[first..].iter().all(|cell| inside.contains(cell)) {
        return;
    }
    let mut kept = first;
    for at in first..cells.len() {
        if inside.contains(&cells[at]) {
            (cells[kept], genes[kept], values[kept]) = (cells[at], genes[at], values[at]);
            kept += 1;
        }
    }
    cells.truncate(kept);
    genes.truncate(kept);
    values.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::super::scatter::Scatter;
    use super::*;

    /// Cells of all tests: the last tile has few, and the fifth none that have entries.
    const CELLS: usize = 5 * TILE_ROWS + 7;

    fn gather(entries: &[(u32, u32, f32)], room: Room) -> Gather {
        let folder = tempfile::tempdir().unwrap();
        let mut scatter = Scatter::create(folder.path(), CELLS, room, 2).unwrap();
        for some in entries.chunks(50) {
            let mut list = Entries::default();
            some.iter().for_each(|&(cell, gene, value)| list.push(cell, gene, value));
            scatter.push(&list).unwrap();
        }
        scatter.finish().unwrap()
    }

    /// Entries in an order without a pattern; some cells have none, some several of one gene.
    fn scattered() -> Vec<(u32, u32, f32)> {
        let of = |at: u32| (at.wrapping_mul(2_654_435_769) >> 8) % CELLS as u32;
        let entries = (0..6_000).map(|at| (of(at), at % 7, (at + 1) as f32));
        entries.filter(|&(cell, ..)| cell as usize / TILE_ROWS != 4 && cell % 5 != 0).collect()
    }

    #[test]
    fn rows_come_back_whatever_the_order_strips_pieces_and_windows() {
        let (scattered, mut by_cell, mut by_gene) = (scattered(), scattered(), scattered());
        by_cell.sort_by_key(|&(cell, ..)| cell);
        by_gene.sort_by_key(|&(cell, gene, _)| (gene, cell));
        [scattered, by_cell, by_gene].iter().for_each(|entries| rows_come_back(entries));
    }

    fn rows_come_back(entries: &[(u32, u32, f32)]) {
        let mut rows = vec![Vec::new(); CELLS];
        entries.iter().for_each(|&(cell, gene, value)| rows[cell as usize].push((gene, value)));
        let tiles: Vec<usize> = rows.chunks(TILE_ROWS).map(|tile| tile.iter().map(Vec::len).sum()).collect();
        for (collected, strip_tiles, window) in [
            (100, 1, 1),
            (700, 2, 1),
            (700, 2, 1_200),
            (1_000, 3, 2_000),
            (1_000, 3, 1 << 20),
            (1_500, 4, 1),
            (1 << 20, 6, 1 << 20),
        ] {
            for height in [1, 100, TILE_ROWS, 700, CELLS] {
                let mut gather = gather(entries, Room { collected, strip_tiles, window });
                let most_per_tile = *tiles.iter().max().unwrap();
                assert_eq!(gather.form(), Form::Sparse { entries: entries.len() as u64, most_per_tile });
                for first in (0..CELLS).step_by(height) {
                    let end = CELLS.min(first + height);
                    let mut chunk = RowChunk::default();
                    gather.read_rows(first..end, &mut chunk).unwrap();
                    let RowChunk::Sparse { indptr, indices, values } = chunk else { panic!("sparse rows") };
                    let place = format!("rows {first}..{end}, strips of {strip_tiles} tiles, windows of {window}");
                    assert_eq!(indptr.len(), end - first + 1, "{place}");
                    for (row, pair) in rows[first..end].iter().zip(indptr.windows(2)) {
                        let found = indices[pair[0]..pair[1]].iter().copied().zip(values[pair[0]..pair[1]].to_vec());
                        assert!(found.eq(row.iter().copied()), "{place}");
                    }
                    let held = gather.window.genes.len();
                    assert!(held <= window.max(most_per_tile), "{held} entries in a window: {place}");
                }
            }
        }
    }

    #[test]
    fn bytes_are_those_of_the_fullest_window_and_the_largest_piece() {
        // Three entries in the first tile and five in the second, which are one piece of each strip.
        let entries: Vec<_> = (0..8).map(|at| (if at < 3 { at } else { 300 }, at, 1.0)).collect();
        let counts = 8 * CELLS.div_ceil(TILE_ROWS) as u64;
        let bytes = |strip_tiles: usize, window: usize| {
            let gather = gather(&entries, Room { collected: 100, strip_tiles, window });
            let largest = gather.aside.pieces.iter().flatten().max_by_key(|piece| piece.entries).unwrap();
            let places: usize = gather.aside.pieces.iter().map(Vec::capacity).sum();
            (gather.resident_bytes() - counts - 24 * places as u64, largest.bytes as u64)
        };
        let (both, packed) = bytes(6, 100);
        assert_eq!(both, 8 * IN_WINDOW + 8 * 24 + packed, "no window has more than all entries");
        let (both, packed) = bytes(6, 6);
        assert_eq!(both, 6 * IN_WINDOW + 8 * 24 + packed, "a window of six");
        let (both, packed) = bytes(1, 2);
        assert_eq!(both, 5 * IN_WINDOW + 5 * 24 + packed, "a tile that is more than a window");
    }
}
