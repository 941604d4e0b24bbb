//! Local density: how far a spectrum lies from its nearest ones, cNMF's measure of how often a program was found.

use rayon::prelude::*;

use super::spectra::{Replicates, distance_sq};

/// The part of the replicates that count as neighbours.
const NEIGHBOURS: f64 = 0.30;

/// The mean distance of every spectrum to its nearest ones, as many as 30 % of the replicates (at least one):
/// the sum of the nearest distances, that to itself included, over their number without it. `O((R·k)²·m)`, and a
/// list of R·k distances for each thread.
pub(super) fn local_densities(replicates: &Replicates) -> Vec<f64> {
    let count = replicates.len();
    // In the order of cNMF's operations, whose result is cut.
    let nearest = ((NEIGHBOURS * count as f64 / replicates.k() as f64) as usize).max(1);
    let of = |spectrum: usize| {
        let own = replicates.row(spectrum);
        let mut distances: Vec<f64> = (0..count).map(|other| distance_sq(own, replicates.row(other)).sqrt()).collect();
        distances.sort_unstable_by(f64::total_cmp);
        distances[..=nearest].iter().sum::<f64>() / nearest as f64
    };
    (0..count).into_par_iter().map(of).collect()
}
