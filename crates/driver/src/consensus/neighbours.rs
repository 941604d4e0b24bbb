//! What the distances of a spectrum to all others say: its local density, and how clear its cluster is.
//!
//! Both come from one row of the matrix of distances, which is never in memory as a whole.

use partwise_kernels::distance::distance_sq;
use partwise_storage::{Monitor, Unit};
use rayon::prelude::*;

use super::spectra::Replicates;

/// The part of the replicates that count as neighbours.
const NEIGHBOURS: f64 = 0.30;

/// What is known of all spectra.
#[derive(Debug)]
pub(super) struct Neighbours {
    /// The local density of every spectrum: the mean distance to its nearest ones, as many as 30 % of the
    /// replicates (at least one). It is cNMF's: the sum of the nearest distances, that to itself included, over
    /// their number without it.
    pub(super) densities: Vec<f64>,
    /// The mean silhouette of all spectra (Rousseeuw, *J. Comput. Appl. Math.* 20, 1987): (b − a) / max(a, b) with
    /// the mean distance a to the others of the own cluster and the least mean distance b to another cluster; zero
    /// for a spectrum that is alone.
    pub(super) silhouette: f64,
}

impl Neighbours {
    /// Of spectra with these cluster `labels`, which are below `k`. `O((R·k)²·m)`, and a list of R·k distances for
    /// each thread. `None` if the monitor cancels.
    pub(super) fn find(replicates: &Replicates, labels: &[usize], k: usize, monitor: &dyn Monitor) -> Option<Self> {
        let count = replicates.len();
        // In the order of cNMF's operations, whose result is cut.
        let nearest = ((NEIGHBOURS * count as f64 / replicates.k() as f64) as usize).max(1);
        let mut sizes = vec![0_usize; k];
        labels.iter().for_each(|&label| sizes[label] += 1);
        let of = |spectrum: usize| {
            if monitor.cancelled() {
                return None;
            }
            let own = replicates.row(spectrum);
            let mut distances: Vec<f64> =
                (0..count).map(|other| distance_sq(own, replicates.row(other)).sqrt()).collect();
            let silhouette = silhouette(&distances, labels, &sizes, labels[spectrum]);
            distances.sort_unstable_by(f64::total_cmp);
            monitor.advance(1);
            Some((distances[..=nearest].iter().sum::<f64>() / nearest as f64, silhouette))
        };
        monitor.start(&format!("neighbours, k = {k}"), count as u64, Unit::Spectra);
        let found: Option<Vec<(f64, f64)>> = (0..count).into_par_iter().map(of).collect();
        let (densities, silhouettes): (Vec<f64>, Vec<f64>) = found?.into_iter().unzip();
        monitor.finish();
        Some(Neighbours { densities, silhouette: silhouettes.iter().sum::<f64>() / count as f64 })
    }
}

/// The silhouette of a spectrum of the cluster `label` with these `distances` to all.
fn silhouette(distances: &[f64], labels: &[usize], sizes: &[usize], label: usize) -> f64 {
    if sizes[label] < 2 {
        return 0.0;
    }
    let mut sums = vec![0.0; sizes.len()];
    distances.iter().zip(labels).for_each(|(distance, &of)| sums[of] += distance);
    let inside = sums[label] / (sizes[label] - 1) as f64;
    let others = (0..sizes.len()).filter(|&other| other != label && sizes[other] > 0);
    let outside = others.map(|other| sums[other] / sizes[other] as f64).fold(f64::INFINITY, f64::min);
    let larger = inside.max(outside);
    if larger > 0.0 && larger.is_finite() { (outside - inside) / larger } else { 0.0 }
}
