//! The tables of usages in a result: W, the shares of programs in each cell, and columns of `obs`.
//!
//! W alone does not compare programs: a component of W may grow while its spectrum shrinks by as much.
//! The share of program c in cell i is w_ic·s_c / Σ_c w_ic·s_c, where s_c is the sum of its spectrum: of
//! all that the model has in the cell, what comes from the program. Shares of a cell sum to 1, and are the
//! normalized usages of cNMF, whose spectra sum to 1.

use super::{AnnDataWriter, ArrayWriter};
use crate::StorageError;

/// The name of W in `obsm`.
pub const USAGES: &str = "X_nmf";
/// The name of the table of shares, in `obsm`.
pub const NORMALIZED: &str = "X_nmf_norm";

/// Rows whose shares are in memory at once.
const ROWS: usize = 256;

/// The tables of the usages of k components. The first is W, the second has the shares (zeros where W has
/// zeros only), and each of the others is a column of the second.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageTables {
    /// s_c, the sum of every spectrum.
    sums: Vec<f64>,
    in_obs: bool,
}

impl UsageTables {
    /// The tables of components with these sums of their spectra. `in_obs`: shares are columns of `obs`,
    /// too, called `nmf_0`, `nmf_1`, … as the columns of the tables are numbered.
    pub fn new(sums: Vec<f64>, in_obs: bool) -> Self {
        UsageTables { sums, in_obs }
    }

    /// The name of the column of a component in `obs`.
    pub fn column(component: usize) -> String {
        format!("nmf_{component}")
    }

    /// Begins all of them in `file`, in the place of any tables and columns of the same names.
    ///
    /// # Errors
    ///
    /// - `obs` has not been written, or the file cannot be
    pub fn begin(&self, file: &mut AnnDataWriter, cells: usize) -> Result<Vec<ArrayWriter>, StorageError> {
        let mut tables = Vec::new();
        for name in [USAGES, NORMALIZED] {
            file.remove("obsm", name)?;
            tables.push(file.array2("obsm", name, cells, self.sums.len())?);
        }
        for component in (0..self.sums.len()).filter(|_| self.in_obs) {
            tables.push(file.cell_column(&Self::column(component), cells)?);
        }
        Ok(tables)
    }

    /// Gives the rows of all tables for `rows`, which are rows of W, to `put`, in pieces: the number of
    /// the table, the position of the first row among `rows`, and the values.
    ///
    /// # Errors
    ///
    /// - `put` fails
    pub fn put(
        &self,
        rows: &[f32],
        mut put: impl FnMut(usize, usize, &[f32]) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let k = self.sums.len();
        put(0, 0, rows)?;
        let (mut shares, mut column) = (Vec::new(), Vec::new());
        for (piece, rows) in rows.chunks(ROWS * k).enumerate() {
            let first = piece * ROWS;
            shares.clear();
            for row in rows.chunks_exact(k) {
                let weighted = || row.iter().zip(&self.sums).map(|(&usage, sum)| f64::from(usage) * sum);
                let all: f64 = weighted().sum();
                shares.extend(weighted().map(|part| if all > 0.0 { (part / all) as f32 } else { 0.0 }));
            }
            put(1, first, &shares)?;
            for component in (0..k).filter(|_| self.in_obs) {
                column.clear();
                column.extend(shares.iter().skip(component).step_by(k));
                put(2 + component, first, &column)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_and_columns_are_those_of_the_table() {
        let (sums, k, cells) = ([0.5, 0.0, 2.0], 3, 700);
        let rows: Vec<f32> = (0..cells * k).map(|i| if i / k == 5 { 0.0 } else { (i % 11) as f32 }).collect();
        let mut tables = vec![Vec::new(); 2 + k];
        let take = |table: usize, first: usize, values: &[f32]| {
            let width = if table < 2 { k } else { 1 };
            assert_eq!(tables[table].len(), first * width, "rows come in order");
            tables[table].extend_from_slice(values);
            Ok(())
        };
        UsageTables::new(sums.into(), true).put(&rows, take).unwrap();
        assert_eq!(tables[0], rows);
        for (cell, (usages, shares)) in rows.chunks(k).zip(tables[1].chunks(k)).enumerate() {
            let all = 0.5 * usages[0] + 2.0 * usages[2];
            for (component, sum) in [0.5, 0.0, 2.0].into_iter().enumerate() {
                let expected = if all > 0.0 { usages[component] * sum / all } else { 0.0 };
                assert!((shares[component] - expected).abs() <= 1e-6, "cell {cell}");
                assert_eq!(tables[2 + component][cell], shares[component]);
            }
        }
    }
}
