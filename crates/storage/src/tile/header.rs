//! The header of a sparse tile and the places of its sections.

use std::ops::Range;

use super::error::TileError;
use super::row_code::RowCode;
use super::{TILE_PADDING, TILE_ROWS};

/// Bytes of the header.
pub(super) const HEADER: usize = 48;

/// The meaning of the codes in the value section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Values less one.
    Counts = 0,
    /// Places in the sorted distinct values of the row.
    Dictionary = 1,
    /// The values themselves, as `f32`.
    Raw = 2,
}

/// The header. The place of each section follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) mode: Mode,
    pub(super) row_code: RowCode,
    pub(super) rows: usize,
    pub(super) runs: usize,
    pub(super) nonzeros: usize,
    pub(super) row_bytes: usize,
    pub(super) patch_bytes: usize,
    pub(super) dictionary_bytes: usize,
    pub(super) value_bytes: usize,
}

/// The places of the sections in the bytes of a tile.
#[derive(Clone, Debug)]
pub(super) struct Sections {
    pub(super) genes: Range<usize>,
    pub(super) counts: Range<usize>,
    pub(super) widths: Range<usize>,
    pub(super) rows: Range<usize>,
    pub(super) patches: Range<usize>,
    pub(super) dictionary: Range<usize>,
    pub(super) values: Range<usize>,
    /// Length of the tile, padding included.
    pub(super) total: usize,
}

impl Header {
    /// The header as bytes.
    pub(super) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = self.mode as u8;
        bytes[1] = self.row_code as u8;
        bytes[2..4].copy_from_slice(&(self.rows as u16).to_le_bytes());
        bytes[4..8].copy_from_slice(&(self.runs as u32).to_le_bytes());
        let lengths = [self.nonzeros, self.row_bytes, self.patch_bytes, self.dictionary_bytes, self.value_bytes];
        for (slot, length) in bytes[8..].chunks_exact_mut(8).zip(lengths) {
            slot.copy_from_slice(&(length as u64).to_le_bytes());
        }
        bytes
    }

    /// Reads the header at the start of `tile`.
    pub(super) fn parse(tile: &[u8]) -> Result<Self, TileError> {
        let Some((bytes, _)) = tile.split_first_chunk::<HEADER>() else {
            return Err(mismatch("length of the tile", HEADER, tile.len() as u64));
        };
        let mode = match bytes[0] {
            0 => Mode::Counts,
            1 => Mode::Dictionary,
            2 => Mode::Raw,
            other => return Err(mismatch("value mode (at most)", 2, u64::from(other))),
        };
        let row_code = match bytes[1] {
            0 => RowCode::Plain,
            1 => RowCode::Packed,
            other => return Err(mismatch("code of the rows (at most)", 1, u64::from(other))),
        };
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let length = |what, at| {
            let found = word(at);
            usize::try_from(found).map_err(|_| mismatch(what, usize::MAX, found))
        };
        Ok(Self {
            mode,
            row_code,
            rows: usize::from(u16::from_le_bytes([bytes[2], bytes[3]])),
            runs: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize,
            nonzeros: length("nonzeros (at most)", 8)?,
            row_bytes: length("length of the row section (at most)", 16)?,
            patch_bytes: length("length of the patch section (at most)", 24)?,
            dictionary_bytes: length("length of the dictionary (at most)", 32)?,
            value_bytes: length("length of the value section (at most)", 40)?,
        })
    }

    /// The places of the sections in a tile of `genes` columns. Fails if the sum of all lengths
    /// overflows.
    pub(super) fn sections(&self, genes: usize) -> Result<Sections, TileError> {
        let mut at = HEADER;
        let mut next = |length: usize| {
            let start = at;
            at = at.checked_add(length).ok_or_else(|| mismatch("length of the tile", usize::MAX, length as u64))?;
            Ok(start..at)
        };
        let widths = if self.mode == Mode::Raw { 0 } else { self.runs.div_ceil(2) };
        Ok(Sections {
            genes: next(genes.div_ceil(64) * 8)?,
            counts: next(self.runs)?,
            widths: next(widths)?,
            rows: next(self.row_bytes)?,
            patches: next(self.patch_bytes)?,
            dictionary: next(self.dictionary_bytes)?,
            values: next(self.value_bytes)?,
            total: next(TILE_PADDING)?.end,
        })
    }

    /// Checks the header alone: rows within a tile, lengths that fit the mode.
    pub(super) fn check(&self) -> Result<(), TileError> {
        if self.rows > TILE_ROWS {
            return Err(mismatch("rows (at most)", TILE_ROWS, self.rows as u64));
        }
        if self.mode == Mode::Raw {
            if self.nonzeros.checked_mul(4) != Some(self.value_bytes) {
                return Err(mismatch("length of the values", self.nonzeros.wrapping_mul(4), self.value_bytes as u64));
            }
            if self.patch_bytes != 0 {
                return Err(mismatch("length of the patches", 0, self.patch_bytes as u64));
            }
        }
        if self.mode != Mode::Dictionary && self.dictionary_bytes != 0 {
            return Err(mismatch("length of the dictionary", 0, self.dictionary_bytes as u64));
        }
        Ok(())
    }
}

/// The error of `what`, which should be `expected` and is `found`.
pub(super) fn mismatch(what: &'static str, expected: usize, found: u64) -> TileError {
    TileError::Mismatch { what, expected: expected as u64, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_contradicts_its_mode_is_refused() {
        let counts = Header {
            mode: Mode::Counts,
            row_code: RowCode::Plain,
            rows: TILE_ROWS,
            runs: 2,
            nonzeros: 3,
            row_bytes: 3,
            patch_bytes: 5,
            dictionary_bytes: 0,
            value_bytes: 1,
        };
        let dictionary = Header { mode: Mode::Dictionary, dictionary_bytes: 9, ..counts };
        let raw = Header { mode: Mode::Raw, row_code: RowCode::Packed, patch_bytes: 0, value_bytes: 12, ..counts };
        for sound in [counts, dictionary, raw] {
            assert_eq!(sound.check(), Ok(()));
            assert_eq!(Header::parse(&sound.to_bytes()), Ok(sound));
            let high = Header { rows: TILE_ROWS + 1, ..sound };
            assert_eq!(high.check(), Err(mismatch("rows (at most)", TILE_ROWS, TILE_ROWS as u64 + 1)));
        }
        let refused = |header: Header, what, expected, found| {
            assert_eq!(header.check(), Err(mismatch(what, expected, found)));
        };
        let mut unknown = counts.to_bytes();
        unknown[1] = 2;
        assert_eq!(Header::parse(&unknown), Err(mismatch("code of the rows (at most)", 1, 2)));
        refused(Header { value_bytes: 11, ..raw }, "length of the values", 12, 11);
        refused(Header { patch_bytes: 1, ..raw }, "length of the patches", 0, 1);
        refused(Header { dictionary_bytes: 1, ..raw }, "length of the dictionary", 0, 1);
        refused(Header { dictionary_bytes: 1, ..counts }, "length of the dictionary", 0, 1);
    }
}
