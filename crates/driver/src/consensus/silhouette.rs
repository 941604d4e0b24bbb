//! The silhouette of clusters (Rousseeuw, *J. Comput. Appl. Math.* 20, 1987): how much nearer spectra are to
//! their own cluster than to the next one.

use rayon::prelude::*;

use super::spectra::{Replicates, distance_sq};

/// The mean silhouette of all spectra under `labels`, which are below `k`: (b − a) / max(a, b) with the mean
/// distance a to the others of the own cluster and the least mean distance b to another cluster; zero for a
/// spectrum that is alone. `O((R·k)²·m)`.
pub(super) fn silhouette(replicates: &Replicates, labels: &[usize], k: usize) -> f64 {
    let mut sizes = vec![0_usize; k];
    labels.iter().for_each(|&label| sizes[label] += 1);
    let of = |spectrum: usize| {
        let (own, label) = (replicates.row(spectrum), labels[spectrum]);
        let mut sums = vec![0.0; k];
        for (other, &of) in labels.iter().enumerate() {
            sums[of] += distance_sq(own, replicates.row(other)).sqrt();
        }
        if sizes[label] < 2 {
            return 0.0;
        }
        let inside = sums[label] / (sizes[label] - 1) as f64;
        let others = (0..k).filter(|&other| other != label && sizes[other] > 0);
        let outside = others.map(|other| sums[other] / sizes[other] as f64).fold(f64::INFINITY, f64::min);
        let larger = inside.max(outside);
        if larger > 0.0 && larger.is_finite() { (outside - inside) / larger } else { 0.0 }
    };
    let all: Vec<f64> = (0..labels.len()).into_par_iter().map(of).collect();
    all.iter().sum::<f64>() / all.len() as f64
}
