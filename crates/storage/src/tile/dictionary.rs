//! The distinct values of each row.
//!
//! Row-scaled counts have few distinct values a row, and a value's place among them is nearly its
//! count. The section holds for each row the number of its distinct values (`u16`), then the values
//! of all rows as `f32`, each row's ascending (by their bits, which for values above zero is the
//! same).

use super::TILE_ROWS;
use super::encode::CsrRows;
use super::error::TileError;
use super::header::mismatch;

/// The most distinct values of a row with which the mode is used.
const MAX_DISTINCT: usize = u16::MAX as usize;

/// Rows after which the builder checks whether a dictionary can pay.
const TRIAL_ROWS: usize = 16;

/// Builds the dictionary of a tile.
#[derive(Debug, Default)]
pub(super) struct Builder {
    /// The bits of all rows' distinct values.
    distinct: Vec<u32>,
    /// Row i has `distinct[ends[i - 1]..ends[i]]`.
    ends: Vec<usize>,
}

impl Builder {
    /// Collects the distinct values of all rows. Returns false if so many are distinct that plain
    /// floats are smaller.
    pub(super) fn collect(&mut self, rows: CsrRows<'_>) -> bool {
        self.distinct.clear();
        self.ends.clear();
        for row in 0..rows.len() {
            let start = self.distinct.len();
            self.distinct.extend(rows.values[rows.entries(row)].iter().map(|value| value.to_bits()));
            self.distinct[start..].sort_unstable();
            let mut kept = start;
            for at in start..self.distinct.len() {
                if kept == start || self.distinct[at] != self.distinct[kept - 1] {
                    self.distinct[kept] = self.distinct[at];
                    kept += 1;
                }
            }
            self.distinct.truncate(kept);
            self.ends.push(kept);
            let seen = rows.indptr[row + 1] - rows.indptr[0];
            // A code takes at least a few bits, so a dictionary of 7/8 of the values never pays.
            let hopeless = row + 1 == TRIAL_ROWS && kept >= seen / 8 * 7;
            if kept - start > MAX_DISTINCT || hopeless {
                return false;
            }
        }
        true
    }

    /// The place of a value, given by its bits, in its row.
    pub(super) fn code(&self, row: u8, bits: u32) -> u32 {
        let row = usize::from(row);
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        self.distinct[start..self.ends[row]].partition_point(|&other| other < bits) as u32
    }

    /// Bytes of the section.
    pub(super) fn bytes(&self) -> usize {
        2 * self.ends.len() + 4 * self.distinct.len()
    }

    /// Appends the section.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut start = 0;
        for &end in &self.ends {
            out.extend_from_slice(&((end - start) as u16).to_le_bytes());
            start = end;
        }
        out.extend(self.distinct.iter().flat_map(|value| value.to_le_bytes()));
    }
}

/// A dictionary ready for lookups.
#[derive(Clone, Debug)]
pub(super) struct Lookup<'a> {
    /// The start and the number of the values of each row.
    rows: [(u32, u32); TILE_ROWS],
    /// `f32` each, with at least one more after the last one.
    values: &'a [u8],
}

/// Checks that `section`, the dictionary of a tile of `rows` rows, has the length that its counts
/// require.
pub(super) fn check(section: &[u8], rows: usize) -> Result<(), TileError> {
    let distinct: usize = section.get(..2 * rows).map_or(0, |head| lengths(head).sum());
    let expected = 2 * rows + 4 * distinct;
    if section.len() == expected {
        Ok(())
    } else {
        Err(mismatch("length of the dictionary", expected, section.len() as u64))
    }
}

/// Distinct values of each row.
fn lengths(head: &[u8]) -> impl Iterator<Item = usize> + '_ {
    head.chunks_exact(2).map(|length| usize::from(u16::from_le_bytes([length[0], length[1]])))
}

impl<'a> Lookup<'a> {
    /// Prepares the dictionary of a tile of `rows` rows. `section` has been checked and includes at
    /// least four bytes after its end.
    pub(super) fn new(section: &'a [u8], rows: usize) -> Self {
        let (head, values) = section.split_at(2 * rows);
        // Missing rows have no values.
        let mut lookup = Self { rows: [(0, 0); TILE_ROWS], values };
        let mut start = 0;
        for (slot, length) in lookup.rows.iter_mut().zip(lengths(head)) {
            *slot = (start, length as u32);
            start += length as u32;
        }
        lookup
    }

    /// Replaces `values`, which are codes as the bits of floats, by the values of their `rows`.
    /// Returns false, with `values` undefined, if a code exceeds the values of its row.
    #[inline(always)]
    pub(super) fn replace(&self, rows: &[u8], values: &mut [f32]) -> bool {
        let mut good = true;
        for (&row, value) in rows.iter().zip(values) {
            let (start, length) = self.rows[usize::from(row)];
            let code = value.to_bits();
            // A code that is too large reads the next row's first value, or the bytes after the
            // section: no branch in the loop.
            good &= code < length;
            let at = 4 * (start + code.min(length)) as usize;
            let bytes = self.values[at..at + 4].try_into().expect("four bytes");
            *value = f32::from_le_bytes(bytes);
        }
        good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_beyond_the_values_of_their_row_are_refused() {
        // Rows of two values, none and one, and the bytes that follow every section.
        let mut bytes: Vec<u8> = [2u16, 0, 1].iter().flat_map(|length| length.to_le_bytes()).collect();
        bytes.extend([0.5f32, 1.5, 2.5, 9.0].iter().flat_map(|value| value.to_le_bytes()));
        let end = bytes.len() - 4;
        assert!(check(&bytes[..end], 3).is_ok());
        assert!(check(&bytes[..end - 1], 3).is_err() && check(&bytes, 3).is_err());

        let lookup = Lookup::new(&bytes, 3);
        let replaced = |rows: &[u8], codes: &[u32]| {
            let mut values: Vec<f32> = codes.iter().copied().map(f32::from_bits).collect();
            lookup.replace(rows, &mut values).then_some(values)
        };
        assert_eq!(replaced(&[0, 2, 0, 0], &[0, 0, 1, 0]), Some(vec![0.5, 2.5, 1.5, 0.5]));
        for (row, code) in [(0, 2), (0, 3), (1, 0), (2, 1), (3, 0), (255, 0), (0, u32::MAX)] {
            assert_eq!(replaced(&[row], &[code]), None, "code {code} of row {row}");
            assert_eq!(replaced(&[0, row, 0], &[0, code, 0]), None, "code {code} of row {row} among others");
        }
    }
}
