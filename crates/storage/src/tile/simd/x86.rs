//! AVX2 and AVX-512.
//!
//! **Unpack, AVX2.** Eight codes of w ≤ 16 bits take w bytes. From one group of eight to the next
//! the position moves by whole bytes, and the shift inside the first byte stays constant through
//! the run. Lane i of the eight needs the bits from `shift + i·w` on. They are in the four bytes
//! from `i·w / 8` on, because 7 + 7 + 16 bits are at most 32. A byte shuffle (its pattern comes
//! from a table by width) brings these four bytes into the lane; a shift by `i·w % 8 + shift` and a
//! mask extract the code. A shuffle stays inside 16 bytes, so lanes 4–7 load from `4·w / 8` on, and
//! their shifts are larger by `4·w % 8`. That takes seven instructions for eight values, the same
//! for every width, without a branch. (`pdep` needs a special case for w = 8, cannot go beyond that
//! width, and is microcode on some CPUs.)
//!
//! **Unpack, AVX-512.** The same with sixteen codes, which take 2·w bytes. `vpermb` shuffles across
//! the whole vector, so one load serves all lanes.
//!
//! **Spell out, AVX-512.** `vpcompressb` of 0, 1, …, 63 under a word of the map, four times.
//! Without it, a table gives for each byte of the map the places of its ones, eight bytes at a
//! time.
//!
//! **Unpack rows, AVX-512.** `vpcompressb` gives the places of the ones of the bitmap, and the
//! high parts are these less 0, 1, 2, …. `vpermb` brings to each eight bytes those with eight low
//! parts, and `vpmultishiftqb` picks the eight. Without them, a table gives the high parts for each
//! byte of the bitmap, and three shifts spread eight low parts over eight bytes. (`pdep` would be
//! one instruction, and is microcode on some CPUs.)

use std::arch::x86_64::{
    __m128i, __m256i, _mm_cvtsi32_si128, _mm_loadu_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_castps_si256,
    _mm256_cvtepi32_ps, _mm256_load_si256, _mm256_set_m128i, _mm256_set1_epi32, _mm256_shuffle_epi8, _mm256_srlv_epi32,
    _mm256_storeu_si256, _mm512_add_epi8, _mm512_add_epi32, _mm512_and_si512, _mm512_castps_si512, _mm512_cvtepi32_ps,
    _mm512_loadu_si512, _mm512_mask_expand_epi8, _mm512_maskz_compress_epi8, _mm512_multishift_epi64_epi8,
    _mm512_or_si512, _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_sll_epi16, _mm512_srlv_epi32,
    _mm512_storeu_si512, _mm512_sub_epi8,
};

use super::plain::Plain;
use super::{COUNTS, Codes, Simd};
use crate::tile::batch::RunBatch;
use crate::tile::decode::RunDecoder;
use crate::tile::error::TileError;
use crate::tile::row_code::high_bits;
use crate::tile::width::WIDTHS;

/// Whether this CPU has the instructions of [`Avx2`].
pub(super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt")
}

/// Whether this CPU has the instructions of [`Avx512`].
pub(super) fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vbmi2")
}

/// [`RunDecoder::fill`] compiled for AVX2.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
pub(super) unsafe fn fill_avx2<const MODE: u8>(
    runs: &mut RunDecoder<'_>,
    batch: &mut RunBatch,
) -> Result<(), TileError> {
    // SAFETY: this function runs only on CPUs with these instructions.
    unsafe { runs.fill::<_, MODE>(Avx2, batch) }
}

/// [`RunDecoder::fill`] compiled for AVX-512.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
pub(super) unsafe fn fill_avx512<const MODE: u8>(
    runs: &mut RunDecoder<'_>,
    batch: &mut RunBatch,
) -> Result<(), TileError> {
    // SAFETY: this function runs only on CPUs with these instructions.
    unsafe { runs.fill::<_, MODE>(Avx512, batch) }
}

/// [`RunDecoder::fill_sheet`] compiled for AVX2.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
pub(super) unsafe fn fill_sheet_avx2<const MODE: u8>(
    runs: &mut RunDecoder<'_>,
    batch: &mut RunBatch,
) -> Result<(), TileError> {
    // SAFETY: this function runs only on CPUs with these instructions; the rest is the caller's.
    unsafe { runs.fill_sheet::<_, MODE>(Avx2, batch) }
}

/// [`RunDecoder::fill_sheet`] compiled for AVX-512.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
pub(super) unsafe fn fill_sheet_avx512<const MODE: u8>(
    runs: &mut RunDecoder<'_>,
    batch: &mut RunBatch,
) -> Result<(), TileError> {
    // SAFETY: this function runs only on CPUs with these instructions; the rest is the caller's.
    unsafe { runs.fill_sheet::<_, MODE>(Avx512, batch) }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2;

impl Simd for Avx2 {
    #[inline(always)]
    unsafe fn unpack<const MODE: u8>(self, codes: Codes, out: *mut f32) {
        // SAFETY: the contract is the same.
        unsafe { unpack::<MODE>(codes, out) }
    }

    #[inline(always)]
    unsafe fn spell_out(self, map: *const u8, count: usize, rows: *mut u8) -> bool {
        // SAFETY: the contract is the same.
        unsafe { spell_out_by_bytes(map, count, rows) }
    }

    #[inline(always)]
    unsafe fn unpack_rows(self, packed: *const u8, count: usize, low: u32, rows: *mut u8) -> bool {
        // SAFETY: the contract is the same.
        unsafe {
            match low {
                2 => unpack_rows_by_bytes::<2>(packed, count, rows),
                3 => unpack_rows_by_bytes::<3>(packed, count, rows),
                _ => unpack_rows_by_bytes::<4>(packed, count, rows),
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512;

impl Simd for Avx512 {
    #[inline(always)]
    unsafe fn unpack<const MODE: u8>(self, codes: Codes, out: *mut f32) {
        // SAFETY: the contract is the same.
        unsafe { unpack_sixteen::<MODE>(codes, out) }
    }

    #[inline(always)]
    unsafe fn spell_out(self, map: *const u8, count: usize, rows: *mut u8) -> bool {
        // SAFETY: the contract is the same.
        unsafe { spell_out_by_words(map, count, rows) }
    }

    #[inline(always)]
    unsafe fn unpack_rows(self, packed: *const u8, count: usize, low: u32, rows: *mut u8) -> bool {
        // SAFETY: the contract is the same.
        unsafe { unpack_rows_at_once(packed, count, low, rows) }
    }
}

/// The places of the codes of lanes 0–7; see the top of the file.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Lanes {
    shuffle: [u8; 32],
    shift: [u32; 8],
    mask: u32,
    /// Bytes from lanes 0–3 to lanes 4–7, and from one eight to the next.
    half: u32,
    step: u32,
}

/// Widths up to this index (16 bits) are unpacked by lanes.
const LAST_BY_LANES: usize = 12;

static LANES: [Lanes; LAST_BY_LANES + 1] = {
    let mut table = [Lanes { shuffle: [0; 32], shift: [0; 8], mask: 0, half: 0, step: 0 }; LAST_BY_LANES + 1];
    let mut index = 0;
    while index <= LAST_BY_LANES {
        let width = WIDTHS[index] as usize;
        let entry = &mut table[index];
        let mut lane = 0;
        while lane < 8 {
            let bit = lane % 4 * width + if lane < 4 { 0 } else { 4 * width % 8 };
            let mut byte = 0;
            while byte < 4 {
                let from = bit / 8 + byte;
                // Beyond the sixteenth byte no code has a bit; 0x80 makes it zero.
                entry.shuffle[lane * 4 + byte] = if from < 16 { from as u8 } else { 0x80 };
                byte += 1;
            }
            entry.shift[lane] = (bit % 8) as u32;
            lane += 1;
        }
        entry.mask = (1 << width) - 1;
        entry.half = (4 * width / 8) as u32;
        entry.step = width as u32;
        index += 1;
    }
    table
};

/// # Safety
///
/// As for [`Simd::unpack`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn unpack<const MODE: u8>(codes: Codes, out: *mut f32) {
    if codes.index > LAST_BY_LANES {
        // SAFETY: the contract is the same.
        return unsafe { Plain.unpack::<MODE>(codes, out) };
    }
    let lanes = &LANES[codes.index];
    // SAFETY: the arrays are 32 bytes each and aligned to that.
    let (shuffle, shift) = unsafe {
        (
            _mm256_load_si256(lanes.shuffle.as_ptr().cast::<__m256i>()),
            _mm256_load_si256(lanes.shift.as_ptr().cast::<__m256i>()),
        )
    };
    let shift = _mm256_add_epi32(shift, _mm256_set1_epi32((codes.bit % 8) as i32));
    let mask = _mm256_set1_epi32(lanes.mask as i32);
    let (half, step) = (lanes.half as usize, lanes.step as usize);
    let mut place = 0;
    // SAFETY: each group of eight starts at a code of the section; its loads end within 8 + 16
    // bytes of that, inside the 64 readable bytes after the section. Stores end at most 7 values
    // beyond the last one.
    unsafe {
        let mut source = codes.tile.add(codes.bit / 8);
        loop {
            let low = _mm_loadu_si128(source.cast::<__m128i>());
            let high = _mm_loadu_si128(source.add(half).cast::<__m128i>());
            let bytes = _mm256_shuffle_epi8(_mm256_set_m128i(high, low), shuffle);
            let codes_here = _mm256_and_si256(_mm256_srlv_epi32(bytes, shift), mask);
            let result = if MODE == COUNTS {
                _mm256_castps_si256(_mm256_cvtepi32_ps(_mm256_add_epi32(codes_here, _mm256_set1_epi32(1))))
            } else {
                codes_here
            };
            _mm256_storeu_si256(out.add(place).cast::<__m256i>(), result);
            place += 8;
            if place >= codes.count {
                break;
            }
            source = source.add(step);
        }
    }
}

/// The places of the codes of lanes 0–15.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Sixteen {
    shuffle: [u8; 64],
    shift: [u32; 16],
    mask: u32,
}

static SIXTEEN: [Sixteen; LAST_BY_LANES + 1] = {
    let mut table = [Sixteen { shuffle: [0; 64], shift: [0; 16], mask: 0 }; LAST_BY_LANES + 1];
    let mut index = 0;
    while index <= LAST_BY_LANES {
        let width = WIDTHS[index] as usize;
        let entry = &mut table[index];
        let mut lane = 0;
        while lane < 16 {
            let bit = lane * width;
            let mut byte = 0;
            while byte < 4 {
                // At most 15 · 16 / 8 + 3.
                entry.shuffle[lane * 4 + byte] = (bit / 8 + byte) as u8;
                byte += 1;
            }
            entry.shift[lane] = (bit % 8) as u32;
            lane += 1;
        }
        entry.mask = (1 << width) - 1;
        index += 1;
    }
    table
};

/// # Safety
///
/// As for [`Simd::unpack`].
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vbmi")]
unsafe fn unpack_sixteen<const MODE: u8>(codes: Codes, out: *mut f32) {
    if codes.index > LAST_BY_LANES {
        // SAFETY: the contract is the same.
        return unsafe { Plain.unpack::<MODE>(codes, out) };
    }
    let lanes = &SIXTEEN[codes.index];
    // SAFETY: the arrays are 64 bytes each.
    let (shuffle, shift) =
        unsafe { (_mm512_loadu_si512(lanes.shuffle.as_ptr().cast()), _mm512_loadu_si512(lanes.shift.as_ptr().cast())) };
    let shift = _mm512_add_epi32(shift, _mm512_set1_epi32((codes.bit % 8) as i32));
    let mask = _mm512_set1_epi32(lanes.mask as i32);
    let step = 2 * usize::from(WIDTHS[codes.index]);
    let mut place = 0;
    // SAFETY: each group of sixteen starts at a code of the section (of width 0: at most at its
    // end), so a load of 64 bytes ends inside the 64 readable bytes after it. Stores end at most 15
    // values beyond the last one.
    unsafe {
        let mut source = codes.tile.add(codes.bit / 8);
        loop {
            let bytes = _mm512_permutexvar_epi8(shuffle, _mm512_loadu_si512(source.cast()));
            let codes_here = _mm512_and_si512(_mm512_srlv_epi32(bytes, shift), mask);
            let result = if MODE == COUNTS {
                _mm512_castps_si512(_mm512_cvtepi32_ps(_mm512_add_epi32(codes_here, _mm512_set1_epi32(1))))
            } else {
                codes_here
            };
            _mm512_storeu_si512(out.add(place).cast(), result);
            place += 16;
            if place >= codes.count {
                break;
            }
            source = source.add(step);
        }
    }
}

/// The places of the ones of every byte, eight to a byte's row of the table.
static ONES: [[u8; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut bit, mut filled) = (0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                table[byte][filled] = bit as u8;
                filled += 1;
            }
            bit += 1;
        }
        byte += 1;
    }
    table
};

/// # Safety
///
/// As for [`Simd::spell_out`].
#[inline]
#[target_feature(enable = "popcnt")]
unsafe fn spell_out_by_bytes(map: *const u8, count: usize, rows: *mut u8) -> bool {
    // SAFETY: the caller gives 32 readable bytes.
    let words: [u64; 4] = unsafe { map.cast::<[u64; 4]>().read_unaligned() };
    if words.iter().map(|word| word.count_ones() as usize).sum::<usize>() != count {
        return false;
    }
    let mut filled = 0;
    for (place, word) in words.into_iter().enumerate() {
        for (eighth, byte) in word.to_le_bytes().into_iter().enumerate() {
            let first = in_each_byte((64 * place + 8 * eighth) as u8);
            // No sum of two bytes exceeds 255: no carry.
            let places = u64::from_le_bytes(ONES[usize::from(byte)]) + first;
            // SAFETY: `filled` is at most `count`, beyond which there is room for 64.
            unsafe { rows.add(filled).cast::<u64>().write_unaligned(places) };
            filled += byte.count_ones() as usize;
        }
    }
    true
}

/// # Safety
///
/// As for [`Simd::spell_out`].
#[inline]
#[target_feature(enable = "popcnt,avx512f,avx512bw,avx512vbmi2")]
unsafe fn spell_out_by_words(map: *const u8, count: usize, rows: *mut u8) -> bool {
    // SAFETY: the caller gives 32 readable bytes.
    let words: [u64; 4] = unsafe { map.cast::<[u64; 4]>().read_unaligned() };
    let ones = words.map(|word| word.count_ones() as usize);
    if ones.iter().sum::<usize>() != count {
        return false;
    }
    // SAFETY: the table is 64 bytes; `rows` has room for `count` + 64 entries, and each store
    // starts at most at `count`.
    unsafe {
        let mut places = _mm512_loadu_si512(ASCENDING.as_ptr().cast());
        let mut out = rows;
        for (word, ones) in words.into_iter().zip(ones) {
            _mm512_storeu_si512(out.cast(), _mm512_maskz_compress_epi8(word, places));
            out = out.add(ones);
            places = _mm512_add_epi8(places, _mm512_set1_epi8(64));
        }
    }
    true
}

static ASCENDING: [u8; 64] = {
    let mut table = [0; 64];
    let mut place = 0;
    while place < 64 {
        table[place] = place as u8;
        place += 1;
    }
    table
};

/// The high parts of the ones of every byte: their places less 0, 1, 2, …; eight to a byte's row of
/// the table.
static HIGHS: [[u8; 8]; 256] = {
    let mut table = ONES;
    let mut byte = 0_usize;
    while byte < 256 {
        let mut one = 0;
        while one < byte.count_ones() as usize {
            table[byte][one] -= one as u8;
            one += 1;
        }
        byte += 1;
    }
    table
};

/// `value` in each of the eight bytes of a word.
const fn in_each_byte(value: u8) -> u64 {
    value as u64 * 0x0101_0101_0101_0101
}

/// Brings eight low parts of `LOW` bits, one after the other, to a byte each.
#[inline(always)]
fn spread<const LOW: u32>(lows: u64) -> u64 {
    // As many parts in each group of as many bytes.
    let mask = |parts: u32| u64::MAX / ((1 << (8 * parts)) - 1) * ((1 << (LOW * parts)) - 1);
    let eight = lows & ((1 << (8 * LOW)) - 1);
    let four = (eight | eight << (32 - 4 * LOW)) & mask(4);
    let two = (four | four << (16 - 2 * LOW)) & mask(2);
    (two | two << (8 - LOW)) & mask(1)
}

/// # Safety
///
/// As for [`Simd::unpack_rows`], with `LOW` for its `low`.
#[inline]
#[target_feature(enable = "popcnt")]
unsafe fn unpack_rows_by_bytes<const LOW: u32>(packed: *const u8, count: usize, rows: *mut u8) -> bool {
    let bits = high_bits(count, LOW);
    // SAFETY: the caller gives 16 readable bytes.
    let highs = unsafe { packed.cast::<u128>().read_unaligned() } & ((1 << bits) - 1);
    if highs.count_ones() as usize != count {
        return false;
    }
    let mut found = 0;
    for (eighth, byte) in highs.to_le_bytes().into_iter().take(bits.div_ceil(8)).enumerate() {
        // The zeros so far, of which the bitmap has 2^(8 − low) − 1: no sum of two bytes, shifted,
        // exceeds 255.
        let highs = u64::from_le_bytes(HIGHS[usize::from(byte)]) + in_each_byte((8 * eighth - found) as u8);
        let bit = bits + found * LOW as usize;
        // SAFETY: the low parts from the bit on are the run's or begin where it ends, and 64
        // readable bytes follow it; `found` is at most `count`, beyond which there is room for 64.
        unsafe {
            let lows = packed.add(bit / 8).cast::<u64>().read_unaligned() >> (bit % 8);
            rows.add(found).cast::<u64>().write_unaligned(highs << LOW | spread::<LOW>(lows));
        }
        found += byte.count_ones() as usize;
    }
    true
}

/// The places of the low parts of 64 rows.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct LowParts {
    shuffle: [u8; 64],
    shift: [u8; 64],
}

/// Packed rows have two, three or four low bits.
const FEWEST_LOW_BITS: usize = 2;

static LOWS: [LowParts; 3] = {
    let mut table = [LowParts { shuffle: [0; 64], shift: [0; 64] }; 3];
    let mut low = FEWEST_LOW_BITS;
    while low < FEWEST_LOW_BITS + 3 {
        let entry = &mut table[low - FEWEST_LOW_BITS];
        let mut lane = 0;
        while lane < 64 {
            // Eight low parts take `low` bytes.
            entry.shuffle[lane] = (lane / 8 * low + lane % 8) as u8;
            entry.shift[lane] = (lane % 8 * low) as u8;
            lane += 1;
        }
        low += 1;
    }
    table
};

/// # Safety
///
/// As for [`Simd::unpack_rows`].
#[inline]
#[target_feature(enable = "bmi2,popcnt,avx512f,avx512bw,avx512vbmi,avx512vbmi2")]
unsafe fn unpack_rows_at_once(packed: *const u8, count: usize, low: u32, rows: *mut u8) -> bool {
    let bits = high_bits(count, low);
    // SAFETY: the caller gives 16 readable bytes; the table is 64.
    let ([first, second], ascending) =
        unsafe { (packed.cast::<[u64; 2]>().read_unaligned(), _mm512_loadu_si512(ASCENDING.as_ptr().cast())) };
    let places = if low as usize > FEWEST_LOW_BITS {
        // At most 63 bits.
        let first = first & ((1 << bits) - 1);
        if first.count_ones() as usize != count {
            return false;
        }
        _mm512_maskz_compress_epi8(first, ascending)
    } else {
        // 96 to 124.
        let second = second & ((1 << (bits - 64)) - 1);
        let ones = first.count_ones();
        if (ones + second.count_ones()) as usize != count {
            return false;
        }
        let later = _mm512_maskz_compress_epi8(second, _mm512_add_epi8(ascending, _mm512_set1_epi8(64)));
        // `count` is at most 61.
        _mm512_mask_expand_epi8(_mm512_maskz_compress_epi8(first, ascending), u64::MAX << ones, later)
    };
    let lanes = &LOWS[low as usize - FEWEST_LOW_BITS];
    // SAFETY: the low parts begin inside the run, which 64 readable bytes follow; the arrays are 64
    // bytes each; `rows` has room for 64 entries.
    unsafe {
        let shuffle = _mm512_loadu_si512(lanes.shuffle.as_ptr().cast());
        let shift =
            _mm512_add_epi8(_mm512_loadu_si512(lanes.shift.as_ptr().cast()), _mm512_set1_epi8((bits % 8) as i8));
        let bytes = _mm512_permutexvar_epi8(shuffle, _mm512_loadu_si512(packed.add(bits / 8).cast()));
        let lows = _mm512_and_si512(_mm512_multishift_epi64_epi8(shift, bytes), _mm512_set1_epi8((1 << low) - 1));
        // A high part is below 2^(8 − low): none reaches the byte beside it.
        let highs = _mm512_sll_epi16(_mm512_sub_epi8(places, ascending), _mm_cvtsi32_si128(low as i32));
        _mm512_storeu_si512(rows.cast(), _mm512_or_si512(highs, lows));
    }
    true
}
