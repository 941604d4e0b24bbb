//! Sparse matrices of compressed rows (CSR) or columns (CSC): `data`, `indices`, `indptr`.

use std::ops::Range;

use super::list::{Fault, List};
use super::places::Places;
use crate::source::{Entries, RowChunk};
use crate::tile::TILE_ROWS;
use crate::{Axis, StorageError};

/// Pointers held at a time.
const WINDOW: usize = 1 << 14;

/// A matrix whose rows are cells or, by genes, genes.
pub(super) struct Compressed {
    places: Places,
    pub(super) values: List,
    indices: List,
    pointers: Pointers,
    by: Axis,
    columns: usize,
    /// The most entries of a tile.
    pub(super) most_per_tile: usize,
    /// The next entry to be read in order, and its row.
    next: (u64, usize),
    scratch: Vec<i128>,
}

impl Compressed {
    /// Checks the lengths of the lists and reads all row pointers once.
    pub(super) fn open(
        places: Places,
        [values, indices, pointers]: [List; 3],
        by: Axis,
        (cells, genes): (usize, usize),
    ) -> Result<Compressed, StorageError> {
        let (rows, columns) = if by == Axis::Cells { (cells, genes) } else { (genes, cells) };
        if indices.len() != values.len() {
            let problem = format!("has {} entries, but data has {}", indices.len(), values.len());
            return Err(indices.member.invalid(problem));
        }
        if pointers.len() != rows as u64 + 1 {
            let problem = format!("has {} entries, expected {} for {rows} {by}", pointers.len(), rows as u64 + 1);
            return Err(pointers.member.invalid(problem));
        }
        let mut pointers = Pointers { list: pointers, window: Vec::new(), first: 0 };
        let most_per_tile = pointers.check(rows, values.len())?;
        let next = (0, 0);
        Ok(Compressed { places, values, indices, pointers, by, columns, most_per_tile, next, scratch: Vec::new() })
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        let lists = [&self.values, &self.indices, &self.pointers.list];
        lists.map(List::resident_bytes).iter().sum::<u64>() + 4 * (WINDOW * size_of::<i128>()) as u64
    }

    pub(super) fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        let (indptr, columns, values) = chunk.sparse();
        let pointers = self.pointers.of(rows.clone())?;
        let first = pointers[0];
        indptr.extend(pointers.iter().map(|&pointer| (pointer - first) as usize));
        let count = indptr[rows.len()];
        let row_of = |at: usize| rows.start + indptr.partition_point(|&p| p <= at) - 1;
        columns.resize(count, 0);
        values.resize(count, 0.0);
        self.read_span(first, columns, values, row_of)
    }

    /// Reads the next entries in order.
    pub(super) fn read_entries(&mut self, most: usize, entries: &mut Entries) -> Result<(), StorageError> {
        // After an error, reading begins again.
        let (first, mut row) = std::mem::take(&mut self.next);
        entries.clear();
        let count = usize::try_from(self.values.len() - first).unwrap_or(usize::MAX).min(most);
        if count == 0 {
            return Ok(());
        }
        let Entries { cells: columns, genes: rows, values } = entries;
        while rows.len() < count {
            let end = self.pointers.of(row..row + 1)?[1];
            let here = usize::try_from(end.saturating_sub(first)).unwrap_or(usize::MAX).min(count);
            rows.resize(here.max(rows.len()), row as u32);
            if here < count {
                row += 1;
            }
        }
        columns.resize(count, 0);
        values.resize(count, 0.0);
        let row_of = |at: usize| rows[at] as usize;
        self.read_span(first, columns, values, row_of)?;
        self.next = (first + count as u64, row);
        Ok(())
    }

    /// Reads consecutive entries from `first` on.
    fn read_span(
        &mut self,
        first: u64,
        columns: &mut [u32],
        values: &mut [f32],
        row_of: impl Fn(usize) -> usize,
    ) -> Result<(), StorageError> {
        let place = |at: usize, column: i128| match self.by {
            Axis::Cells => (row_of(at) as i128, column),
            Axis::Genes => (column, row_of(at) as i128),
        };
        for (piece, out) in columns.chunks_mut(WINDOW).enumerate() {
            let before = piece * WINDOW;
            self.scratch.clear();
            self.indices.read_integers(first + before as u64, out.len(), &mut self.scratch)?;
            for (at, (&column, slot)) in self.scratch.iter().zip(out).enumerate() {
                if !(0..self.columns as i128).contains(&column) {
                    return Err(self.places.outside(place(before + at, column)));
                }
                *slot = column as u32;
            }
        }
        self.values.read(first, values).map_err(|fault| match fault {
            Fault::Archive(error) => error,
            Fault::Value { at, value } => self.places.value(place(at, i128::from(columns[at])), value),
        })
    }
}

/// The list `indptr`, through a window that moves forwards.
struct Pointers {
    list: List,
    window: Vec<u64>,
    first: usize,
}

impl Pointers {
    /// Checks that pointers begin with 0, never fall, and end with `entries`. Returns the most
    /// entries of a tile.
    fn check(&mut self, rows: usize, entries: u64) -> Result<usize, StorageError> {
        let (mut before, mut tile_start, mut most) = (0, 0, 0);
        let mut numbers = Vec::new();
        for first in (0..=rows).step_by(WINDOW) {
            numbers.clear();
            self.list.read_integers(first as u64, WINDOW.min(rows + 1 - first), &mut numbers)?;
            for (at, &pointer) in numbers.iter().enumerate() {
                let row = first + at;
                if row == 0 && pointer != 0 {
                    return Err(self.list.member.invalid(format!("begins with {pointer}, expected 0")));
                }
                if pointer < before {
                    let problem = format!("falls from {before} to {pointer} at row {}", row.saturating_sub(1));
                    return Err(self.list.member.invalid(problem));
                }
                before = pointer;
                if row.is_multiple_of(TILE_ROWS) || row == rows {
                    most = most.max(pointer - tile_start);
                    tile_start = pointer;
                }
            }
        }
        if before != i128::from(entries) {
            let problem = format!("ends with {before}, but {entries} entries are stored");
            return Err(self.list.member.invalid(problem));
        }
        Ok(most as usize)
    }

    /// The pointers of `rows`: one more than rows.
    fn of(&mut self, rows: Range<usize>) -> Result<&[u64], StorageError> {
        let end = rows.end + 1;
        if rows.start < self.first || rows.start > self.first + self.window.len() {
            self.window.clear();
            self.first = rows.start;
        }
        if end > self.first + self.window.len() {
            // The last pointer of a window is the first of the next rows.
            self.window.drain(..rows.start - self.first);
            self.first = rows.start;
            let next = self.first + self.window.len();
            let count = (end - next).max(WINDOW).min(self.list.len() as usize - next);
            let mut numbers = Vec::new();
            self.list.read_integers(next as u64, count, &mut numbers)?;
            self.window.extend(numbers.iter().map(|&pointer| pointer as u64));
        }
        let start = rows.start - self.first;
        Ok(&self.window[start..=start + rows.len()])
    }
}
