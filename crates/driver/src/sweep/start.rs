//! The random start of a replicate.

use std::f64::consts::TAU;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::spectra::Spectra;

/// H of replicate `number` of k: |N(0, 1)|·√(mean / k), as scikit-learn's random start, so that W·H has about
/// the mean of X̂. Every k and number has a stream of its own, so that no replicate depends on which others there are.
pub(super) fn start(genes: usize, k: usize, number: usize, seed: u64, mean: f64) -> Spectra {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((k as u64) << 32 | number as u64);
    let scale = (mean / k as f64).sqrt();
    let mut spectra = Spectra::zeros(genes, k);
    let ks = spectra.ks();
    for gene in spectra.ht_mut().chunks_exact_mut(ks) {
        gene[..k].iter_mut().for_each(|value| *value = (scale * normal(&mut rng).abs()) as f32);
    }
    spectra
}

/// A normal number (Box and Muller 1958), with functions in plain Rust: those of the system differ in their last
/// bits from one system to the next.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * libm::log(radius)).sqrt() * libm::cos(TAU * angle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_half_normal_and_differ_by_k_and_number() {
        let spectra = start(4000, 5, 3, 1, 0.2);
        let values: Vec<f64> = spectra.to_rows().iter().map(|&value| f64::from(value) / 0.2).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
        // E|N| = √(2/π), E N² = 1.
        assert!((mean - 0.798).abs() < 0.02 && (square - 1.0).abs() < 0.04, "{mean} {square}");
        assert!(values.iter().all(|&value| value >= 0.0));
        assert_eq!(spectra.to_rows(), start(4000, 5, 3, 1, 0.2).to_rows());
        for other in [start(4000, 5, 4, 1, 0.2), start(4000, 5, 3, 2, 0.2)] {
            assert_ne!(spectra.to_rows(), other.to_rows());
        }
        let wider = start(4000, 6, 3, 1, 0.2);
        assert!(wider.to_rows()[..5] != spectra.to_rows()[..5]);
    }
}
