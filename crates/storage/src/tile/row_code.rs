//! How the rows of a run are written.
//!
//! A short run lists its rows, a byte each, and a long one has a map of the 256 rows of a tile. In
//! between both take more than they need: 32 bytes for 32 rows, which 17 bytes would tell from any
//! other 32. Tiles of shallow cells write the rows of such runs in the code of Elias and Fano.
//! A row's low bits are written as they are, and its high part is a place in a bitmap.
//!
//! In a run of n rows with l low bits, the high parts hᵢ = rowᵢ >> l ascend, so that hᵢ + i ascends
//! strictly. The bitmap has a one at each hᵢ + i; it has n + 2^(8 − l) − 1 bits. Then follow the low
//! bits of each row, bit after bit. l is such that the run takes the fewest bytes.
//!
//! P. Elias, *Efficient storage and retrieval by content and address of static files*, Journal of
//! the ACM 21 (1974), 246–260. R. M. Fano, *On the number of bits required to implement an
//! associative memory*, Computation Structures Group Memo 61, MIT (1971).

use super::simd::Simd;
use super::{LISTED_ROWS, TILE_ROWS};

/// Bytes of a map of all rows of a tile.
const MAP: usize = TILE_ROWS / 8;

/// The shortest and the longest run whose rows are packed, where they are.
const FIRST_PACKED: usize = 9;
const LAST_PACKED: usize = 61;

/// Rows are packed in tiles whose runs have fewer nonzeros than this on average, in a tile of
/// [`TILE_ROWS`] rows. Tiles with longer runs take a byte a nonzero as they are. Packed, they would be
/// a tenth smaller, and take 8 % (AVX-512) to 55 % (AVX2) longer to decode.
const SHORT: usize = 12;

/// The code of the rows of a tile's runs: the second byte of the tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowCode {
    /// Up to [`LISTED_ROWS`] rows are listed, more have a map.
    Plain = 0,
    /// Runs from [`FIRST_PACKED`] to [`LAST_PACKED`] are packed.
    Packed = 1,
}

/// How one run has its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowForm {
    /// A byte each.
    List,
    /// Packed with so many low bits.
    Packed(u32),
    /// A bit for each row of a tile.
    Map,
}

/// A run of one less than the index has so many bytes of rows.
pub(super) type RowBytes = [u8; TILE_ROWS];

const PLAIN: RowBytes = row_bytes(RowCode::Plain);
const PACKED: RowBytes = row_bytes(RowCode::Packed);

const fn row_bytes(code: RowCode) -> RowBytes {
    let mut bytes = [0; TILE_ROWS];
    let mut count = 1;
    while count <= TILE_ROWS {
        bytes[count - 1] = match code.form(count) {
            RowForm::List => count as u8,
            RowForm::Packed(low) => (high_bits(count, low) + count * low as usize).div_ceil(8) as u8,
            RowForm::Map => MAP as u8,
        };
        count += 1;
    }
    bytes
}

impl RowCode {
    /// The code of a tile with so many rows, runs and nonzeros. Rows are in proportion, so that the last
    /// tile of a store, which is lower, has the code of the others.
    pub(super) fn choose(rows: usize, runs: usize, nonzeros: usize) -> Self {
        if nonzeros * TILE_ROWS < SHORT * runs * rows { Self::Packed } else { Self::Plain }
    }

    /// How a run of `count` nonzeros has its rows.
    #[inline(always)]
    pub(super) const fn form(self, count: usize) -> RowForm {
        match self {
            RowCode::Plain if count <= LISTED_ROWS => RowForm::List,
            RowCode::Packed if count < FIRST_PACKED => RowForm::List,
            RowCode::Packed if count <= LAST_PACKED => RowForm::Packed(low_bits(count)),
            _ => RowForm::Map,
        }
    }

    /// Bytes of the rows of a run, by its nonzeros less one.
    pub(super) fn bytes(self) -> &'static RowBytes {
        match self {
            RowCode::Plain => &PLAIN,
            RowCode::Packed => &PACKED,
        }
    }
}

/// Whether a sparse tile packs the rows of its runs. Readers of format 1.2 cannot read it then.
pub(crate) fn packs_rows(tile: &[u8]) -> bool {
    tile.get(1) == Some(&(RowCode::Packed as u8))
}

/// The low bits of each row of a run of `count` that is packed.
#[inline(always)]
const fn low_bits(count: usize) -> u32 {
    match count {
        0..=16 => 4,
        17..=32 => 3,
        _ => 2,
    }
}

/// Bits of the bitmap of the high parts: at most 63 with three or four low bits, 124 with two.
#[inline(always)]
pub(super) const fn high_bits(count: usize, low: u32) -> usize {
    count + (TILE_ROWS >> low) - 1
}

/// Appends the rows of a run, which ascend.
pub(super) fn write(out: &mut Vec<u8>, code: RowCode, rows: &[u8]) {
    match code.form(rows.len()) {
        RowForm::List => out.extend_from_slice(rows),
        RowForm::Packed(low) => pack(out, rows, low),
        RowForm::Map => out.extend_from_slice(&map(rows)),
    }
}

/// Writes the rows of a run of `count`, in the code of their tile, to `out`. Returns false if they
/// have a bitmap with another number of ones.
///
/// # Safety
///
/// - `source` points to the bytes of the run's rows, which 64 readable bytes follow;
/// - `out` has room for `count` + 64 rows;
/// - the CPU has the instructions of `simd`.
#[inline(always)]
pub(super) unsafe fn read<S: Simd>(simd: S, code: RowCode, source: *const u8, count: usize, out: *mut u8) -> bool {
    // SAFETY: a list may be copied with the bytes that follow it; the rest is the caller's.
    unsafe {
        match code.form(count) {
            RowForm::List => std::ptr::copy_nonoverlapping(source, out, LISTED_ROWS),
            RowForm::Packed(low) => return simd.unpack_rows(source, count, low, out),
            RowForm::Map => return simd.spell_out(source, count, out),
        }
    }
    true
}

fn pack(out: &mut Vec<u8>, rows: &[u8], low: u32) {
    let (mut highs, mut lows) = (0u128, 0u128);
    for (i, &row) in rows.iter().enumerate() {
        highs |= 1 << (usize::from(row >> low) + i);
        lows |= u128::from(row & ((1 << low) - 1)) << (i * low as usize);
    }
    let first = high_bits(rows.len(), low);
    let bytes = usize::from(PACKED[rows.len() - 1]);
    let (start, shift) = (first / 8, first % 8);
    // Both fit 128 bits, and the low bits need a byte more where they do not begin with one.
    let mut packed = [0; MAP + 8];
    packed[..16].copy_from_slice(&highs.to_le_bytes());
    packed[start..start + 16].copy_from_slice(&((lows << shift) | (highs >> (8 * start))).to_le_bytes());
    if shift > 0 {
        packed[start + 16] = (lows >> (128 - shift)) as u8;
    }
    out.extend_from_slice(&packed[..bytes]);
}

/// A bit for each row of `rows`, which ascend. Gathers a word in a register before it is written: bits in
/// memory would wait for one another.
fn map(rows: &[u8]) -> [u8; MAP] {
    let mut words = [0u64; TILE_ROWS / 64];
    let (mut at, mut word) = (0, 0);
    for &row in rows {
        let of_row = usize::from(row / 64);
        if of_row != at {
            words[at] = word;
            (at, word) = (of_row, 0);
        }
        word |= 1 << (row % 64);
    }
    words[at] = word;
    bytemuck::cast(words.map(u64::to_le))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_the_code_that_takes_the_fewest_bytes() {
        for count in 1..=TILE_ROWS {
            let packed = |low: u32| (high_bits(count, low) + count * low as usize).div_ceil(8);
            let best = (0..8).map(packed).min().unwrap().min(count).min(MAP);
            let bytes = usize::from(PACKED[count - 1]);
            assert!(bytes <= best + usize::from(count == 8), "{count} rows take {bytes} bytes, not {best}");
            assert_eq!(usize::from(PLAIN[count - 1]), if count <= 32 { count } else { 32 });
        }
    }
}
