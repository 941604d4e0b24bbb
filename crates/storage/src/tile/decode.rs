//! Decodes a tile to runs, one batch at a time.
//!
//! The plain algorithm, for each gene in the bitmap: take its count n; copy n rows, unpack them or
//! spell out a map; unpack n codes at the run's width, add the outliers' high parts, turn codes into
//! values.
//! Three departures make it fast, and none changes a value:
//!
//! - **Wide copies.** A list of rows is copied 32 bytes at a time and codes are unpacked eight at a
//!   time, for any n. The next run overwrites the entries beyond n. So a short run costs no loop
//!   and no mispredicted end. For this the batch has [`SLACK`] spare entries, and the tile 64 bytes
//!   of padding.
//! - **No case for ones.** Width 0 goes through the same instructions with a mask of zero bits.
//! - **One check a run.** Before a run is read, its rows and codes are checked to be inside their
//!   sections. Inside a run only codes are checked against the dictionary, and places of outliers.
//!
//! The instructions for unpacking and spelling out are chosen at run time ([`simd`](super::simd)).

use super::batch::{BATCH_NONZEROS, RunBatch, SLACK};
use super::dictionary::Lookup;
use super::error::TileError;
use super::header::{Mode, Sections, mismatch};
use super::patch::Patch;
use super::row_code;
use super::simd::{Codes, Level, Simd};
use super::sparse::SparseTile;
use super::width::{PATCHED, WIDTHS};

/// Decodes the runs of a tile in gene order.
#[derive(Clone, Debug)]
pub struct RunDecoder<'a> {
    pub(super) tile: SparseTile<'a>,
    pub(super) sections: Sections,
    pub(super) level: Level,
    /// The next run.
    pub(super) run: usize,
    pub(super) genes: Genes,
    /// The next run's rows and patch, as places in the tile, and its codes, as a bit of the value
    /// section.
    pub(super) rows_at: usize,
    pub(super) patch_at: usize,
    pub(super) bit: usize,
    pub(super) dictionary: Option<Lookup<'a>>,
}

/// The remaining genes of a bitmap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Genes {
    /// The rest of the current word, the gene of its lowest bit, and the place of the next word in
    /// the tile.
    word: u64,
    first: u32,
    next_word_at: usize,
}

impl Genes {
    /// The next gene. Call it at most once for each run: as many bits are set (checked when the
    /// tile was parsed).
    #[inline(always)]
    pub(super) fn next(&mut self, tile: &[u8]) -> u32 {
        while self.word == 0 {
            let bytes = tile[self.next_word_at..self.next_word_at + 8].try_into().expect("eight bytes");
            self.word = u64::from_le_bytes(bytes);
            self.next_word_at += 8;
            self.first = self.first.wrapping_add(64);
        }
        let gene = self.first + self.word.trailing_zeros();
        self.word &= self.word - 1;
        gene
    }
}

impl<'a> RunDecoder<'a> {
    /// The runs of `tile`, with the best instructions of this CPU.
    pub(super) fn new(tile: &SparseTile<'a>) -> Self {
        Self::with_level(tile, Level::detect())
    }

    /// The runs of `tile`, decoded with the instructions of `level`.
    pub(super) fn with_level(tile: &SparseTile<'a>, level: Level) -> Self {
        let sections = tile.sections();
        let dictionary = (tile.header.mode == Mode::Dictionary)
            .then(|| Lookup::new(&tile.bytes[sections.dictionary.start..], tile.rows()));
        Self {
            tile: *tile,
            level,
            run: 0,
            genes: Genes { word: 0, first: 0u32.wrapping_sub(64), next_word_at: sections.genes.start },
            rows_at: sections.rows.start,
            patch_at: sections.patches.start,
            bit: 0,
            sections,
            dictionary,
        }
    }

    /// Fills `batch` with the next runs, up to [`BATCH_NONZEROS`] nonzeros. Returns false if no run
    /// was left; the batch is then empty. Allocates only on the first use of a batch.
    ///
    /// # Errors
    ///
    /// When runs exceed their sections, or a code its dictionary. The batch then holds the runs
    /// before. The tile is damaged and must not be used further.
    pub fn next_batch(&mut self, batch: &mut RunBatch) -> Result<bool, TileError> {
        batch.prepare();
        match self.tile.header.mode {
            Mode::Counts => self.level.fill::<{ Mode::Counts as u8 }>(self, batch)?,
            Mode::Dictionary => self.level.fill::<{ Mode::Dictionary as u8 }>(self, batch)?,
            Mode::Raw => self.level.fill::<{ Mode::Raw as u8 }>(self, batch)?,
        }
        if batch.is_empty() {
            self.check_end()?;
        }
        Ok(!batch.is_empty())
    }

    /// Decodes runs into `batch`, which has been prepared. `MODE` is that of the tile.
    ///
    /// # Safety
    ///
    /// The CPU has the instructions of `simd`.
    #[inline(always)]
    pub(super) unsafe fn fill<S: Simd, const MODE: u8>(
        &mut self,
        simd: S,
        batch: &mut RunBatch,
    ) -> Result<(), TileError> {
        let raw = MODE == Mode::Raw as u8;
        let tile = self.tile.bytes;
        let (counts, widths) = (&tile[self.sections.counts.clone()], &tile[self.sections.widths.clone()]);
        let rows_end = self.sections.rows.end;
        let bytes_of = self.tile.header.row_code.bytes();
        let values_start = self.sections.values.start;
        let value_bits = self.sections.values.len() * 8;
        debug_assert!(batch.rows.capacity() >= BATCH_NONZEROS + SLACK);
        debug_assert!(batch.values.capacity() >= BATCH_NONZEROS + SLACK);
        let (genes_out, ends_out) = (batch.genes.as_mut_ptr(), batch.ends.as_mut_ptr());
        let (rows_out, values_out) = (batch.rows.as_mut_ptr(), batch.values.as_mut_ptr());

        let mut genes = self.genes;
        let (mut rows_at, mut bit) = (self.rows_at, self.bit);
        let (mut filled, mut runs) = (0, 0);
        let mut outcome = Ok(());
        for (run, &count) in counts.iter().enumerate().skip(self.run) {
            let count = usize::from(count) + 1;
            if filled + count > BATCH_NONZEROS {
                break;
            }
            let row_bytes = usize::from(bytes_of[count - 1]);
            let index = if raw { 0 } else { usize::from(widths[run / 2] >> (run % 2 * 4) & 15) };
            let patched = !raw && index == usize::from(PATCHED);
            let width = if raw {
                32
            } else if patched {
                0
            } else {
                usize::from(WIDTHS[index])
            };
            if rows_at + row_bytes > rows_end || bit + count * width > value_bits {
                outcome = Err(mismatch("end of the rows or values of a run", rows_end, (rows_at + row_bytes) as u64));
                break;
            }

            let gene = genes.next(tile);

            // SAFETY: `filled + count <= BATCH_NONZEROS`, and a batch has room for that many
            // entries (and as many runs, since each has one at least) plus `SLACK`, more than what
            // a wide copy writes beyond `count`. Rows and codes of the run lie inside their
            // sections (checked above), which end `TILE_PADDING` bytes before the tile does, more
            // than what a wide load reads beyond them. The caller vouches for the instructions.
            unsafe {
                let (run_rows, run_values) = (rows_out.add(filled), values_out.add(filled));
                let source = tile.as_ptr().add(rows_at);
                if !row_code::read(simd, self.tile.header.row_code, source, count, run_rows) {
                    outcome = Err(mismatch("rows in the bitmap of a run", count, 0));
                    break;
                }
                if raw {
                    let source = tile.as_ptr().add(values_start + bit / 8);
                    std::ptr::copy_nonoverlapping(source, run_values.cast::<u8>(), 4 * count);
                } else if !patched {
                    let codes = Codes { tile: tile.as_ptr().add(values_start), bit, index, count };
                    simd.unpack::<MODE>(codes, run_values);
                } else {
                    match self.patched::<S, MODE>(simd, bit, count, run_values) {
                        Ok(bits) => bit += bits,
                        Err(error) => {
                            outcome = Err(error);
                            break;
                        }
                    }
                }
                *genes_out.add(runs) = gene;
                *ends_out.add(runs) = (filled + count) as u32;
            }
            rows_at += row_bytes;
            bit += count * width;
            filled += count;
            runs += 1;
        }
        self.run += runs;
        (self.genes, self.rows_at, self.bit) = (genes, rows_at, bit);
        // SAFETY: the first `runs` genes and ends and the first `filled` rows and values have been
        // written above.
        unsafe {
            batch.genes.set_len(runs);
            batch.ends.set_len(runs);
            batch.rows.set_len(filled);
            batch.values.set_len(filled);
        }
        // All codes of the batch at once: a long loop, which loads no code right after the wide
        // store of it.
        if let Some(lookup) = &self.dictionary
            && !lookup.replace(&batch.rows, &mut batch.values)
        {
            return Err(mismatch("codes beyond the dictionary of their row", 0, 1));
        }
        outcome
    }

    /// Decodes the codes of a patched run of `count`. Returns the bits they take.
    ///
    /// # Safety
    ///
    /// `out` has room for `count` values and [`SLACK`]; the CPU has the instructions of `simd`.
    #[cold]
    #[inline(never)]
    unsafe fn patched<S: Simd, const MODE: u8>(
        &mut self,
        simd: S,
        bit: usize,
        count: usize,
        out: *mut f32,
    ) -> Result<usize, TileError> {
        let tile = self.tile.bytes;
        let (patch, size) = Patch::parse(&tile[self.patch_at..self.sections.patches.end])?;
        self.patch_at += size;
        let bits = count * usize::from(WIDTHS[patch.width_index]);
        if bit + bits > self.sections.values.len() * 8 {
            return Err(mismatch("end of the values of a run", self.sections.values.len() * 8, (bit + bits) as u64));
        }
        // SAFETY: the codes lie inside the value section (checked above); the rest is the caller's.
        unsafe {
            let codes =
                Codes { tile: tile.as_ptr().add(self.sections.values.start), bit, index: patch.width_index, count };
            simd.unpack::<MODE>(codes, out);
        }
        for (place, high) in patch.outliers() {
            if place >= count {
                return Err(mismatch("place of an outlier (below)", count, place as u64));
            }
            // SAFETY: `place < count`, and `unpack` has written `count` values.
            let value = unsafe { &mut *out.add(place) };
            // Counts: both parts are integers, their sum is at most 2²⁴ and so exact in any order.
            *value =
                if MODE == Mode::Counts as u8 { *value + high as f32 } else { f32::from_bits(value.to_bits() | high) };
        }
        Ok(bits)
    }

    /// Checks after the last run that every section is used up.
    pub(super) fn check_end(&self) -> Result<(), TileError> {
        let Sections { rows, patches, values, .. } = &self.sections;
        if self.rows_at != rows.end {
            return Err(mismatch("end of the row section", rows.end, self.rows_at as u64));
        }
        if self.patch_at != patches.end {
            return Err(mismatch("end of the patch section", patches.end, self.patch_at as u64));
        }
        if self.bit.div_ceil(8) != values.len() {
            return Err(mismatch("length of the value section", self.bit.div_ceil(8), values.len() as u64));
        }
        Ok(())
    }
}
