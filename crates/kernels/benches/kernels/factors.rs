//! Factors and other numbers for the benchmarks, the same in every run.

use partwise_kernels::{FactorBuf, stride};

/// A small generator of random numbers (splitmix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// rows × stride(k), of which a third is zero.
pub(crate) fn factor(rows: usize, k: usize, seed: u64) -> FactorBuf {
    let mut numbers = Numbers(seed);
    let mut factor = FactorBuf::zeros(rows, k);
    for row in factor.chunks_exact_mut(stride(k)) {
        for value in &mut row[..k] {
            *value = (1.5 * numbers.unit() - 0.5).max(0.0) as f32;
        }
    }
    factor
}
