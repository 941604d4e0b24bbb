//! k-means of spectra (Lloyd, *IEEE Trans. Inf. Theory* 28, 1982), from centres that lie apart (greedy k-means++;
//! Arthur and Vassilvitskii, SODA 2007).
//!
//! Several starts run, and the one with the least sum of squares is taken. Everything is summed in the order of
//! the spectra, and ties go to the lower index, so that the labels do not depend on threads.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::spectra::{Replicates, distance_sq};

/// Starts, as in cNMF.
const STARTS: u64 = 10;
/// Rounds at most of one start.
const MOST_ROUNDS: usize = 300;

/// The cluster of each of the spectra `among`, below `k`, numbered by their first spectrum. Clusters may be
/// empty if fewer than `k` spectra differ. `O(starts · rounds · len · k · m)`.
pub(super) fn clusters(replicates: &Replicates, among: &[usize], k: usize) -> Vec<usize> {
    let mut best: (f64, Vec<usize>) = (f64::INFINITY, vec![0; among.len()]);
    for start in 0..STARTS {
        let mut rng = ChaCha8Rng::seed_from_u64(start);
        let found = lloyd(replicates, among, centres_apart(replicates, among, k, &mut rng));
        if found.0 < best.0 {
            best = found;
        }
    }
    numbered_by_first(best.1, k)
}

/// Clusters renamed in the order of their first members.
fn numbered_by_first(mut labels: Vec<usize>, k: usize) -> Vec<usize> {
    let (mut names, mut next) = (vec![usize::MAX; k], 0);
    for label in &mut labels {
        if names[*label] == usize::MAX {
            names[*label] = next;
            next += 1;
        }
        *label = names[*label];
    }
    labels
}

/// k spectra as centres: each new one is the best of a few that are drawn with probability proportional to the
/// squared distance to the nearest centre so far.
fn centres_apart(replicates: &Replicates, among: &[usize], k: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let tries = 2 + (k as f64).ln() as usize;
    let to = |spectrum: usize| -> Vec<f64> {
        among.par_iter().map(|&other| distance_sq(replicates.row(spectrum), replicates.row(other))).collect()
    };
    let first = among[rng.random_range(0..among.len())];
    let (mut centres, mut nearest) = (vec![replicates.row(first).to_vec()], to(first));
    while centres.len() < k {
        let all: f64 = nearest.iter().sum();
        let mut best: Option<(f64, usize, Vec<f64>)> = None;
        for _ in 0..tries {
            let mut rest = rng.random::<f64>() * all;
            let drawn = nearest.iter().position(|distance| {
                rest -= distance;
                rest < 0.0
            });
            let spectrum = among[drawn.unwrap_or(among.len() - 1)];
            let mut then = to(spectrum);
            then.iter_mut().zip(&nearest).for_each(|(then, now)| *then = then.min(*now));
            let sum: f64 = then.iter().sum();
            if best.as_ref().is_none_or(|(least, ..)| sum < *least) {
                best = Some((sum, spectrum, then));
            }
        }
        let Some((_, spectrum, then)) = best else { break };
        centres.push(replicates.row(spectrum).to_vec());
        nearest = then;
    }
    centres
}

/// Moves the centres until no spectrum changes its cluster. The sum of squares, and the labels.
fn lloyd(replicates: &Replicates, among: &[usize], mut centres: Vec<Vec<f64>>) -> (f64, Vec<usize>) {
    let mut labels = vec![usize::MAX; among.len()];
    let mut sum = f64::INFINITY;
    for _ in 0..MOST_ROUNDS {
        let nearest: Vec<(usize, f64)> = among
            .par_iter()
            .map(|&spectrum| {
                let distances = centres.iter().map(|centre| distance_sq(replicates.row(spectrum), centre)).enumerate();
                distances.fold((0, f64::INFINITY), |best, next| if next.1 < best.1 { next } else { best })
            })
            .collect();
        sum = nearest.iter().map(|(_, distance)| distance).sum();
        if nearest.iter().zip(&labels).all(|((label, _), before)| label == before) {
            break;
        }
        labels = nearest.iter().map(|(label, _)| *label).collect();
        let mut sizes = vec![0_usize; centres.len()];
        centres.iter_mut().for_each(|centre| centre.fill(0.0));
        for (&spectrum, &label) in among.iter().zip(&labels) {
            sizes[label] += 1;
            centres[label].iter_mut().zip(replicates.row(spectrum)).for_each(|(sum, value)| *sum += value);
        }
        // The spectra that are farthest from their centres become the centres of clusters that have none.
        let mut farthest: Vec<usize> = (0..among.len()).collect();
        farthest.sort_by(|&a, &b| nearest[b].1.total_cmp(&nearest[a].1));
        let mut farthest = farthest.into_iter();
        for (centre, &size) in centres.iter_mut().zip(&sizes) {
            if size > 0 {
                centre.iter_mut().for_each(|sum| *sum /= size as f64);
            } else if let Some(at) = farthest.next() {
                centre.copy_from_slice(replicates.row(among[at]));
            }
        }
    }
    (sum, labels)
}
