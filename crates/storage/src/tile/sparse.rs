//! A sparse tile in place: its bytes, with checked lengths.

use super::decode::RunDecoder;
use super::dictionary;
use super::error::TileError;
use super::header::{Header, Mode, Sections, mismatch};

/// A packed tile whose lengths have been checked.
#[derive(Clone, Copy, Debug)]
pub struct SparseTile<'a> {
    pub(super) header: Header,
    pub(super) genes: usize,
    /// The whole tile with its padding.
    pub(super) bytes: &'a [u8],
}

impl<'a> SparseTile<'a> {
    /// Interprets `bytes` as a tile of `rows` rows of a matrix with `genes` columns that holds
    /// `nonzeros` values.
    ///
    /// Costs O(genes / 64 + runs) and allocates nothing.
    ///
    /// # Errors
    ///
    /// When the header contradicts these numbers, when the lengths of the sections do not add up to
    /// the length of `bytes`, when a gene is out of range or when the runs do not hold `nonzeros`
    /// in all.
    pub fn parse(bytes: &'a [u8], rows: usize, genes: usize, nonzeros: u64) -> Result<Self, TileError> {
        let header = Header::parse(bytes)?;
        header.check()?;
        if header.rows != rows {
            return Err(mismatch("rows", rows, header.rows as u64));
        }
        if header.nonzeros as u64 != nonzeros {
            let found = header.nonzeros as u64;
            return Err(TileError::Mismatch { what: "nonzeros", expected: nonzeros, found });
        }
        let sections = header.sections(genes)?;
        if sections.total != bytes.len() {
            return Err(mismatch("length of the tile", sections.total, bytes.len() as u64));
        }
        check_genes(&bytes[sections.genes], genes, header.runs)?;
        let counts = &bytes[sections.counts];
        let held = counts.iter().map(|&count| u64::from(count)).sum::<u64>() + header.runs as u64;
        if held != nonzeros {
            return Err(TileError::Mismatch { what: "nonzeros of all runs", expected: nonzeros, found: held });
        }
        if header.mode == Mode::Dictionary {
            dictionary::check(&bytes[sections.dictionary], rows)?;
        }
        Ok(Self { header, genes, bytes })
    }

    /// Rows of the tile.
    pub fn rows(&self) -> usize {
        self.header.rows
    }

    /// Columns of the matrix.
    pub fn genes(&self) -> usize {
        self.genes
    }

    /// Values above zero.
    pub fn nonzeros(&self) -> usize {
        self.header.nonzeros
    }

    /// A decoder of its runs in gene order, at the first.
    pub fn runs(&self) -> RunDecoder<'a> {
        RunDecoder::new(self)
    }

    /// The places of the sections.
    pub(super) fn sections(&self) -> Sections {
        self.header.sections(self.genes).expect("added up when the tile was parsed")
    }
}

/// Checks that the bitmap has a bit for each run and none from `genes` on.
fn check_genes(bitmap: &[u8], genes: usize, runs: usize) -> Result<(), TileError> {
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("chunks of eight bytes"));
    let present: u64 = bitmap.chunks_exact(8).map(|bytes| u64::from(word(bytes).count_ones())).sum();
    if present != runs as u64 {
        return Err(mismatch("genes present", runs, present));
    }
    let last = bitmap.rchunks_exact(8).next().map_or(0, word);
    if !genes.is_multiple_of(64) && last >> (genes % 64) != 0 {
        return Err(mismatch("genes (at most)", genes, bitmap.len() as u64 * 8 - u64::from(last.leading_zeros())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genes_beyond_those_of_the_matrix_are_refused_with_the_number_that_they_would_need() {
        let mut bitmap = [0; 16];
        bitmap[69 / 8] |= 1 << (69 % 8);
        assert_eq!(check_genes(&bitmap, 70, 1), Ok(()));
        assert_eq!(check_genes(&bitmap, 70, 2), Err(mismatch("genes present", 2, 1)));
        assert_eq!(check_genes(&bitmap, 69, 1), Err(mismatch("genes (at most)", 69, 70)));
        bitmap[100 / 8] |= 1 << (100 % 8);
        assert_eq!(check_genes(&bitmap, 70, 2), Err(mismatch("genes (at most)", 70, 101)));
        assert_eq!(check_genes(&bitmap, 128, 2), Ok(()));
    }
}
