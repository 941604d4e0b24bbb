//! A matrix in memory for the library's users, checked on the way in.

use std::ops::Range;
use std::sync::Arc;

use partwise_storage::StorageError;
use partwise_storage::store::{
    GeneAccumulator, GeneMoments, GeneTables, Layout, PerMillion, Totals, default_block_rows,
};
use partwise_storage::tile::{CellMoments, CsrRows, TileEncoder, TileMoments, encode_dense};

use super::memory::{Cut, MemoryBlocks, PackedTile};
use super::{Blocks, FitData};

/// Arrays that cannot be a matrix for a factorization.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MatrixError {
    /// There is no row or no column, or there are 2³² columns or more.
    #[error("{cells} rows of {genes} genes are no matrix to factorize")]
    Shape {
        /// Rows.
        cells: usize,
        /// Columns.
        genes: usize,
    },
    /// An array does not have the length that the others require.
    #[error("{array} has {found} entries, expected {expected}")]
    Length {
        /// Name of the array.
        array: &'static str,
        /// Entries expected.
        expected: usize,
        /// Entries found.
        found: usize,
    },
    /// Row pointers fall, or point beyond the entries.
    #[error("row {row}: its entries end at {end}, expected {} to {most}", least)]
    Pointer {
        /// The row.
        row: usize,
        /// Its end.
        end: usize,
        /// The least end possible.
        least: usize,
        /// The largest end possible.
        most: usize,
    },
    /// A column that the matrix does not have.
    #[error("row {row} has an entry in column {column}, but there are {genes} genes")]
    Column {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// Genes of the matrix.
        genes: usize,
    },
    /// A value that is negative, missing or infinite, or duplicates that add up beyond 32 bits.
    #[error("row {row}, column {column}: {value} is no value for a non-negative factorization")]
    Value {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// The value.
        value: f32,
    },
}

/// A matrix of n cells × m genes in memory, to be fitted as a store is.
///
/// Arrays are checked and packed on the way in; the result of a fit has the bits that a store of
/// the same values gives.
///
/// ```
/// use partwise_driver::Matrix;
/// // Two cells, three genes: [1 0 2], [0 5 0].
/// let x = Matrix::from_csr(3, &[0, 2, 3], &[0, 2, 1], &[1.0, 2.0, 5.0])?;
/// assert_eq!((x.cells(), x.genes(), x.nonzeros()), (2, 3, 3));
/// assert!(Matrix::from_dense(2, &[1.0, -1.0]).is_err());
/// # Ok::<(), partwise_driver::MatrixError>(())
/// ```
#[derive(Debug)]
pub struct Matrix {
    blocks: MemoryBlocks,
    genes: Vec<GeneMoments>,
    per_million: Vec<PerMillion>,
    cells: Vec<CellMoments>,
    totals: Totals,
    nonzeros: u64,
}

impl Matrix {
    /// From compressed rows.
    ///
    /// | argument  | length   | holds                                              |
    /// |-----------|----------|----------------------------------------------------|
    /// | `genes`   |          | columns m                                          |
    /// | `indptr`  | n + 1    | where each row's entries begin, and where all end  |
    /// | `indices` | entries  | the column of each entry                           |
    /// | `values`  | entries  | the value of each entry, finite and ≥ 0            |
    ///
    /// As in files, rows may be unsorted, duplicates are added up and zeros are dropped. Costs a
    /// pass over the entries on the calling thread and about a byte of memory a nonzero for counts.
    ///
    /// # Errors
    ///
    /// When lengths disagree, a column does not exist, or a value is negative, missing or infinite:
    /// the error names row and column.
    pub fn from_csr(genes: usize, indptr: &[usize], indices: &[u32], values: &[f32]) -> Result<Self, MatrixError> {
        let cells = indptr.len().saturating_sub(1);
        check_shape(cells, genes)?;
        check_length("values", indices.len(), values.len())?;
        let least = indptr[0];
        if least > indices.len() {
            return Err(MatrixError::Pointer { row: 0, end: least, least: 0, most: indices.len() });
        }
        for (row, ends) in indptr.windows(2).enumerate() {
            if ends[1] < ends[0] || ends[1] > indices.len() {
                return Err(MatrixError::Pointer { row, end: ends[1], least: ends[0], most: indices.len() });
            }
        }
        let tile_rows = Layout::Sparse.tile_rows(genes);
        let mut packer = Packer::new(Layout::Sparse, genes);
        let mut encoder = TileEncoder::new();
        let mut rows = TidyRows::default();
        let mut bytes = Vec::new();
        for first in (0..cells).step_by(tile_rows) {
            let end = (first + tile_rows).min(cells);
            rows.clear();
            for row in first..end {
                let entries = indptr[row]..indptr[row + 1];
                rows.push(row, genes, &indices[entries.clone()], &values[entries])?;
            }
            let csr = CsrRows { indptr: &rows.indptr, indices: &rows.indices, values: &rows.values };
            let moments = encoder.encode(csr, genes, &mut bytes);
            packer.push(&bytes, end - first, rows.values.len() as u64, moments);
        }
        Ok(packer.finish(cells))
    }

    /// From dense rows: `values` has n × `genes` of them, row-major, finite and ≥ 0.
    ///
    /// Costs two passes over the values on the calling thread, and a copy.
    ///
    /// # Errors
    ///
    /// When `values` is not whole rows, or a value is negative, missing or infinite: the error
    /// names row and column.
    pub fn from_dense(genes: usize, values: &[f32]) -> Result<Self, MatrixError> {
        let cells = values.len().checked_div(genes).unwrap_or(0);
        check_shape(cells, genes)?;
        check_length("values", cells * genes, values.len())?;
        if let Some(at) = values.iter().position(|&value| !is_legal(value)) {
            return Err(MatrixError::Value { row: at / genes, column: at % genes, value: values[at] });
        }
        let mut packer = Packer::new(Layout::Dense, genes);
        let mut bytes = Vec::new();
        for rows in values.chunks(Layout::Dense.tile_rows(genes) * genes) {
            let moments = encode_dense(rows, genes, &mut bytes);
            packer.push(&bytes, rows.len() / genes, rows.len() as u64, moments);
        }
        Ok(packer.finish(cells))
    }

    /// The sums of each gene's values per million.
    pub(crate) fn sums_per_million(&self) -> &[PerMillion] {
        &self.per_million
    }

    /// The same in blocks of so many tiles.
    pub(crate) fn cut_into(self, tiles_per_block: usize) -> Self {
        Matrix { blocks: self.blocks.cut_into(tiles_per_block), ..self }
    }

    /// The rows as blocks in memory.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> &MemoryBlocks {
        &self.blocks
    }

    /// Cells n.
    pub fn cells(&self) -> usize {
        self.blocks.cells()
    }

    /// Genes m.
    pub fn genes(&self) -> usize {
        self.blocks.genes()
    }

    /// Values above zero.
    pub fn nonzeros(&self) -> u64 {
        self.nonzeros
    }
}

impl FitData for Matrix {
    fn blocks(&self) -> &dyn Blocks {
        &self.blocks
    }
    fn nonzeros(&self) -> u64 {
        self.nonzeros
    }
    fn sq_norm(&self) -> f64 {
        self.totals.sum_sq
    }
    fn gene_moments(&self) -> &[GeneMoments] {
        &self.genes
    }
    fn holds_counts(&self) -> bool {
        self.totals.integer
    }
    fn per_million(&self) -> Result<Option<Vec<PerMillion>>, StorageError> {
        Ok(Some(self.per_million.clone()))
    }
    fn cell_moments(&self, cells: Range<usize>) -> Result<Vec<CellMoments>, StorageError> {
        Ok(self.cells[cells].to_vec())
    }
    fn fingerprint(&self) -> String {
        self.blocks.fingerprint()
    }
}

fn is_legal(value: f32) -> bool {
    value >= 0.0 && value.is_finite()
}

fn check_shape(cells: usize, genes: usize) -> Result<(), MatrixError> {
    match cells > 0 && genes > 0 && genes <= u32::MAX as usize {
        true => Ok(()),
        false => Err(MatrixError::Shape { cells, genes }),
    }
}

fn check_length(array: &'static str, expected: usize, found: usize) -> Result<(), MatrixError> {
    if expected == found { Ok(()) } else { Err(MatrixError::Length { array, expected, found }) }
}

/// Rows of one tile, sorted, with duplicates added up and without zeros.
#[derive(Debug, Default)]
struct TidyRows {
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
    row: Vec<(u32, f32)>,
}

impl TidyRows {
    fn clear(&mut self) {
        self.indptr.clear();
        self.indptr.push(0);
        self.indices.clear();
        self.values.clear();
    }

    fn push(&mut self, row: usize, genes: usize, indices: &[u32], values: &[f32]) -> Result<(), MatrixError> {
        self.row.clear();
        for (&column, &value) in indices.iter().zip(values) {
            let column_of = column as usize;
            if column_of >= genes {
                return Err(MatrixError::Column { row, column: column_of, genes });
            }
            if !is_legal(value) {
                return Err(MatrixError::Value { row, column: column_of, value });
            }
            self.row.push((column, value));
        }
        if !self.row.is_sorted_by(|a, b| a.0 < b.0) {
            self.row.sort_by_key(|entry| entry.0);
            // In f64, so that the sum of a few counts is exact.
            for same in self.row.chunk_by_mut(|a, b| a.0 == b.0) {
                let value = same.iter().map(|entry| f64::from(entry.1)).sum::<f64>() as f32;
                if !value.is_finite() {
                    return Err(MatrixError::Value { row, column: same[0].0 as usize, value });
                }
                same.iter_mut().for_each(|entry| entry.1 = value);
            }
            self.row.dedup_by_key(|entry| entry.0);
        }
        for &(column, value) in self.row.iter().filter(|entry| entry.1 > 0.0) {
            self.indices.push(column);
            self.values.push(value);
        }
        self.indptr.push(self.indices.len());
        Ok(())
    }
}

/// Collects tiles and their sums.
struct Packer {
    layout: Layout,
    genes: usize,
    tiles: Vec<Arc<PackedTile>>,
    sums: GeneAccumulator,
    cells: Vec<CellMoments>,
    nonzeros: u64,
}

impl Packer {
    fn new(layout: Layout, genes: usize) -> Self {
        let sums = GeneAccumulator::new(genes);
        Packer { layout, genes, tiles: Vec::new(), sums, cells: Vec::new(), nonzeros: 0 }
    }

    fn push(&mut self, bytes: &[u8], rows: usize, entries: u64, moments: TileMoments) {
        self.tiles.push(Arc::new(PackedTile::copy(bytes, rows, entries)));
        self.nonzeros += moments.cells.iter().map(|cell| u64::from(cell.nonzeros)).sum::<u64>();
        self.sums.add(&moments.genes);
        self.cells.extend(moments.cells);
    }

    fn finish(self, cells: usize) -> Matrix {
        let Packer { layout, genes, tiles, sums, cells: cell_moments, nonzeros } = self;
        let entries = match layout {
            Layout::Sparse => nonzeros,
            Layout::Dense => cells as u64 * genes as u64,
        };
        let tile_rows = layout.tile_rows(genes);
        // As a store is cut, so that both give the same bits.
        let tiles_per_block = default_block_rows(cells, genes, entries) / tile_rows;
        let GeneTables { moments, per_million, totals } = sums.finish();
        let norms = moments.iter().map(|gene| gene.sum_sq).collect();
        let cut = Cut { layout, genes, tile_rows, tiles_per_block };
        let blocks = MemoryBlocks::with_norms(cut, tiles, None, norms);
        Matrix { blocks, genes: moments, per_million, cells: cell_moments, totals, nonzeros }
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    #[test]
    fn blocks_in_memory_keep_their_promises() {
        let sparse: Vec<f32> = (0..700 * 30).map(|i| if i % 7 < 5 { 0.0 } else { (i % 11) as f32 }).collect();
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        for row in sparse.chunks(30) {
            for (column, &value) in row.iter().enumerate() {
                indices.push(column as u32);
                values.push(value);
            }
            indptr.push(indices.len());
        }
        let x = Matrix::from_csr(30, &indptr, &indices, &values).unwrap();
        assert_eq!(x.nonzeros(), sparse.iter().filter(|&&value| value > 0.0).count() as u64);
        conformance::hold(&x.blocks);
        let dense = Matrix::from_dense(30, &sparse).unwrap();
        conformance::hold(&dense.blocks);
        let weights = (0..700).map(|row| 1.0 + (row % 3) as f32).collect();
        let cut = Cut { layout: Layout::Sparse, genes: 30, tile_rows: 256, tiles_per_block: 2 };
        conformance::hold(&MemoryBlocks::new(cut, x.blocks.tiles.clone(), Some(weights)).unwrap());
    }

    #[test]
    fn rows_are_sorted_duplicates_added_up_and_zeros_dropped() {
        let tidy = Matrix::from_csr(4, &[0, 2], &[1, 3], &[5.0, 1.0]).unwrap();
        let untidy = Matrix::from_csr(4, &[0, 4], &[3, 1, 0, 1], &[1.0, 2.0, 0.0, 3.0]).unwrap();
        assert_eq!(tidy.fingerprint(), untidy.fingerprint());
        // Entries before the first row's are not part of the matrix.
        let later = Matrix::from_csr(4, &[1, 3], &[9, 1, 3], &[-1.0, 5.0, 1.0]).unwrap();
        assert_eq!(tidy.fingerprint(), later.fingerprint());
    }

    #[test]
    fn arrays_that_are_no_matrix_are_refused_with_row_and_column() {
        let csr = |genes, indptr: &[usize], indices: &[u32], values: &[f32]| {
            Matrix::from_csr(genes, indptr, indices, values).unwrap_err().to_string()
        };
        for (said, error) in [
            ("0 rows of 3 genes", csr(3, &[], &[], &[])),
            ("0 rows of 3 genes", csr(3, &[0], &[], &[])),
            ("1 rows of 0 genes", csr(0, &[0, 0], &[], &[])),
            ("values has 1 entries, expected 2", csr(3, &[0, 2], &[0, 1], &[1.0])),
            ("row 1: its entries end at 1, expected 2 to 2", csr(3, &[0, 2, 1], &[0, 1], &[1.0, 1.0])),
            ("row 0: its entries end at 3, expected 0 to 2", csr(3, &[0, 3], &[0, 1], &[1.0, 1.0])),
            ("row 0: its entries end at 9, expected 0 to 1", csr(3, &[9, 9], &[0], &[1.0])),
            ("row 1 has an entry in column 3, but there are 3 genes", csr(3, &[0, 1, 2], &[0, 3], &[1.0, 1.0])),
            ("row 1, column 2: -1 is no value", csr(3, &[0, 1, 2], &[0, 2], &[1.0, -1.0])),
            ("row 0, column 0: NaN is no value", csr(3, &[0, 1], &[0], &[f32::NAN])),
            ("row 0, column 0: inf is no value", csr(3, &[0, 2], &[0, 0], &[3e38, 3e38])),
            ("values has 4 entries, expected 3", Matrix::from_dense(3, &[1.0; 4]).unwrap_err().to_string()),
            ("row 1, column 0: inf", Matrix::from_dense(2, &[1.0, 1.0, f32::INFINITY, 1.0]).unwrap_err().to_string()),
        ] {
            assert!(error.contains(said), "{error} does not say: {said}");
        }
    }
}
