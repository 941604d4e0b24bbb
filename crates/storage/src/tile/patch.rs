//! The patch of a run: codes that do not fit its width.
//!
//! | bytes                 | hold                                                                                  |
//! |-----------------------|---------------------------------------------------------------------------------------|
//! | 1                     | low half: width index of the run; high half: bytes of a high part, less one (0, 1, 2) |
//! | 1                     | outliers, less one                                                                    |
//! | outliers              | their places in the run, ascending                                                    |
//! | outliers × high bytes | their high parts, little-endian: the code shifted right by the width                  |
//!
//! The low bits of an outlier stay in the value section like those of any other code.

use super::error::TileError;
use super::width::{RunWidth, WIDTHS};

/// Bytes of a patch.
pub(super) fn size(outliers: usize, high_bytes: usize) -> usize {
    2 + outliers * (1 + high_bytes)
}

/// Appends the patch of a run that has outliers.
pub(super) fn write(out: &mut Vec<u8>, codes: &[u32], width: RunWidth) {
    let bits = width.bits();
    out.push(width.index | ((width.high_bytes as u8 - 1) << 4));
    out.push((width.outliers - 1) as u8);
    let (places, highs) = (out.len(), out.len() + width.outliers);
    out.resize(highs + width.outliers * width.high_bytes, 0);
    let mut outlier = 0;
    for (place, &code) in codes.iter().enumerate() {
        if code >> bits != 0 {
            let high = highs + outlier * width.high_bytes;
            out[places + outlier] = place as u8;
            out[high..high + width.high_bytes].copy_from_slice(&(code >> bits).to_le_bytes()[..width.high_bytes]);
            outlier += 1;
        }
    }
}

/// The patch of one run, as read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patch<'a> {
    /// Index into [`WIDTHS`].
    pub(super) width_index: usize,
    /// Bytes of a high part.
    high_bytes: usize,
    /// Places of the outliers in the run.
    places: &'a [u8],
    /// High parts, `high_bytes` each.
    highs: &'a [u8],
}

impl<'a> Patch<'a> {
    /// Reads the patch at the start of `bytes`. Returns it with its length.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<(Self, usize), TileError> {
        let short = TileError::Mismatch { what: "patch section", expected: 2, found: bytes.len() as u64 };
        let (&[head, count], rest) = bytes.split_first_chunk::<2>().ok_or(short)?;
        let (width_index, high_bytes, outliers) =
            (usize::from(head & 15), usize::from(head >> 4) + 1, usize::from(count) + 1);
        if width_index >= WIDTHS.len() {
            return Err(TileError::Mismatch {
                what: "width of a patched run",
                expected: 14,
                found: width_index as u64,
            });
        }
        if high_bytes > 3 {
            return Err(TileError::Mismatch { what: "high bytes of a patch", expected: 3, found: high_bytes as u64 });
        }
        let size = size(outliers, high_bytes);
        if size > bytes.len() {
            return Err(TileError::Mismatch {
                what: "patch section",
                expected: size as u64,
                found: bytes.len() as u64,
            });
        }
        let (places, rest) = rest.split_at(outliers);
        Ok((Self { width_index, high_bytes, places, highs: &rest[..outliers * high_bytes] }, size))
    }

    /// The outliers: the place in the run, and the part of the code above its low bits, shifted
    /// into place.
    pub(super) fn outliers(self) -> impl Iterator<Item = (usize, u32)> + 'a {
        let shift = WIDTHS[self.width_index];
        self.places.iter().zip(self.highs.chunks_exact(self.high_bytes)).map(move |(&place, high)| {
            let high = high.iter().rev().fold(0u32, |sum, &byte| (sum << 8) | u32::from(byte));
            (usize::from(place), high.wrapping_shl(u32::from(shift)))
        })
    }
}
