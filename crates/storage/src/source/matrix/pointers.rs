//! Reads row pointers through a window, so that a hundred million rows need no more memory than a
//! thousand.

use std::ops::Range;

use super::numbers::{Numbers, len};
use super::{DAMAGED, Place};
use crate::StorageError;
use crate::codec::DENSEST;
use crate::number::{Number, Scalar, with_scalar};

/// Pointers held at a time.
const WINDOW: usize = 1 << 16;

/// Height of the row groups whose entries are counted.
const TILE_ROWS: usize = crate::tile::TILE_ROWS;

/// The list `indptr`.
pub(super) struct RowPointers {
    numbers: Box<dyn Numbers>,
    place: Place,
    len: usize,
    /// Pointers from `first` on.
    window: Vec<u64>,
    first: usize,
}

impl RowPointers {
    pub(super) fn of_list(numbers: Box<dyn Numbers>, place: Place) -> Result<RowPointers, StorageError> {
        let (shape, scalar, len) = (numbers.shape(), numbers.scalar(), len(&*numbers));
        if matches!(scalar, Scalar::F32 | Scalar::F64) || shape.len() != 1 || len == 0 {
            let problem = format!("has shape {shape:?}, expected a list of integers");
            return Err(place.invalid("indptr", problem, DAMAGED));
        }
        // Chunks that are not in the file read as zeros, so a length costs nothing to claim.
        let (bytes, stored) = ((len as u64).saturating_mul(scalar.size() as u64), numbers.stored_bytes());
        if bytes > (stored + 1).saturating_mul(DENSEST) {
            let problem = format!("claims {len} entries, but has {stored} bytes in the file");
            return Err(place.invalid("indptr", problem, DAMAGED));
        }
        Ok(RowPointers { numbers, place, len, window: Vec::new(), first: 0 })
    }

    /// The number of rows.
    pub(super) fn rows(&self) -> usize {
        self.len - 1
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        self.numbers.resident_bytes().saturating_add((WINDOW * 16) as u64)
    }

    /// Reads all pointers once and checks that they begin with 0, never fall, and end with
    /// `entries`.
    ///
    /// Returns the most entries of a group of [`TILE_ROWS`] rows.
    pub(super) fn check(&mut self, entries: u64) -> Result<usize, StorageError> {
        let mut before = 0;
        let mut tile_start = 0;
        let mut most = 0;
        let mut at = 0;
        while at < self.len {
            let count = WINDOW.min(self.len - at);
            self.load(at, count)?;
            if at == 0 && self.window[0] != 0 {
                let problem = format!("begins with {}, expected 0", self.window[0]);
                return Err(self.place.invalid("indptr", problem, DAMAGED));
            }
            for (i, &pointer) in self.window.iter().enumerate() {
                let row = at + i;
                // Negative pointers were read as huge numbers.
                if (pointer as i64) < before as i64 {
                    return Err(self.falls(row, before, pointer as i64, entries));
                }
                before = pointer;
                if row % TILE_ROWS == 0 || row + 1 == self.len {
                    most = most.max(pointer - tile_start);
                    tile_start = pointer;
                }
            }
            at += count;
        }
        if before != entries {
            let problem = format!("ends with {before}, but {entries} entries are stored");
            return Err(self.place.invalid("indptr", problem, DAMAGED));
        }
        usize::try_from(most).map_err(|_| self.place.invalid("indptr", format!("has a row of {most} entries"), DAMAGED))
    }

    /// The pointers of `rows`: one more than rows.
    pub(super) fn of(&mut self, rows: Range<usize>) -> Result<&[u64], StorageError> {
        let count = rows.len() + 1;
        let held = self.first..self.first + self.window.len();
        if rows.start < held.start || rows.start + count > held.end {
            self.load(rows.start, count.max(WINDOW).min(self.len - rows.start))?;
        }
        let start = rows.start - self.first;
        Ok(&self.window[start..start + count])
    }

    fn load(&mut self, first: usize, count: usize) -> Result<(), StorageError> {
        let mut window = std::mem::take(&mut self.window);
        window.clear();
        let read = with_scalar!(self.numbers.scalar(), T => {
            let mut pointers: Vec<T> = vec![T::default(); count];
            let read = self.numbers.read(&[first], &[count], bytemuck::cast_slice_mut(&mut pointers));
            // Negative pointers become huge. `check` finds them before anything else is read.
            window.extend(pointers.iter().map(|&p| p.whole() as u64));
            read
        });
        self.window = window;
        self.first = first;
        read
    }

    fn falls(&self, row: usize, before: u64, pointer: i64, entries: u64) -> StorageError {
        let narrow = self.numbers.scalar().size() == 4;
        let problem = format!("falls from {before} to {pointer} at row {}", row.saturating_sub(1));
        if narrow && (pointer < 0 || entries > i32::MAX as u64) {
            let wrapped = format!("{problem}: it wrapped at 2^31, 32 bits are too few for {entries} entries");
            return self.place.invalid("indptr", wrapped, "save the file again with a newer anndata and scipy");
        }
        self.place.invalid("indptr", problem, DAMAGED)
    }
}
