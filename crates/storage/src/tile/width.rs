//! Chooses the width of the codes of a run.
//!
//! Half a byte is an index into [`WIDTHS`]. The width of a run is the one with which its codes,
//! together with the patch for those that do not fit, take the fewest bits; the narrower one if two
//! are equal.

use super::patch;

/// The widths in bits. Index [`PATCHED`] is not a width: it marks a run that has a patch.
pub(super) const WIDTHS: [u8; 15] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24];

/// The width index of a run whose width and outliers are in the patch section.
pub(super) const PATCHED: u8 = 15;

/// Codes have at most this many bits.
pub(super) const MAX_BITS: usize = 24;

/// The width of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunWidth {
    /// Index into [`WIDTHS`].
    pub(super) index: u8,
    /// Codes that need more bits.
    pub(super) outliers: usize,
    /// Bytes that the high part of the widest code takes; 0 without outliers.
    pub(super) high_bytes: usize,
}

impl RunWidth {
    /// The best width for `codes`, all below 2²⁴.
    pub(super) fn choose(codes: &[u32]) -> Self {
        // longer[b] = codes that need more than b bits
        let mut longer = [0usize; MAX_BITS + 1];
        for &code in codes {
            longer[bits(code)] += 1;
        }
        let widest = longer.iter().rposition(|&count| count > 0).unwrap_or(0);
        let mut above = 0;
        for slot in longer.iter_mut().rev() {
            above += std::mem::replace(slot, above);
        }
        let mut best = (usize::MAX, Self { index: 0, outliers: 0, high_bytes: 0 });
        for (index, &width) in WIDTHS.iter().enumerate() {
            let width = usize::from(width);
            let outliers = longer[width];
            let high_bytes = widest.saturating_sub(width).div_ceil(8);
            let patch = if outliers == 0 { 0 } else { patch::size(outliers, high_bytes) };
            let cost = codes.len() * width + 8 * patch;
            if cost < best.0 {
                best = (cost, Self { index: index as u8, outliers, high_bytes });
            }
            if width >= widest {
                break;
            }
        }
        best.1
    }

    /// Bits of a code in the value section.
    pub(super) fn bits(self) -> usize {
        usize::from(WIDTHS[usize::from(self.index)])
    }
}

/// The bits that `code` needs; 0 for 0.
fn bits(code: u32) -> usize {
    32 - code.leading_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_need_no_bits() {
        assert_eq!(RunWidth::choose(&[0; 40]), RunWidth { index: 0, outliers: 0, high_bytes: 0 });
    }

    #[test]
    fn one_large_code_among_many_small_ones_is_an_outlier() {
        let mut codes = [1u32; 200];
        codes[77] = 70_000;
        assert_eq!(RunWidth::choose(&codes), RunWidth { index: 1, outliers: 1, high_bytes: 2 });
    }

    #[test]
    fn a_single_large_code_is_stored_at_its_width() {
        assert_eq!(RunWidth::choose(&[255]).bits(), 8);
        assert_eq!(RunWidth::choose(&[256]).bits(), 10);
        assert_eq!(RunWidth::choose(&[(1 << 24) - 1]).bits(), 24);
    }
}
