//! The sums of a store by gene, and their files.
//!
//! `genes.bin` has 64 bytes of header with the sums over all genes, and 32 bytes for each gene.
//! `million.bin` has 64 bytes of header, and 16 bytes for each gene; stores of format 1.0 have none. The
//! checksums are in the manifest.

use std::path::Path;

use super::files::Fields;
use crate::error::StorageError;
use crate::tile::{GeneShare, GeneSums};

const MAGIC: &[u8; 8] = b"PWGENES1";
const HEADER: usize = 64;
const GENE_BYTES: usize = 32;

const MILLION_MAGIC: &[u8; 8] = b"PWMILLN1";
const MILLION_BYTES: usize = 16;

/// Sums of values per million are added up in multiples of 1 / `FRACTION`, so that the order of tiles does
/// not matter: a value is at most 10⁶, and 128 bits hold the squares of 2⁴⁶ cells.
const FRACTION: f64 = (1u64 << 40) as f64;

/// The sums of one gene (column).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GeneMoments {
    /// Values above zero.
    pub nonzeros: u64,
    /// Σ x.
    pub sum: f64,
    /// Σ x².
    pub sum_sq: f64,
    /// The largest value.
    pub max: f32,
}

/// The sums of one gene's values per million: t = 10⁶ · x / (sum of the cell).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PerMillion {
    /// Σ t.
    pub sum: f64,
    /// Σ t².
    pub sum_sq: f64,
}

/// The sums of all genes together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Σ x.
    pub sum: f64,
    /// ‖X‖².
    pub sum_sq: f64,
    /// The largest value.
    pub max: f32,
    /// Whether all values are integers up to 2²⁴.
    pub integer: bool,
}

/// The sums of one gene so far: integers exactly, other values in the order of the tiles.
#[derive(Clone, Copy, Debug, Default)]
struct GeneSum {
    nonzeros: u64,
    max: f32,
    exact: (u128, u128),
    float: (f64, f64),
    /// In multiples of 1 / [`FRACTION`].
    per_million: (u128, u128),
}

/// What a [`GeneAccumulator`] has added up.
#[derive(Clone, Debug, Default)]
pub struct GeneTables {
    /// Of each gene.
    pub moments: Vec<GeneMoments>,
    /// Of each gene's values per million.
    pub per_million: Vec<PerMillion>,
    /// Of all genes together.
    pub totals: Totals,
}

/// Adds up the genes' shares of tile after tile. Integers are added exactly, other values in the
/// order in which tiles come.
#[derive(Debug)]
pub struct GeneAccumulator {
    genes: Vec<GeneSum>,
    integer: bool,
}

impl GeneAccumulator {
    /// Zero sums of `genes` genes.
    pub fn new(genes: usize) -> Self {
        Self { genes: vec![GeneSum::default(); genes], integer: true }
    }

    /// Adds the shares of the next tile.
    ///
    /// # Panics
    ///
    /// When a share is of a gene that does not exist.
    pub fn add(&mut self, shares: &[GeneShare]) {
        for share in shares {
            let gene = &mut self.genes[share.gene as usize];
            gene.nonzeros += u64::from(share.nonzeros);
            gene.max = gene.max.max(share.max);
            gene.per_million.0 += (share.per_million.0 * FRACTION).round() as u128;
            gene.per_million.1 += (share.per_million.1 * FRACTION).round() as u128;
            match share.sums {
                GeneSums::Exact { sum, sum_sq } => {
                    gene.exact.0 += u128::from(sum);
                    gene.exact.1 += u128::from(sum_sq);
                }
                GeneSums::Float { sum, sum_sq } => {
                    self.integer = false;
                    gene.float.0 += sum;
                    gene.float.1 += sum_sq;
                }
            }
        }
    }

    /// Whether all values so far are integers up to 2²⁴.
    pub fn is_integer(&self) -> bool {
        self.integer
    }

    /// The sums of each gene and of all.
    pub fn finish(self) -> GeneTables {
        let mut all = GeneSum::default();
        let mut moments = Vec::with_capacity(self.genes.len());
        let mut per_million = Vec::with_capacity(self.genes.len());
        for gene in &self.genes {
            let (sum, sum_sq) = gene.per_million;
            per_million.push(PerMillion { sum: sum as f64 / FRACTION, sum_sq: sum_sq as f64 / FRACTION });
            moments.push(GeneMoments {
                nonzeros: gene.nonzeros,
                sum: gene.exact.0 as f64 + gene.float.0,
                sum_sq: gene.exact.1 as f64 + gene.float.1,
                max: gene.max,
            });
            all.max = all.max.max(gene.max);
            all.exact = (all.exact.0 + gene.exact.0, all.exact.1 + gene.exact.1);
            all.float = (all.float.0 + gene.float.0, all.float.1 + gene.float.1);
        }
        let totals = Totals {
            sum: all.exact.0 as f64 + all.float.0,
            sum_sq: all.exact.1 as f64 + all.float.1,
            max: all.max,
            integer: self.integer,
        };
        GeneTables { moments, per_million, totals }
    }
}

/// Bytes of `genes.bin`.
pub(super) fn file_bytes(genes: usize) -> u64 {
    (HEADER + genes * GENE_BYTES) as u64
}

/// `genes.bin`.
pub(super) fn to_bytes(genes: &[GeneMoments], totals: &Totals) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + genes.len() * GENE_BYTES);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&(genes.len() as u64).to_le_bytes());
    out.extend_from_slice(&totals.sum.to_le_bytes());
    out.extend_from_slice(&totals.sum_sq.to_le_bytes());
    out.extend_from_slice(&totals.max.to_le_bytes());
    out.extend_from_slice(&u32::from(totals.integer).to_le_bytes());
    out.resize(HEADER, 0);
    for gene in genes {
        out.extend_from_slice(&gene.nonzeros.to_le_bytes());
        out.extend_from_slice(&gene.sum.to_le_bytes());
        out.extend_from_slice(&gene.sum_sq.to_le_bytes());
        out.extend_from_slice(&gene.max.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
    }
    out
}

/// Bytes of `million.bin`.
pub(super) fn million_file_bytes(genes: usize) -> u64 {
    (HEADER + genes * MILLION_BYTES) as u64
}

/// `million.bin`.
pub(super) fn million_to_bytes(genes: &[PerMillion]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + genes.len() * MILLION_BYTES);
    out.extend_from_slice(MILLION_MAGIC);
    out.extend_from_slice(&(genes.len() as u64).to_le_bytes());
    out.resize(HEADER, 0);
    for gene in genes {
        out.extend_from_slice(&gene.sum.to_le_bytes());
        out.extend_from_slice(&gene.sum_sq.to_le_bytes());
    }
    out
}

/// Parses `million.bin`, whose checksum has been verified.
pub(super) fn parse_million(content: &[u8], path: &Path, genes: usize) -> Result<Vec<PerMillion>, StorageError> {
    if content.len() as u64 != million_file_bytes(genes) {
        return Err(StorageError::damaged(path, "the number of bytes", million_file_bytes(genes), content.len()));
    }
    let (header, records) = content.split_at(HEADER);
    if &header[..8] != MILLION_MAGIC || header.u64_at(8) != genes as u64 {
        let expected = format!("{} with {genes} genes", MILLION_MAGIC.escape_ascii());
        let found = format!("{} with {} genes", header[..8].escape_ascii(), header.u64_at(8));
        return Err(StorageError::damaged(path, "the header", expected, found));
    }
    let sums = |record: &[u8]| PerMillion { sum: record.f64_at(0), sum_sq: record.f64_at(8) };
    Ok(records.chunks_exact(MILLION_BYTES).map(sums).collect())
}

/// Parses `genes.bin`, whose checksum has been verified.
pub(super) fn parse(content: &[u8], path: &Path, genes: usize) -> Result<(Vec<GeneMoments>, Totals), StorageError> {
    if content.len() as u64 != file_bytes(genes) {
        return Err(StorageError::damaged(path, "the number of bytes", file_bytes(genes), content.len()));
    }
    let (header, records) = content.split_at(HEADER);
    if &header[..8] != MAGIC || header.u64_at(8) != genes as u64 {
        let expected = format!("{} with {genes} genes", MAGIC.escape_ascii());
        let found = format!("{} with {} genes", header[..8].escape_ascii(), header.u64_at(8));
        return Err(StorageError::damaged(path, "the header", expected, found));
    }
    let totals = Totals {
        sum: header.f64_at(16),
        sum_sq: header.f64_at(24),
        max: header.f32_at(32),
        integer: header.u32_at(36) != 0,
    };
    let moments = records.chunks_exact(GENE_BYTES).map(|record| GeneMoments {
        nonzeros: record.u64_at(0),
        sum: record.f64_at(8),
        sum_sq: record.f64_at(16),
        max: record.f32_at(24),
    });
    Ok((moments.collect(), totals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_beyond_what_doubles_hold() {
        let mut sums = GeneAccumulator::new(1);
        let (sum, sum_sq) = (3, (1u64 << 53) + 1);
        let sums_of = GeneSums::Exact { sum, sum_sq };
        let share = GeneShare { gene: 0, nonzeros: 1, max: 3.0, sums: sums_of, per_million: (1e6, 1e12) };
        sums.add(&[share, share]);
        let GeneTables { moments, per_million, totals } = sums.finish();
        assert_eq!(per_million, [PerMillion { sum: 2e6, sum_sq: 2e12 }]);
        assert_eq!(moments[0], GeneMoments { nonzeros: 2, sum: 6.0, sum_sq: ((1u64 << 54) + 2) as f64, max: 3.0 });
        assert!(totals.integer && totals.sum_sq == moments[0].sum_sq);
    }
}
