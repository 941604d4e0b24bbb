//! The inner loops of the decoder in several instruction sets.
//!
//! - **Unpack**: n codes of w bits each, from any bit of a section on, to n values (or, for the
//!   dictionary, to n codes).
//! - **Spell out**: a map of 256 bits to the ascending places of its ones.
//! - **Unpack rows**: the rows of a run that has them packed.
//!
//! Every [`Simd`] gives the same result. [`Plain`](plain::Plain) is the obvious one, and tests
//! compare the others with it. The level is detected once. Decoding a batch is compiled for each
//! level.

mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::batch::RunBatch;
use super::decode::RunDecoder;
use super::error::TileError;

/// The codes of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes {
    /// The value section.
    pub(super) tile: *const u8,
    /// The run's first bit in it.
    pub(super) bit: usize,
    /// Width index.
    pub(super) index: usize,
    /// The number of codes.
    pub(super) count: usize,
}

/// The result of [`Simd::unpack`] for a code: in mode 0 (counts) the value code + 1, otherwise the
/// code as the bits of an `f32`.
pub(super) const COUNTS: u8 = super::header::Mode::Counts as u8;

/// One set of instructions.
pub(super) trait Simd: Copy {
    /// Unpacks `codes` to `out`. May write up to 64 entries beyond the last one.
    ///
    /// # Safety
    ///
    /// - the section is followed by 64 readable bytes, and the codes lie inside it;
    /// - `out` has room for `codes.count` + 64 values;
    /// - the CPU has the instructions.
    unsafe fn unpack<const MODE: u8>(self, codes: Codes, out: *mut f32);

    /// Writes the places of the ones of `map` to `rows`. Returns false, with `rows` undefined,
    /// unless there are `count` of them. May write up to 64 entries beyond the last one.
    ///
    /// # Safety
    ///
    /// - `map` points to 32 readable bytes;
    /// - `rows` has room for `count` + 64 entries;
    /// - the CPU has the instructions.
    unsafe fn spell_out(self, map: *const u8, count: usize, rows: *mut u8) -> bool;

    /// Unpacks `count` rows of `low` low bits, as [`row_code`](super::row_code) packs them. Returns
    /// false, with `rows` undefined, unless their bitmap has `count` ones. May write up to 64
    /// entries beyond the last one.
    ///
    /// # Safety
    ///
    /// - `packed` points to the bytes of the packed rows, which 64 readable bytes follow;
    /// - `low` is that of a run of `count`;
    /// - `rows` has room for `count` + 64 entries;
    /// - the CPU has the instructions.
    unsafe fn unpack_rows(self, packed: *const u8, count: usize, low: u32, rows: *mut u8) -> bool;
}

/// A set of instructions that this CPU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// The instructions of every CPU of the target.
    Plain,
    /// AVX2 with BMI: unpacks eight codes at a time.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX2 with BMI, and AVX-512 VBMI and VBMI2, which unpack sixteen codes and spell out 64 rows
    /// at a time.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The best level of this CPU.
    pub(super) fn detect() -> Self {
        Self::all().last().copied().unwrap_or(Self::Plain)
    }

    /// All levels of this CPU, the best one last.
    pub(super) fn all() -> &'static [Self] {
        #[cfg(target_arch = "x86_64")]
        {
            const ALL: &[Level] = &[Level::Plain, Level::Avx2, Level::Avx512];
            ALL.split_at(1 + usize::from(x86::has_avx2()) + usize::from(x86::has_avx512())).0
        }
        #[cfg(not(target_arch = "x86_64"))]
        &[Self::Plain]
    }

    /// [`RunDecoder::fill`] with this level's instructions.
    pub(super) fn fill<const MODE: u8>(self, runs: &mut RunDecoder<'_>, batch: &mut RunBatch) -> Result<(), TileError> {
        // SAFETY: a level other than `Plain` comes from `all`, which gives those that the CPU has.
        unsafe {
            match self {
                Self::Plain => runs.fill::<_, MODE>(plain::Plain, batch),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => x86::fill_avx2::<MODE>(runs, batch),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => x86::fill_avx512::<MODE>(runs, batch),
            }
        }
    }
    /// [`RunDecoder::fill_sheet`] with this level's instructions. `batch` has been prepared for the
    /// sheet.
    pub(super) fn fill_sheet<const MODE: u8>(
        self,
        runs: &mut RunDecoder<'_>,
        batch: &mut RunBatch,
    ) -> Result<(), TileError> {
        // SAFETY: a level other than `Plain` comes from `all`, which gives those that the CPU has.
        unsafe {
            match self {
                Self::Plain => runs.fill_sheet::<_, MODE>(plain::Plain, batch),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => x86::fill_sheet_avx2::<MODE>(runs, batch),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => x86::fill_sheet_avx512::<MODE>(runs, batch),
            }
        }
    }
}
