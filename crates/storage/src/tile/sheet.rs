//! Decodes a tile to sheets: many runs at once, the short ones first.
//!
//! Most runs of a tile are short, and neighbours differ in length, so that a loop over them in gene
//! order mispredicts the end of nearly every one: in the decoder, and again in each product of
//! them. A **sheet** has the runs sorted by length: first those of up to [`LISTED_ROWS`] nonzeros,
//! then the longer ones. Runs of equal length, and the longer ones, are in gene order. A loop over
//! a run then mostly ends after as many steps as the one before. A sheet is a whole tile unless
//! that is very full, so that it is decoded once and used twice.
//!
//! 1. **Arrange.** A counting sort: one pass over counts and widths finds for every run the places
//!    of its rows and codes, and its place in the sheet. It touches no row and no code.
//! 2. **Fill.** In the order of the sheet, rows are copied and codes unpacked, wide as in
//!    [`decode`](super::decode): the next run overwrites the entries beyond a run. Both loops
//!    depend only on the length.
//! 3. **Patch.** The outliers' high parts are added. Then, if there is a dictionary, codes are
//!    replaced.
//!
//! Lengths are compared with their sections once for each sheet: the places of its runs only grow.
//!
//! # Speed
//!
//! 256 × 20,000 counts with 1,000 nonzeros a cell, 17.5 a run, on one core of EPYC Zen 4, thread
//! CPU time: sheets are decoded at 1,480 Mnnz/s, batches in gene order at 1,620. Both products gain
//! more than this loss (`kernels`, `sparse`), and the second decoding is saved: two products,
//! update and sums of a pass at k = 20 run at 300 Mnnz/s, compared with 225 for two loops over
//! batches.

use super::LISTED_ROWS;
use super::batch::{RunBatch, SLACK};
use super::decode::RunDecoder;
use super::error::TileError;
use super::header::{Mode, mismatch};
use super::patch::Patch;
use super::row_code;
use super::simd::{Codes, Simd};
use super::width::{PATCHED, WIDTHS};

/// The most nonzeros of a sheet: five bytes each, and as many as a tile of 36,000 genes has with
/// 4,000 nonzeros a cell. The cut of a tile into sheets determines the order of its runs, and so
/// the last bits of sums over them. It is part of the definition of the products, not a setting.
pub const SHEET_NONZEROS: usize = 1 << 20;

/// Lengths that are distinguished: 1 to [`LISTED_ROWS`], and more.
const LENGTHS: usize = LISTED_ROWS + 1;

/// A run of a sheet and its place in the tile.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Source {
    gene: u32,
    length: u16,
    /// Width index.
    index: u16,
    place: Place,
}

/// The places of rows and codes: bytes from the sheet's first row in the upper half, bits from its
/// first code in the lower. They share one number because the loop that adds them is short of
/// registers.
#[derive(Clone, Copy, Debug, Default)]
struct Place(u64);

impl Place {
    #[inline(always)]
    fn new(rows: usize, bits: usize) -> Self {
        Self((rows as u64) << 32 | bits as u64)
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    #[inline(always)]
    fn rows(self) -> usize {
        (self.0 >> 32) as usize
    }

    #[inline(always)]
    fn bits(self) -> usize {
        self.0 as u32 as usize
    }
}

const _: () = assert!((SHEET_NONZEROS * 32) >> 32 == 0, "bits of a sheet stay in the lower half");

impl RunDecoder<'_> {
    /// Fills `batch` with the next runs, sorted by length, up to [`SHEET_NONZEROS`] nonzeros.
    /// Returns false if no run was left; the batch is then empty. Allocates only while a batch
    /// grows to its largest sheet.
    ///
    /// # Errors
    ///
    /// When runs exceed their sections or do not use them up, or a code exceeds its dictionary. The
    /// batch is then empty. The tile is damaged and must not be used further.
    pub fn next_sheet(&mut self, batch: &mut RunBatch) -> Result<bool, TileError> {
        let (runs, nonzeros) = self.extent();
        batch.prepare_sheet(runs, nonzeros);
        let filled = if runs == 0 { Ok(()) } else { self.sheet(batch) };
        let whole = filled.and_then(|()| if self.run == self.tile.header.runs { self.check_end() } else { Ok(()) });
        if whole.is_err() {
            batch.prepare_sheet(0, 0);
        }
        whole.map(|()| runs > 0)
    }

    /// The numbers of runs and of nonzeros of the next sheet.
    fn extent(&self) -> (usize, usize) {
        let counts = &self.tile.bytes[self.sections.counts.clone()][self.run..];
        if self.run == 0 && self.tile.header.nonzeros <= SHEET_NONZEROS {
            return (counts.len(), self.tile.header.nonzeros);
        }
        let mut nonzeros = 0;
        for (runs, &count) in counts.iter().enumerate() {
            let next = nonzeros + usize::from(count) + 1;
            if next > SHEET_NONZEROS {
                return (runs, nonzeros);
            }
            nonzeros = next;
        }
        (counts.len(), nonzeros)
    }

    fn sheet(&mut self, batch: &mut RunBatch) -> Result<(), TileError> {
        match self.tile.header.mode {
            Mode::Counts => self.level.fill_sheet::<{ Mode::Counts as u8 }>(self, batch)?,
            Mode::Dictionary => self.level.fill_sheet::<{ Mode::Dictionary as u8 }>(self, batch)?,
            Mode::Raw => self.level.fill_sheet::<{ Mode::Raw as u8 }>(self, batch)?,
        }
        self.patch(batch)?;
        if let Some(lookup) = &self.dictionary
            && !lookup.replace(&batch.rows, &mut batch.values)
        {
            return Err(mismatch("codes beyond the dictionary of their row", 0, 1));
        }
        Ok(())
    }

    /// Arranges the next runs, as many as `batch` has been prepared for, and writes their rows and
    /// values. `MODE` is that of the tile.
    ///
    /// # Safety
    ///
    /// `batch` has been prepared for the runs and nonzeros of the sheet; the CPU has the
    /// instructions of `simd`.
    #[inline(always)]
    pub(super) unsafe fn fill_sheet<S: Simd, const MODE: u8>(
        &mut self,
        simd: S,
        batch: &mut RunBatch,
    ) -> Result<(), TileError> {
        let (rows_at, bit) = (self.rows_at, self.bit);
        self.arrange::<MODE>(batch)?;
        // SAFETY: the batch has just been arranged; the rest is the caller's.
        unsafe { self.write::<S, MODE>(simd, batch, rows_at, bit) }
    }

    /// Puts the sources of the next runs in the order of the sheet, records those with a patch, and
    /// moves past them.
    #[inline(always)]
    fn arrange<const MODE: u8>(&mut self, batch: &mut RunBatch) -> Result<(), TileError> {
        let RunBatch { sources, patched, .. } = batch;
        let runs = self.run..self.run + sources.len();
        let tile = self.tile.bytes;
        let counts = &tile[self.sections.counts.clone()][runs.clone()];
        let widths = &tile[self.sections.widths.clone()];

        let bytes_of = self.tile.header.row_code.bytes();
        let mut next = first_places(counts);
        let mut genes = self.genes;
        let mut place = Place::default();
        for (run, &count) in runs.clone().zip(counts) {
            let length = usize::from(count) + 1;
            let slot = &mut next[usize::from(count).min(LENGTHS - 1)];
            let source = *slot as usize;
            *slot += 1;
            let (mut index, mut width) = (0, 32);
            if MODE != Mode::Raw as u8 {
                index = widths[run / 2] >> (run % 2 * 4) & 15;
                if index == PATCHED {
                    index = self.note_patch(patched, source)?;
                }
                width = usize::from(WIDTHS[usize::from(index)]);
            }
            sources[source] = Source { gene: genes.next(tile), length: length as u16, index: u16::from(index), place };
            place = place.plus(Place::new(bytes_of[usize::from(count)].into(), length * width));
        }
        let (rows_end, bits_end) = (self.rows_at + place.rows(), self.bit + place.bits());
        if rows_end > self.sections.rows.end || bits_end > self.sections.values.len() * 8 {
            return Err(mismatch("end of the rows or values of a run", self.sections.rows.end, rows_end as u64));
        }
        (self.genes, self.run, self.rows_at, self.bit) = (genes, runs.end, rows_end, bits_end);
        Ok(())
    }

    /// Records a patched run and moves past its patch. Returns its width index.
    #[cold]
    #[inline(never)]
    fn note_patch(&mut self, patched: &mut Vec<(u32, usize)>, source: usize) -> Result<u8, TileError> {
        let (patch, size) = Patch::parse(&self.tile.bytes[self.patch_at..self.sections.patches.end])?;
        patched.push((source as u32, self.patch_at));
        self.patch_at += size;
        Ok(patch.width_index as u8)
    }

    /// Writes the runs of an arranged sheet with its first row at `rows_at` and its first code at
    /// `bit`. `MODE` is that of the tile.
    ///
    /// # Safety
    ///
    /// `batch` has been arranged, with room for its runs, its nonzeros and [`SLACK`]; the CPU has
    /// the instructions of `simd`.
    #[inline(always)]
    unsafe fn write<S: Simd, const MODE: u8>(
        &self,
        simd: S,
        batch: &mut RunBatch,
        rows_at: usize,
        bit: usize,
    ) -> Result<(), TileError> {
        let row_code = self.tile.header.row_code;
        let rows_in = self.tile.bytes[rows_at..].as_ptr();
        let values_in = self.tile.bytes[self.sections.values.start..].as_ptr();
        let (rows_out, values_out) = (batch.rows.as_mut_ptr(), batch.values.as_mut_ptr());
        debug_assert!(batch.genes.capacity().min(batch.ends.capacity()) >= batch.sources.len());
        let (genes_out, ends_out) = (batch.genes.as_mut_ptr(), batch.ends.as_mut_ptr());
        let mut filled = 0;
        for (run, source) in batch.sources.iter().enumerate() {
            let count = usize::from(source.length);
            debug_assert!(filled + count + SLACK <= batch.rows.capacity().min(batch.values.capacity()));
            // SAFETY: the batch has room for all runs, and for all nonzeros plus `SLACK`, more than
            // what a wide copy writes beyond `count`. Rows and codes lie inside their sections
            // (`arrange` has checked the end of the last), which end `TILE_PADDING` bytes before
            // the tile does, more than what a wide load reads beyond them. The caller vouches for
            // the instructions.
            unsafe {
                let (run_rows, run_values) = (rows_out.add(filled), values_out.add(filled));
                let rows = rows_in.add(source.place.rows());
                if !row_code::read(simd, row_code, rows, count, run_rows) {
                    return Err(mismatch("rows in the bitmap of a run", count, 0));
                }
                let bit = bit + source.place.bits();
                if MODE == Mode::Raw as u8 {
                    std::ptr::copy_nonoverlapping(values_in.add(bit / 8), run_values.cast::<u8>(), 4 * count);
                } else {
                    simd.unpack::<MODE>(Codes { tile: values_in, bit, index: source.index.into(), count }, run_values);
                }
                filled += count;
                genes_out.add(run).write(source.gene);
                ends_out.add(run).write(filled as u32);
            }
        }
        // SAFETY: as many as these have just been written.
        unsafe {
            batch.genes.set_len(batch.sources.len());
            batch.ends.set_len(batch.sources.len());
            batch.rows.set_len(filled);
            batch.values.set_len(filled);
        }
        Ok(())
    }

    /// Adds the high parts of outliers to their values.
    fn patch(&self, batch: &mut RunBatch) -> Result<(), TileError> {
        let counts = self.tile.header.mode == Mode::Counts;
        for &(slot, at) in &batch.patched {
            let start = if slot == 0 { 0 } else { batch.ends[slot as usize - 1] as usize };
            let values = &mut batch.values[start..batch.ends[slot as usize] as usize];
            let (patch, _) = Patch::parse(&self.tile.bytes[at..self.sections.patches.end])?;
            for (place, high) in patch.outliers() {
                let count = values.len();
                let Some(value) = values.get_mut(place) else {
                    return Err(mismatch("place of an outlier (below)", count, place as u64));
                };
                // Counts: both parts are integers, their sum is at most 2²⁴ and so exact in any
                // order.
                *value = if counts { *value + high as f32 } else { f32::from_bits(value.to_bits() | high) };
            }
        }
        Ok(())
    }
}

/// The place in a sheet of the first run of each length (less one; the last is for all that are
/// longer).
#[inline(always)]
fn first_places(counts: &[u8]) -> [u32; LENGTHS] {
    let mut places = [0; LENGTHS];
    for &count in counts {
        places[usize::from(count).min(LENGTHS - 1)] += 1;
    }
    let mut before = 0;
    for place in &mut places {
        before += std::mem::replace(place, before);
    }
    places
}
