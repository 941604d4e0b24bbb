//! Encodes rows as a tile.
//!
//! 1. Each value becomes 32 bits: its code if all values of the tile are counts, otherwise the bits
//!    of the float.
//! 2. A counting sort over the genes brings the nonzeros from row order into gene order. It keeps
//!    rows ascending. It writes to thousands of places in turn, and so waits for the cache: a count
//!    and its row are moved as one word, and a panel of genes is sorted before the next.
//! 3. The mode is chosen: counts if all values are counts, otherwise the smaller of dictionary and
//!    raw.
//! 4. Each run's width is chosen and its codes appended to the value section, outliers to the patch
//!    section. Rows are packed if runs are short.
//! 5. The sections follow the header.

use std::ops::Range;

use super::dictionary;
use super::header::{HEADER, Header, Mode};
use super::moments::{CellMoments, GeneShare, TileMoments, million_factors};
use super::pack::PackedRuns;
use super::row_code::{self, RowCode};
use super::{TILE_PADDING, TILE_ROWS, is_count};

/// A few sparse rows in compressed form: row i has the entries
/// `indptr[i] - indptr[0]..indptr[i + 1] - indptr[0]` of `indices` and `values`. Columns ascend
/// strictly within a row; values are above zero and finite.
#[derive(Clone, Copy, Debug)]
pub struct CsrRows<'a> {
    /// rows + 1 places; the first may be any number.
    pub indptr: &'a [usize],
    /// The columns.
    pub indices: &'a [u32],
    /// The values.
    pub values: &'a [f32],
}

impl CsrRows<'_> {
    /// Number of rows.
    pub fn len(self) -> usize {
        self.indptr.len() - 1
    }

    /// Whether there is no row.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The range of the entries of one row.
    pub(super) fn entries(self, row: usize) -> Range<usize> {
        let first = self.indptr[0];
        self.indptr[row] - first..self.indptr[row + 1] - first
    }
}

/// Genes that are sorted at a time: their nonzeros stay in the second cache meanwhile.
const PANEL: usize = 2048;
/// Values that are looked at together.
const VALUES: usize = 256;
/// 2²³: a 32-bit float between it and its double is an integer, so that a sum with it is rounded to one.
const SMALL: f32 = 8_388_608.0;

/// Whether all are counts below [`SMALL`]: [`is_count`] without branches and conversions, so that a
/// processor takes several at a time.
fn are_small_counts(values: &[f32]) -> bool {
    let is_one = |value: f32| (1.0..SMALL).contains(&value) & ((value + SMALL) - SMALL == value);
    values.iter().fold(true, |all, &value| all & is_one(value))
}

/// Packs sparse tiles. Keeps its scratch memory: use one encoder in each thread, which then
/// allocates only while tiles grow.
#[derive(Debug, Default)]
pub struct TileEncoder {
    /// Each nonzero as 32 bits, in row order; after sorting, the codes in the dictionary, in gene
    /// order.
    bits: Vec<u32>,
    /// First a count, then a place in the sorted nonzeros, for each gene.
    places: Vec<u32>,
    /// The first nonzero of each row that is not sorted yet.
    unsorted: Vec<usize>,
    /// The sorted nonzeros.
    rows: Vec<u8>,
    values: Vec<u32>,
    /// The genes present; the ends of their runs.
    genes: Vec<u32>,
    ends: Vec<usize>,
    dictionary: dictionary::Builder,
    packed: PackedRuns,
}

impl TileEncoder {
    /// An encoder without scratch memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Packs `rows` (at most [`TILE_ROWS`]) of a matrix with `genes` columns into `out`, which is
    /// overwritten, and returns their moments.
    ///
    /// Costs O(nonzeros + genes), and a sort of each row's values if they are not counts. Scratch
    /// memory is at most 17 bytes for each nonzero and 8 for each gene, up to twice that while it
    /// grows.
    ///
    /// # Panics
    ///
    /// When there are too many rows or nonzeros (2³²), the lengths of the arrays disagree, or a column is
    /// not below `genes`. In debug builds also when columns are unsorted, or values are zero or not finite.
    #[track_caller]
    pub fn encode(&mut self, rows: CsrRows<'_>, genes: usize, out: &mut Vec<u8>) -> TileMoments {
        let mut moments = TileMoments::default();
        self.encode_into(rows, genes, out, &mut moments);
        moments
    }

    /// As [`encode`](Self::encode), with the moments in memory that is used again: a megabyte for the genes of
    /// a tile, which the system would hand out page by page.
    ///
    /// # Panics
    ///
    /// As for [`encode`](Self::encode).
    #[track_caller]
    pub fn encode_into(&mut self, rows: CsrRows<'_>, genes: usize, out: &mut Vec<u8>, moments: &mut TileMoments) {
        assert!(rows.len() <= TILE_ROWS, "a tile has at most {TILE_ROWS} rows, not {}", rows.len());
        let nonzeros = rows.indptr[rows.len()] - rows.indptr[0];
        assert_eq!(rows.indices.len(), nonzeros, "as many columns as indptr says");
        assert_eq!(rows.values.len(), nonzeros, "as many values as indptr says");
        assert!(u32::try_from(nonzeros).is_ok(), "a tile has less than 2^32 nonzeros, not {nonzeros}");
        debug_assert!(rows.values.iter().all(|value| *value > 0.0 && value.is_finite()), "values are above zero");

        let counts = self.take_bits(rows.values);
        self.sort_by_gene(rows, genes, counts);
        self.take_moments(rows, counts, moments);
        let mode = self.pack_values(rows, counts);
        let row_code = RowCode::choose(rows.len(), self.genes.len(), nonzeros);
        let bytes_of = row_code.bytes();
        let header = Header {
            mode,
            row_code,
            rows: rows.len(),
            runs: self.genes.len(),
            nonzeros,
            row_bytes: runs(&self.ends).map(|run| usize::from(bytes_of[run.len() - 1])).sum(),
            patch_bytes: self.packed.patches.len(),
            dictionary_bytes: if mode == Mode::Dictionary { self.dictionary.bytes() } else { 0 },
            value_bytes: if mode == Mode::Raw { 4 * nonzeros } else { self.packed.values.len() },
        };
        self.write(&header, genes, out);
    }

    /// Fills `bits`. Returns whether they are counts less one.
    fn take_bits(&mut self, values: &[f32]) -> bool {
        self.bits.clear();
        for some in values.chunks(VALUES) {
            if are_small_counts(some) {
                // The last bits of the sum are the integer.
                self.bits.extend(some.iter().map(|&value| ((value + SMALL).to_bits() & 0x7f_ffff) - 1));
            } else if some.iter().all(|&value| is_count(value)) {
                self.bits.extend(some.iter().map(|&value| value as u32 - 1));
            } else {
                self.bits.clear();
                self.bits.extend(values.iter().map(|value| value.to_bits()));
                return false;
            }
        }
        true
    }

    /// Fills `genes`, `ends`, `rows` and `values`.
    fn sort_by_gene(&mut self, rows: CsrRows<'_>, genes: usize, counts: bool) {
        self.places.clear();
        self.places.resize(genes, 0);
        let places = &mut self.places[..];
        for &gene in rows.indices {
            places[gene as usize] += 1;
        }
        self.genes.clear();
        self.ends.clear();
        let mut end = 0;
        for (gene, place) in places.iter_mut().enumerate() {
            let count = std::mem::replace(place, end);
            if count > 0 {
                end += count;
                self.genes.push(gene as u32);
                self.ends.push(end as usize);
            }
        }
        self.rows.resize(end as usize, 0);
        self.values.resize(end as usize, 0);
        let (sorted_rows, sorted) = (&mut self.rows[..], &mut self.values[..]);
        self.unsorted.clear();
        self.unsorted.extend((0..rows.len()).map(|row| rows.entries(row).start));
        for last in (0..genes).step_by(PANEL).map(|first| first + PANEL - 1) {
            for (row, unsorted) in self.unsorted.iter_mut().enumerate() {
                let entries = *unsorted..rows.entries(row).end;
                debug_assert!(rows.indices[entries.clone()].is_sorted_by(|a, b| a < b), "columns ascend");
                let nonzeros = rows.indices[entries.clone()].iter().zip(&self.bits[entries]);
                let places = nonzeros.take_while(|(gene, _)| **gene as usize <= last).map(|(&gene, &bits)| {
                    let place = &mut places[gene as usize];
                    *place += 1;
                    (*place as usize - 1, bits)
                });
                *unsorted += match counts {
                    // A code has 24 bits at most, and a row eight.
                    true => places.map(|(place, code)| sorted[place] = code << 8 | row as u32).count(),
                    false => {
                        places.map(|(place, bits)| (sorted_rows[place], sorted[place]) = (row as u8, bits)).count()
                    }
                };
            }
        }
        if counts {
            for (row, code) in sorted_rows.iter_mut().zip(sorted) {
                (*row, *code) = (*code as u8, *code >> 8);
            }
        }
    }

    /// Fills `moments`; `counts`: whether `bits` and `values` are counts less one.
    fn take_moments(&self, rows: CsrRows<'_>, counts: bool, moments: &mut TileMoments) {
        let TileMoments { genes, cells } = moments;
        cells.clear();
        cells.extend((0..rows.len()).map(|row| match counts {
            true => CellMoments::of_counts(&self.bits[rows.entries(row)]),
            false => CellMoments::of(rows.values[rows.entries(row)].iter().copied()),
        }));
        let factors = million_factors(cells);
        let share = |(&gene, run): (&u32, Range<usize>)| {
            let factors = self.rows[run.clone()].iter().map(|&row| factors[usize::from(row)]);
            let values = &self.values[run];
            match counts {
                true => GeneShare::of_counts(gene, values, factors),
                false => GeneShare::of(gene, values.iter().copied().map(f32::from_bits), factors),
            }
        };
        genes.clear();
        genes.extend(self.genes.iter().zip(runs(&self.ends)).map(share));
    }

    /// Fills `packed` in the mode that takes the fewest bytes.
    fn pack_values(&mut self, rows: CsrRows<'_>, counts: bool) -> Mode {
        if counts {
            self.packed.pack(&self.values, runs(&self.ends));
            return Mode::Counts;
        }
        if self.dictionary.collect(rows) {
            self.bits.clear();
            let nonzeros = self.rows.iter().zip(&self.values);
            self.bits.extend(nonzeros.map(|(&row, &bits)| self.dictionary.code(row, bits)));
            self.packed.pack(&self.bits, runs(&self.ends));
            if self.dictionary.bytes() + self.packed.len() < 4 * self.values.len() {
                return Mode::Dictionary;
            }
        }
        self.packed.clear();
        Mode::Raw
    }

    fn write(&self, header: &Header, genes: usize, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&header.to_bytes());
        out.resize(HEADER + genes.div_ceil(64) * 8, 0);
        for &gene in &self.genes {
            out[HEADER + gene as usize / 8] |= 1 << (gene % 8);
        }
        out.extend(runs(&self.ends).map(|run| (run.len() - 1) as u8));
        out.extend_from_slice(&self.packed.widths);
        for run in runs(&self.ends) {
            row_code::write(out, header.row_code, &self.rows[run]);
        }
        out.extend_from_slice(&self.packed.patches);
        if header.mode == Mode::Dictionary {
            self.dictionary.write(out);
        }
        if header.mode == Mode::Raw {
            out.extend_from_slice(bytemuck::cast_slice(&self.values));
        } else {
            out.extend_from_slice(&self.packed.values);
        }
        out.resize(out.len() + TILE_PADDING, 0);
    }
}

/// The runs that end at `ends`, as ranges.
fn runs(ends: &[usize]) -> impl Iterator<Item = Range<usize>> + '_ {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(ends.iter().copied()).map(|(start, end)| start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_counts_are_counts_and_become_the_same_codes() {
        let places = (0..1u32 << 12).map(|step| f32::from_bits(step * 1_048_573));
        let edges = [0.5, 1.0, 1.5, 2.5, SMALL - 1.5, SMALL - 1.0, SMALL, SMALL + 1.0, 16_777_216.0, 16_777_218.0];
        let odd = [0.0, -0.0, -1.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE, 1.0 + f32::EPSILON];
        let mut encoder = TileEncoder::new();
        for value in places.chain(edges).chain(odd).chain((1..3000).map(|count| count as f32 / 2.0)) {
            assert_eq!(are_small_counts(&[3.0, value]), is_count(value) && value < SMALL, "{value}");
            let codes = match is_count(value) {
                true => vec![value as u32 - 1, 6],
                false => vec![value.to_bits(), 7.0_f32.to_bits()],
            };
            assert_eq!((encoder.take_bits(&[value, 7.0]), &encoder.bits), (is_count(value), &codes), "{value}");
        }
    }
}
