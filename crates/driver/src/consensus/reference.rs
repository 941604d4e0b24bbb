//! The reference of starCAT: spectra of a consensus in the units in which it finds usages in other cells.
//!
//! With S the spectra in values per million and σ the standard deviations of the genes in these values (with n), the
//! reference of program c and gene j is
//!
//! > 10⁶ · S\[c, j\] / Σⱼ S\[c, j\] / σⱼ
//!
//! where the sum is over all genes, and j is one of those that were selected.

use partwise_storage::store::PerMillion;

use super::Programs;

impl Programs {
    /// The reference of program `component` for the genes `places`, found in `cells` cells. Not finite for a gene that
    /// does not vary.
    ///
    /// # Panics
    ///
    /// When there is no such program or gene.
    pub fn reference(&self, component: usize, places: &[usize], cells: usize) -> Vec<f32> {
        let sum: f64 = self.tpm.component(component).map(f64::from).sum();
        let of_gene = |&gene: &usize| {
            let share = f64::from(self.tpm.get(component, gene)) / sum;
            (1e6 * share / deviation(self.sums[gene], cells)) as f32
        };
        places.iter().map(of_gene).collect()
    }
}

/// σ with n; zero if the values do not vary.
fn deviation(PerMillion { sum, sum_sq }: PerMillion, cells: usize) -> f64 {
    let n = cells as f64;
    let squares = sum_sq - sum * sum / n;
    // Below this the difference is rounding.
    if squares <= 1e-12 * sum_sq { 0.0 } else { (squares / n).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_all_cells_and_zero_without_variation() {
        let sums = |values: &[f64]| PerMillion {
            sum: values.iter().sum(),
            sum_sq: values.iter().map(|value| value * value).sum(),
        };
        assert_eq!(deviation(sums(&[1.0, 3.0]), 2), 1.0);
        assert_eq!(deviation(sums(&[2.5, 2.5, 2.5]), 3), 0.0);
        assert_eq!(deviation(sums(&[0.0]), 1), 0.0);
    }
}
