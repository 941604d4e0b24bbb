//! Chooses the width of the codes of a run.
//!
//! Half a byte is an index into [`WIDTHS`]. The width of a run is the one with which its codes,
//! together with the patch for those that do not fit, take the fewest bits; the narrower one if two
//! are equal.

use super::{TILE_ROWS, patch};

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
        debug_assert!(codes.len() <= TILE_ROWS, "a run has at most one code for each row");
        let widest = bits(codes.iter().fold(0, |all, code| all | code));
        // longer[b] = codes that need more than b bits
        let mut longer = if widest < SMALL { small_lengths(codes) } else { lengths(codes) };
        let mut above = 0;
        for slot in longer[..=widest].iter_mut().rev() {
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
    (code << 1 | 1).ilog2() as usize
}

/// How many codes need how many bits.
fn lengths(codes: &[u32]) -> [usize; MAX_BITS + 1] {
    let mut counts = [0; MAX_BITS + 1];
    codes.iter().for_each(|&code| counts[bits(code)] += 1);
    counts
}

/// Codes of fewer bits are counted by [`small_lengths`].
const SMALL: usize = 8;
/// Bits of a count there: a run has 256 codes at most.
const COUNT: usize = 9;
/// One in the count for the bits of a code that has some.
const ONE: [u64; 1 << (SMALL - 1)] = {
    let (mut ones, mut code) = ([0; 1 << (SMALL - 1)], 1);
    while code < ones.len() {
        ones[code] = 1 << (COUNT * code.ilog2() as usize);
        code += 1;
    }
    ones
};

/// As [`lengths`], for codes of less than [`SMALL`] bits. All counts are in one register: counts in memory
/// wait for one another where the same is counted again and again, as it is here.
fn small_lengths(codes: &[u32]) -> [usize; MAX_BITS + 1] {
    let all = codes.iter().fold(0, |all, &code| all + ONE[code as usize % ONE.len()]);
    let mut counts = [0; MAX_BITS + 1];
    for (bits, count) in counts[1..SMALL].iter_mut().enumerate() {
        *count = (all >> (COUNT * bits)) as usize % (1 << COUNT);
    }
    counts[0] = codes.len() - counts[1..SMALL].iter().sum::<usize>();
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_codes_are_counted_alike_in_a_register() {
        let runs = (1..=TILE_ROWS).map(|len| (0..len as u32).map(|at| (at * at % 128) >> (len % 8)).collect());
        for run in runs.chain([vec![127; TILE_ROWS], vec![0; TILE_ROWS]]) {
            let run: Vec<u32> = run;
            assert_eq!(small_lengths(&run), lengths(&run), "{run:?}");
        }
        assert_eq!([0, 1, 2, 3, 4, 127, 128, (1 << 24) - 1].map(bits), [0, 1, 2, 2, 3, 7, 8, 24]);
    }

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
