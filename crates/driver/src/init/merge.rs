//! Merges components: the two most alike become one, until few enough are left.
//!
//! `w_a h_a + w_b h_b` has rank two. The nearest matrix of rank one is its first singular pair, and
//! the loss is σ₂², the square of its second singular value. Both follow from two small matrices,
//! without W, H or X: with `A = (w_i·w_j)` and `B = (h_i·h_j)` for i, j ∈ {a, b}, σ₁² ≥ σ₂² are the
//! eigenvalues of AB. The first eigenvector β of AB gives the merged row of H, `β_a h_a + β_b h_b`,
//! and `Bβ / βᵀBβ` the merged column of W. All of these are non-negative, since A and B are
//! (Perron).
//!
//! Two halves of one program lose little when they become one, and a component that is zero loses
//! nothing. A program that few cells carry loses all of itself, so it stays as long as something
//! else is worth less.

use crate::spectra::Spectra;

/// Merges components of `spectra` until `k` are left. `wtw` (k' × k') is WᵀW of the W that belongs
/// to them. Costs O(k'³) for the pairs and one H·Hᵀ.
pub(crate) fn merge(spectra: &Spectra, wtw: &[f64], k: usize) -> Spectra {
    let from = spectra.k();
    let mut grams = Grams { n: from, wtw: wtw.to_vec(), hht: spectra.gram() };
    // How each component that is left is made of the original ones.
    let mut mixes: Vec<Vec<(usize, f64)>> = (0..from).map(|c| vec![(c, 1.0)]).collect();
    let mut alive: Vec<usize> = (0..from).collect();
    while alive.len() > k {
        let (mut best, mut least) = ((0, 1), f64::INFINITY);
        for (i, &a) in alive.iter().enumerate() {
            for &b in &alive[i + 1..] {
                let lost = grams.lost(a, b);
                if lost < least {
                    (best, least) = ((a, b), lost);
                }
            }
        }
        let (a, b) = best;
        let (in_h, in_w) = grams.pair(a, b);
        grams.combine(a, b, in_h, in_w);
        let gone = std::mem::take(&mut mixes[b]);
        mixes[a].iter_mut().for_each(|(_, weight)| *weight *= in_h[0]);
        mixes[a].extend(gone.into_iter().map(|(c, weight)| (c, weight * in_h[1])));
        alive.retain(|&c| c != b);
    }
    let mut merged = Spectra::zeros(spectra.genes(), k);
    let (ks, from_ks) = (merged.ks(), spectra.ks());
    for (row, old) in merged.ht_mut().chunks_exact_mut(ks).zip(spectra.ht().chunks_exact(from_ks)) {
        for (value, &c) in row.iter_mut().zip(&alive) {
            *value = mixes[c].iter().map(|&(l, weight)| weight * f64::from(old[l])).sum::<f64>() as f32;
        }
    }
    merged
}

/// WᵀW and H·Hᵀ, n × n.
struct Grams {
    n: usize,
    wtw: Vec<f64>,
    hht: Vec<f64>,
}

impl Grams {
    /// Entries aa, ab and bb of one of the matrices.
    fn block(of: &[f64], n: usize, a: usize, b: usize) -> [f64; 3] {
        [of[a * n + a], of[a * n + b], of[b * n + b]]
    }

    /// AB as [aa, ab, ba, bb].
    fn product(&self, a: usize, b: usize) -> [f64; 4] {
        let [waa, wab, wbb] = Self::block(&self.wtw, self.n, a, b);
        let [haa, hab, hbb] = Self::block(&self.hht, self.n, a, b);
        [waa * haa + wab * hab, waa * hab + wab * hbb, wab * haa + wbb * hab, wab * hab + wbb * hbb]
    }

    /// σ₂².
    fn lost(&self, a: usize, b: usize) -> f64 {
        let [waa, wab, wbb] = Self::block(&self.wtw, self.n, a, b);
        let [haa, hab, hbb] = Self::block(&self.hht, self.n, a, b);
        let determinant = ((waa * wbb - wab * wab).max(0.0)) * ((haa * hbb - hab * hab).max(0.0));
        let larger = self.larger(a, b);
        if larger > 0.0 { determinant / larger } else { 0.0 }
    }

    /// σ₁².
    fn larger(&self, a: usize, b: usize) -> f64 {
        let [aa, ab, ba, bb] = self.product(a, b);
        0.5 * (aa + bb + ((aa - bb).powi(2) + 4.0 * ab * ba).sqrt())
    }

    /// Weights of the merged row of H and of the merged column of W.
    fn pair(&self, a: usize, b: usize) -> ([f64; 2], [f64; 2]) {
        let [aa, ab, ba, bb] = self.product(a, b);
        let larger = self.larger(a, b);
        // Of the two forms of the eigenvector, the one that does not cancel.
        let beta = if aa >= bb { [larger - bb, ba] } else { [ab, larger - aa] };
        let beta = if beta[0] + beta[1] > 0.0 { beta } else { [1.0, 0.0] };
        let total = beta[0] + beta[1];
        let beta = [beta[0] / total, beta[1] / total];
        let [haa, hab, hbb] = Self::block(&self.hht, self.n, a, b);
        let image = [haa * beta[0] + hab * beta[1], hab * beta[0] + hbb * beta[1]];
        let square = beta[0] * image[0] + beta[1] * image[1];
        let in_w = if square > 0.0 { [image[0] / square, image[1] / square] } else { [0.0, 0.0] };
        (beta, in_w)
    }

    /// Component a becomes the mixture, b zero.
    fn combine(&mut self, a: usize, b: usize, in_h: [f64; 2], in_w: [f64; 2]) {
        let n = self.n;
        for (gram, mix) in [(&mut self.hht, in_h), (&mut self.wtw, in_w)] {
            for l in 0..n {
                gram[a * n + l] = mix[0] * gram[a * n + l] + mix[1] * gram[b * n + l];
            }
            for l in 0..n {
                gram[l * n + a] = mix[0] * gram[l * n + a] + mix[1] * gram[l * n + b];
            }
            for l in 0..n {
                gram[b * n + l] = 0.0;
                gram[l * n + b] = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use partwise_kernels::{FactorRef, gram};

    /// W (n × k) and H (k × m, as Spectra) of small integers and WᵀW.
    fn factors(w: &[[f32; 4]], h: &[[f32; 4]], k: usize) -> (Spectra, Vec<f64>) {
        let mut spectra = Spectra::zeros(h.len(), k);
        spectra.ht_mut().copy_from_slice(h.as_flattened());
        let mut wtw = vec![0.0; k * k];
        gram::add_gram(&mut wtw, FactorRef::new(w.as_flattened(), w.len(), k, 4));
        (spectra, wtw)
    }

    #[test]
    fn halves_of_a_program_become_one_and_a_small_one_stays() {
        // Components 0 and 2 have the same row of H up to its size; component 1 is small and alone.
        let w = [[1.0, 0.0, 3.0, 0.0], [2.0, 0.0, 1.0, 0.0], [0.0, 0.1, 0.0, 0.0]];
        let h = [[4.0, 0.0, 2.0, 0.0], [6.0, 0.0, 3.0, 0.0], [0.0, 1.0, 0.0, 0.0]];
        let (spectra, wtw) = factors(&w, &h, 3);
        let merged = merge(&spectra, &wtw, 2);
        let row = |c: usize| merged.ht().iter().skip(c).step_by(4).copied().collect::<Vec<f32>>();
        assert!((row(0)[1] / row(0)[0] - 1.5).abs() < 1e-6 && row(0)[2] == 0.0, "{:?}", row(0));
        assert_eq!(row(1), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_component_of_zeros_goes_first() {
        let w = [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]];
        let h = [[1.0, 5.0, 0.0, 0.0], [0.0, 5.0, 1.0, 0.0]];
        let (spectra, wtw) = factors(&w, &h, 3);
        let merged = merge(&spectra, &wtw, 2);
        assert_eq!(&merged.ht()[..2], [1.0, 0.0]);
        assert_eq!(&merged.ht()[4..6], [0.0, 1.0]);
    }

    #[test]
    fn what_is_lost_is_the_second_singular_value() {
        // M = w_a h_a + w_b h_b written out; ‖M‖² = σ₁² + σ₂², and the nearest of rank one is what
        // merging gives.
        let w = [[1.0, 2.0, 0.0, 0.0], [3.0, 1.0, 0.0, 0.0], [0.0, 4.0, 0.0, 0.0]];
        let h = [[2.0, 1.0, 0.0, 0.0], [1.0, 5.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]];
        let (spectra, wtw) = factors(&w, &h, 2);
        let grams = Grams { n: 2, wtw, hht: spectra.gram() };
        let merged = merge(&spectra, &grams.wtw, 1);
        let (_, in_w) = grams.pair(0, 1);
        let mut left = 0.0;
        for w_i in &w {
            let usage = in_w[0] * f64::from(w_i[0]) + in_w[1] * f64::from(w_i[1]);
            for (h_j, merged) in h.iter().zip(merged.ht().iter().step_by(4)) {
                let exact = f64::from(w_i[0] * h_j[0] + w_i[1] * h_j[1]);
                left += (exact - usage * f64::from(*merged)).powi(2);
            }
        }
        assert!((left / grams.lost(0, 1) - 1.0).abs() < 1e-5, "{left} {}", grams.lost(0, 1));
    }

    #[test]
    fn as_many_as_wanted_stay_as_they_are() {
        let (spectra, wtw) = factors(&[[1.0, 2.0, 0.0, 0.0]], &[[1.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0]], 2);
        assert_eq!(merge(&spectra, &wtw, 2).ht(), spectra.ht());
    }
}
