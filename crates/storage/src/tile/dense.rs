//! Dense tiles: all values of a few rows, row-major, as they are used.

use super::error::TileError;
use super::header::mismatch;
use super::moments::{CellMoments, GeneShare, TileMoments, million_factors};

/// A dense tile in place.
#[derive(Clone, Copy, Debug)]
pub struct DenseTile<'a> {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub genes: usize,
    /// rows × genes values, row-major.
    pub values: &'a [f32],
}

impl<'a> DenseTile<'a> {
    /// Interprets the bytes of a tile as `rows` × `genes` values.
    ///
    /// # Errors
    ///
    /// When the length differs, or the bytes do not start at a multiple of four (those of a store
    /// always do).
    pub fn parse(bytes: &'a [u8], rows: usize, genes: usize) -> Result<Self, TileError> {
        let expected = rows.saturating_mul(genes).saturating_mul(4);
        if bytes.len() != expected {
            return Err(mismatch("length of the tile", expected, bytes.len() as u64));
        }
        let values = bytemuck::try_cast_slice(bytes)
            .map_err(|_| mismatch("alignment of the tile", 0, bytes.as_ptr() as u64 % 4))?;
        Ok(Self { rows, genes, values })
    }
}

/// Packs rows × genes `values` (row-major, finite, not negative) into `out`, which is overwritten.
///
/// Costs two passes over the values.
///
/// # Panics
///
/// When `values` are not a whole number of rows.
#[track_caller]
pub fn encode_dense(values: &[f32], genes: usize, out: &mut Vec<u8>) -> TileMoments {
    assert!(genes > 0 && values.len().is_multiple_of(genes), "values are whole rows of {genes} genes");
    out.clear();
    out.extend_from_slice(bytemuck::cast_slice(values));
    let above_zero = |&value: &f32| value > 0.0;
    let cells: Vec<_> =
        values.chunks_exact(genes).map(|row| CellMoments::of(row.iter().copied().filter(above_zero))).collect();
    let factors = million_factors(&cells);
    let shares = (0..genes).map(|gene| {
        let column = values[gene..].iter().step_by(genes).copied();
        let of_values = column.clone().zip(&factors).filter(|(value, _)| above_zero(value)).map(|(_, factor)| *factor);
        GeneShare::of(gene as u32, column.filter(above_zero), of_values)
    });
    TileMoments { genes: shares.filter(|share| share.nonzeros > 0).collect(), cells }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_moments_leave_zeros_out() {
        let values = [0.0, 1.5, 2.0, 0.0, 0.0, 3.0];
        let mut bytes = Vec::new();
        let moments = encode_dense(&values, 3, &mut bytes);
        let copy = aligned_vec::AVec::<u8>::from_slice(64, &bytes);
        assert_eq!(DenseTile::parse(&copy, 2, 3).unwrap().values, values);
        assert_eq!(moments.cells[0], CellMoments { nonzeros: 2, sum: 3.5, sum_sq: 6.25 });
        let genes: Vec<_> = moments.genes.iter().map(|share| (share.gene, share.nonzeros, share.max)).collect();
        assert_eq!(genes, [(1, 1, 1.5), (2, 2, 3.0)]);
        assert!(DenseTile::parse(&copy, 3, 3).is_err());
    }
}
