//! H, the spectra, in the order of the kernels: gene-major, m × ks, padding lanes zero.

use fixedbitset::FixedBitSet;
use partwise_kernels::{FactorBuf, FactorMut, FactorRef, gram, stride};
use rayon::prelude::*;
use tracing::info_span;

use crate::exact::{exponent, power_of_two};

/// Genes that one task handles in loops over genes; sums over genes are taken per chunk and merged
/// in chunk order, so that they do not depend on the number of threads.
pub(crate) const GENE_CHUNK: usize = 512;

/// Genes of one share of H·Hᵀ: enough that all shares together (k × k each, f64) stay below half of
/// H.
fn gram_chunk(k: usize) -> usize {
    GENE_CHUNK.max(16 * k)
}

/// Bytes that [`Spectra::gram`] holds while it sums.
pub(crate) fn gram_bytes(genes: usize, k: usize) -> u64 {
    8 * (k * k * genes.div_ceil(gram_chunk(k))) as u64
}

/// The spectra: `ht[j·ks + c]` = H[c, j].
#[derive(Debug, Clone)]
pub struct Spectra {
    genes: usize,
    k: usize,
    ks: usize,
    ht: FactorBuf,
}

impl Spectra {
    /// All zero. Memory: 4·m·ks bytes.
    pub fn zeros(genes: usize, k: usize) -> Self {
        let ks = stride(k);
        Spectra { genes, k, ks, ht: FactorBuf::zeros(genes, k) }
    }

    /// Genes m.
    pub fn genes(&self) -> usize {
        self.genes
    }

    /// Components k.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Distance between genes in `ht`, k rounded up to the kernels' width.
    pub fn ks(&self) -> usize {
        self.ks
    }

    /// Hᵀ, m × ks.
    pub fn ht(&self) -> &[f32] {
        &self.ht
    }

    /// Hᵀ, m × ks; padding lanes must stay zero.
    pub fn ht_mut(&mut self) -> &mut [f32] {
        &mut self.ht
    }

    /// H as a factor of k components, gene by gene (m × k).
    pub fn view(&self) -> FactorRef<'_> {
        self.ht.view(self.genes, self.k)
    }

    /// The same, to be written; padding lanes must stay zero.
    pub fn view_mut(&mut self) -> FactorMut<'_> {
        self.ht.view_mut(self.genes, self.k)
    }

    /// H[c, j], the weight of gene `gene` in component `component`.
    ///
    /// # Panics
    ///
    /// When there is no such component or gene.
    pub fn get(&self, component: usize, gene: usize) -> f32 {
        assert!(component < self.k, "component {component} of {}", self.k);
        self.ht[gene * self.ks + component]
    }

    /// Row `component` of H: its weight in every gene.
    ///
    /// # Panics
    ///
    /// When there is no such component.
    pub fn component(&self, component: usize) -> impl ExactSizeIterator<Item = f32> + '_ {
        assert!(component < self.k, "component {component} of {}", self.k);
        self.ht.iter().skip(component).step_by(self.ks).copied()
    }

    /// Hᵀ without padding, m × k row-major.
    pub fn to_rows(&self) -> Vec<f32> {
        self.view().iter().flat_map(|gene| &gene[..self.k]).copied().collect()
    }

    /// The sum of every component, added in the order of the genes.
    pub fn sums(&self) -> Vec<f64> {
        (0..self.k).map(|component| self.component(component).map(f64::from).sum()).collect()
    }

    /// Makes every column of H zero but those of the genes with a factor.
    pub(crate) fn leave_out(&mut self, factors: &[f32]) {
        let ks = self.ks;
        for (gene, &factor) in self.ht.chunks_exact_mut(ks).zip(factors) {
            if factor == 0.0 {
                gene.fill(0.0);
            }
        }
    }

    /// The columns of the genes in `kept`.
    pub(crate) fn of_genes(&self, kept: &FixedBitSet) -> Spectra {
        let (ks, mut some) = (self.ks, Spectra::zeros(kept.count_ones(..), self.k));
        for (to, gene) in some.ht_mut().chunks_exact_mut(ks).zip(kept.ones()) {
            to.copy_from_slice(&self.ht[gene * ks..(gene + 1) * ks]);
        }
        some
    }

    /// H·Hᵀ (k × k, f64) in a fixed order of summation. Costs m·k² flops.
    pub fn gram(&self) -> Vec<f64> {
        let (k, ks) = (self.k, self.ks);
        let _span = info_span!("Gram matrix of H", tasks = self.genes.div_ceil(gram_chunk(k))).entered();
        let shares: Vec<Vec<f64>> = self
            .ht
            .par_chunks(gram_chunk(k) * ks)
            .map(|chunk| {
                let mut share = vec![0.0; k * k];
                gram::add_gram(&mut share, FactorRef::new(chunk, chunk.len() / ks, k, ks));
                share
            })
            .collect();
        let mut sum = vec![0.0; k * k];
        for share in shares {
            sum.iter_mut().zip(share).for_each(|(sum, share)| *sum += share);
        }
        sum
    }

    /// Takes row `c` of H from `other`.
    pub(crate) fn copy_component(&mut self, other: &Spectra, c: usize) {
        let ks = self.ks;
        for (into, from) in self.ht.iter_mut().skip(c).step_by(ks).zip(other.ht.iter().skip(c).step_by(ks)) {
            *into = *from;
        }
    }

    /// Raises entries to a hundredth of their row's mean, for rules that cannot leave zero.
    pub(crate) fn lift_zeros(&mut self) {
        for c in 0..self.k {
            let row = || self.ht.iter().skip(c).step_by(self.ks);
            let mean = row().map(|&value| f64::from(value)).sum::<f64>() / self.genes as f64;
            let (ks, floor) = (self.ks, (0.01 * mean) as f32);
            self.ht.iter_mut().skip(c).step_by(ks).for_each(|value| *value = value.max(floor));
        }
    }

    /// Multiplies the entries of each gene by its factor.
    pub(crate) fn multiply_genes(&mut self, factors: &[f32]) {
        let ks = self.ks;
        for (gene, factor) in self.ht.chunks_exact_mut(ks).zip(factors) {
            gene.iter_mut().for_each(|value| *value *= factor);
        }
    }

    /// Multiplies row `c` of H by `powers[c]`.
    pub fn scale_components(&mut self, powers: &[f32]) {
        let ks = self.ks;
        let _span = info_span!("scaling of H", tasks = self.genes.div_ceil(GENE_CHUNK)).entered();
        self.ht.par_chunks_mut(GENE_CHUNK * ks).for_each(|chunk| {
            for gene in chunk.chunks_exact_mut(ks) {
                gene.iter_mut().zip(powers).for_each(|(value, power)| *value *= power);
            }
        });
    }
}

/// The powers of two that bring every row of H to a norm in [1, 2), from the diagonal of H·Hᵀ (k ×
/// k), which is scaled along. Components that are zero keep 1.
pub(crate) fn unit_norm_powers(hht: &mut [f64], k: usize) -> Vec<f32> {
    let powers: Vec<f64> = (0..k)
        .map(|c| {
            let norm = hht[c * k + c].sqrt();
            // ±120 keeps the power and its inverse normal in 32 bits.
            if norm > 0.0 { power_of_two(-exponent(norm).clamp(-120, 120)) } else { 1.0 }
        })
        .collect();
    for (row, p) in hht.chunks_exact_mut(k).zip(&powers) {
        row.iter_mut().zip(&powers).for_each(|(value, q)| *value *= p * q);
    }
    powers.into_iter().map(|power| power as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_brought_to_norms_between_one_and_two() {
        let mut spectra = Spectra::zeros(700, 3);
        for (i, value) in spectra.ht_mut().iter_mut().enumerate() {
            *value = [1e-5, 37.0, 0.0, 0.0][i % 4] * (1 + i / 4 % 7) as f32;
        }
        let mut hht = spectra.gram();
        let powers = unit_norm_powers(&mut hht, 3);
        spectra.scale_components(&powers);
        assert_eq!(hht, spectra.gram());
        for c in 0..2 {
            let norm = hht[c * 3 + c].sqrt();
            assert!((1.0..2.0).contains(&norm), "{norm}");
        }
        assert_eq!(powers[2], 1.0);
    }
}
