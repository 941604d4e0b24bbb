//! The obvious loops, one code and one row at a time.

use super::{COUNTS, Codes, Simd};
use crate::tile::row_code::high_bits;
use crate::tile::width::WIDTHS;

#[derive(Clone, Copy, Debug)]
pub(super) struct Plain;

impl Simd for Plain {
    #[inline(always)]
    unsafe fn unpack<const MODE: u8>(self, codes: Codes, out: *mut f32) {
        let width = usize::from(WIDTHS[codes.index]);
        let mask = (1u32 << width) - 1;
        for place in 0..codes.count {
            let bit = codes.bit + place * width;
            // SAFETY: the bit lies in the section (or, for width 0, at most at its end), which 64
            // readable bytes follow; `out` has room for `count` values.
            unsafe {
                let word = codes.tile.add(bit / 8).cast::<u32>().read_unaligned();
                let code = word.to_le() >> (bit % 8) & mask;
                *out.add(place) = if MODE == COUNTS { (code + 1) as f32 } else { f32::from_bits(code) };
            }
        }
    }

    #[inline(always)]
    unsafe fn spell_out(self, map: *const u8, count: usize, rows: *mut u8) -> bool {
        // SAFETY: the caller gives 32 readable bytes.
        let words: [u64; 4] = unsafe { map.cast::<[u64; 4]>().read_unaligned() };
        if words.iter().map(|word| word.count_ones() as usize).sum::<usize>() != count {
            return false;
        }
        let mut filled = 0;
        for (place, &word) in words.iter().enumerate() {
            let mut rest = word;
            while rest != 0 {
                // SAFETY: the map has `count` ones, for which `rows` has room.
                unsafe { *rows.add(filled) = (64 * place) as u8 + rest.trailing_zeros() as u8 };
                filled += 1;
                rest &= rest - 1;
            }
        }
        true
    }

    #[inline(always)]
    unsafe fn unpack_rows(self, packed: *const u8, count: usize, low: u32, rows: *mut u8) -> bool {
        let bits = high_bits(count, low);
        // SAFETY: the caller gives 16 readable bytes.
        let highs = u128::from_le(unsafe { packed.cast::<u128>().read_unaligned() }) & ((1 << bits) - 1);
        if highs.count_ones() as usize != count {
            return false;
        }
        let mut rest = highs;
        for i in 0..count {
            let high = rest.trailing_zeros() - i as u32;
            let bit = bits + i * low as usize;
            // SAFETY: the bit is one of the run's, which 64 readable bytes follow; `rows` has room
            // for `count`.
            unsafe {
                let word = u16::from_le(packed.add(bit / 8).cast::<u16>().read_unaligned());
                let lows = word >> (bit % 8) & ((1 << low) - 1);
                *rows.add(i) = (high << low) as u8 | lows as u8;
            }
            rest &= rest - 1;
        }
        true
    }
}
