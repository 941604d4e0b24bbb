//! The spectra of all replicates of one k, scaled to norm 1.

use super::ConsensusError;

/// The spectra of all replicates of one k, R·k × m, each of norm 1.
#[derive(Debug, Clone)]
pub struct Replicates {
    k: usize,
    genes: usize,
    rows: Vec<f64>,
}

impl Replicates {
    /// The `spectra` of replicates of `k` components, one row each over `genes` selected genes (R·k × m), replicate
    /// by replicate. Memory: 8 bytes a value.
    ///
    /// # Errors
    ///
    /// - there are fewer than two replicates, or a part of one
    /// - a spectrum is zero
    ///
    /// # Panics
    ///
    /// When `k` or `genes` is zero, or a row is not whole.
    pub fn new(spectra: &[f32], k: usize, genes: usize) -> Result<Self, ConsensusError> {
        assert!(k > 0 && genes > 0, "replicates have components and genes");
        assert_eq!(spectra.len() % genes, 0, "a spectrum has {genes} values");
        let count = spectra.len() / genes;
        if !count.is_multiple_of(k) {
            return Err(ConsensusError::Ragged { spectra: count, k });
        }
        if count < 2 * k {
            return Err(ConsensusError::Replicates { replicates: count / k });
        }
        let mut rows = Vec::with_capacity(spectra.len());
        for (at, spectrum) in spectra.chunks_exact(genes).enumerate() {
            let norm = spectrum.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
            if norm == 0.0 {
                return Err(ConsensusError::ZeroSpectrum { replicate: at / k, component: at % k });
            }
            rows.extend(spectrum.iter().map(|&value| f64::from(value) / norm));
        }
        Ok(Replicates { k, genes, rows })
    }

    /// Components of a replicate.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Genes m.
    pub fn genes(&self) -> usize {
        self.genes
    }

    /// Replicates R.
    pub fn replicates(&self) -> usize {
        self.len() / self.k
    }

    /// Spectra R·k.
    pub(super) fn len(&self) -> usize {
        self.rows.len() / self.genes
    }

    pub(super) fn row(&self, at: usize) -> &[f64] {
        &self.rows[at * self.genes..][..self.genes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_replicates_and_empty_spectra_are_refused() {
        assert_eq!(Replicates::new(&[1.0; 9], 2, 3).unwrap_err(), ConsensusError::Ragged { spectra: 3, k: 2 });
        assert_eq!(Replicates::new(&[1.0; 6], 2, 3).unwrap_err(), ConsensusError::Replicates { replicates: 1 });
        let mut spectra = [1.0; 12];
        spectra[9..].fill(0.0);
        let error = Replicates::new(&spectra, 2, 3).unwrap_err();
        assert_eq!(error, ConsensusError::ZeroSpectrum { replicate: 1, component: 1 });
    }
}
