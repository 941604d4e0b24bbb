//! Sums over the values of a tile, by gene and by cell.
//!
//! If all values are integers (up to 2²⁴), the sums are integers and exact, so that they do not
//! depend on the order of the tiles. Other values are summed in `f64`, in row order within a gene
//! and in gene order within a cell.
//!
//! Besides, each gene has sums of its values per million: 10⁶ · x / (sum of the cell), in `f64`, in
//! row order. Cells without a value above zero add nothing.

use super::TILE_ROWS;

/// The sums of one cell (row).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CellMoments {
    /// Values above zero.
    pub nonzeros: u32,
    /// Σ x.
    pub sum: f64,
    /// Σ x².
    pub sum_sq: f64,
}

/// The sums of one gene (column) in one tile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeneShare {
    /// The gene.
    pub gene: u32,
    /// Values above zero, at most the rows of a tile.
    pub nonzeros: u32,
    /// The largest value.
    pub max: f32,
    /// Σ x and Σ x².
    pub sums: GeneSums,
    /// Σ t and Σ t² of its values per million, t.
    pub per_million: (f64, f64),
}

/// Σ x and Σ x² of a gene in one tile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GeneSums {
    /// All values are integers up to 2²⁴: at most 2³² and 2⁵⁶.
    Exact {
        /// Σ x.
        sum: u64,
        /// Σ x².
        sum_sq: u64,
    },
    /// Some value is not an integer up to 2²⁴.
    Float {
        /// Σ x.
        sum: f64,
        /// Σ x².
        sum_sq: f64,
    },
}

/// The sums of a tile: a share for each gene that has a value above zero, ascending, and moments
/// for each of its rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TileMoments {
    /// Genes with a nonzero.
    pub genes: Vec<GeneShare>,
    /// All rows.
    pub cells: Vec<CellMoments>,
}

/// 10⁶ / (sum of the cell) for each cell of a tile; of no use where the sum is zero.
pub(super) fn million_factors(cells: &[CellMoments]) -> [f64; TILE_ROWS] {
    // As long as a tile may be, so that no place needs a check.
    let mut factors = [0.0; TILE_ROWS];
    factors.iter_mut().zip(cells).for_each(|(factor, cell)| *factor = 1e6 / cell.sum);
    factors
}

/// Σ t and Σ t² of values per million, given as values with the factors of their cells, in row order.
fn per_million(values: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    values.fold((0.0, 0.0), |(sum, sum_sq), (value, factor)| {
        let scaled = value * factor;
        (sum + scaled, sum_sq + scaled * scaled)
    })
}

impl GeneShare {
    /// The share of a gene with the given values above zero, in row order, and the factors of their cells
    /// ([`million_factors`]).
    pub(super) fn of(gene: u32, values: impl Iterator<Item = f32> + Clone, factors: impl Iterator<Item = f64>) -> Self {
        let (mut nonzeros, mut max, mut integers) = (0, 0f32, true);
        let (mut sum, mut sum_sq) = (0u64, 0u64);
        for value in values.clone() {
            nonzeros += 1;
            max = max.max(value);
            integers &= super::is_count(value);
            // Used only if all values are counts. The mask prevents others from overflowing.
            let integer = u64::from(value as u32 & 0x1ff_ffff);
            sum += integer;
            sum_sq += integer * integer;
        }
        let sums = if integers {
            GeneSums::Exact { sum, sum_sq }
        } else {
            let (sum, sum_sq) = float_sums(values.clone());
            GeneSums::Float { sum, sum_sq }
        };
        let per_million = per_million(values.map(f64::from).zip(factors));
        Self { gene, nonzeros, max, sums, per_million }
    }
}

impl GeneShare {
    /// The share of a gene whose values are `codes`, each plus one, with the factors of their cells.
    pub(super) fn of_counts(gene: u32, codes: &[u32], factors: impl Iterator<Item = f64>) -> Self {
        let max = codes.iter().copied().max().map_or(0, |code| code + 1);
        // A tile has at most 256 rows: neither sum overflows.
        let (sum, sum_sq) = count_sums(codes);
        let per_million = per_million(codes.iter().map(|&code| f64::from(code) + 1.0).zip(factors));
        Self { gene, nonzeros: codes.len() as u32, max: max as f32, sums: GeneSums::Exact { sum, sum_sq }, per_million }
    }
}

impl CellMoments {
    /// The moments of a row whose values are `codes`, each plus one.
    pub(super) fn of_counts(codes: &[u32]) -> Self {
        // Squares are at most 2⁴⁸: 2¹⁶ of them fit 64 bits.
        let (sum, sum_sq) = codes
            .chunks(1 << 16)
            .map(count_sums)
            .fold((0, 0u128), |(sum, sum_sq), some| (sum + some.0, sum_sq + u128::from(some.1)));
        Self { nonzeros: codes.len() as u32, sum: sum as f64, sum_sq: sum_sq as f64 }
    }

    /// The moments of a row with the given values above zero, in gene order.
    pub(crate) fn of(values: impl Iterator<Item = f32> + Clone) -> Self {
        let (mut nonzeros, mut integers) = (0, true);
        let (mut sum, mut sum_sq) = (0u64, 0u128);
        for value in values.clone() {
            nonzeros += 1;
            integers &= super::is_count(value);
            // Used only if all values are counts. The mask prevents others from overflowing.
            let integer = u64::from(value as u32 & 0x1ff_ffff);
            sum += integer;
            sum_sq += u128::from(integer * integer);
        }
        let (sum, sum_sq) = if integers { (sum as f64, sum_sq as f64) } else { float_sums(values) };
        Self { nonzeros, sum, sum_sq }
    }
}

fn count_sums(codes: &[u32]) -> (u64, u64) {
    codes.iter().fold((0, 0), |(sum, sum_sq), &code| {
        let value = u64::from(code) + 1;
        (sum + value, sum_sq + value * value)
    })
}

fn float_sums(values: impl Iterator<Item = f32>) -> (f64, f64) {
    values.fold((0.0, 0.0), |(sum, sum_sq), value| {
        let value = f64::from(value);
        (sum + value, sum_sq + value * value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_summed_exactly() {
        let values = [16_777_216.0f32, 3.0, 16_777_215.0];
        let GeneSums::Exact { sum, sum_sq } = GeneShare::of(7, values.iter().copied(), [1.0; 3].into_iter()).sums
        else {
            panic!("integers")
        };
        assert_eq!(sum, 33_554_434);
        assert_eq!(sum_sq, (1u64 << 48) + 9 + 16_777_215 * 16_777_215);
    }

    #[test]
    fn counts_are_summed_alike_as_codes() {
        let values: Vec<f32> = (0..70_000u64).map(|place| (place * place % 977 + 1) as f32 * 4096.0).collect();
        let codes: Vec<u32> = values.iter().map(|&value| value as u32 - 1).collect();
        assert_eq!(CellMoments::of_counts(&codes), CellMoments::of(values.iter().copied()));
        let (values, codes) = (&values[..256], &codes[..256]);
        let factors = (0..256).map(|row| 1e6 / f64::from(row + 1));
        assert_eq!(GeneShare::of_counts(3, codes, factors.clone()), GeneShare::of(3, values.iter().copied(), factors));
    }

    #[test]
    fn one_fraction_makes_the_sums_floats() {
        let share = GeneShare::of(7, [2.0f32, 0.5].into_iter(), [0.5, 4.0].into_iter());
        assert_eq!(share.per_million, (3.0, 5.0));
        assert_eq!((share.nonzeros, share.max), (2, 2.0));
        assert_eq!(share.sums, GeneSums::Float { sum: 2.5, sum_sq: 4.25 });
        assert_eq!(CellMoments::of([2.0f32, 0.5].into_iter()), CellMoments { nonzeros: 2, sum: 2.5, sum_sq: 4.25 });
    }
}
