//! k-means of spectra (Lloyd, *IEEE Trans. Inf. Theory* 28, 1982), from centres that lie apart (greedy k-means++;
//! Arthur and Vassilvitskii, SODA 2007).
//!
//! Several starts run, and the one with the least sum of squares is taken. Everything is summed in the order of
//! the spectra, and ties go to the lower index, so that the labels do not depend on threads.

use partwise_kernels::distance::distance_sq;
use partwise_storage::{Monitor, Unit};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::spectra::Replicates;

/// Starts, as in cNMF.
const STARTS: u64 = 10;
/// Rounds at most of one start.
const MOST_ROUNDS: usize = 300;
/// More than the roundings of distances between spectra of norm 1.
const ROUNDING: f64 = 1e-9;

/// The cluster of each of the spectra `among`, below `k`, numbered by their first spectrum. Clusters may be
/// empty if fewer than `k` spectra differ. `O(starts · rounds · len · k · m)`. `None` if the monitor cancels.
pub(super) fn clusters(
    replicates: &Replicates,
    among: &[usize],
    k: usize,
    monitor: &dyn Monitor,
) -> Option<Vec<usize>> {
    let mut best: (f64, Vec<usize>) = (f64::INFINITY, vec![0; among.len()]);
    monitor.start(&format!("clusters, k = {k}"), STARTS * among.len() as u64, Unit::Spectra);
    for start in 0..STARTS {
        if monitor.cancelled() {
            return None;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(start);
        let found = lloyd(replicates, among, centres_apart(replicates, among, k, &mut rng));
        if found.0 < best.0 {
            best = found;
        }
        monitor.advance(among.len() as u64);
    }
    monitor.finish();
    Some(numbered_by_first(best.1, k))
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

/// Where a spectrum lies among the centres.
#[derive(Clone, Copy)]
struct Place {
    label: usize,
    /// At least the distance to the centre of its cluster.
    own: f64,
    /// At most the distance to any other centre.
    others: f64,
}

impl Place {
    /// The place of a spectrum by all distances.
    fn of(spectrum: &[f64], centres: &[Vec<f64>]) -> Place {
        let distances = centres.iter().map(|centre| distance_sq(spectrum, centre).sqrt()).enumerate();
        distances.fold(Place { label: 0, own: f64::INFINITY, others: f64::INFINITY }, |place, (label, distance)| {
            match distance < place.own {
                true => Place { label, own: distance, others: place.own },
                false => Place { others: place.others.min(distance), ..place },
            }
        })
    }

    /// Whether no other centre can be as near.
    fn is_certain(&self) -> bool {
        self.own + ROUNDING < self.others
    }
}

/// Moves the centres until no spectrum changes its cluster. The sum of squares, and the labels.
///
/// A centre that has moved by δ has changed no distance by more than δ, so most spectra need no new distances
/// (Hamerly, SDM 2010). The labels are those of the plain rounds.
fn lloyd(replicates: &Replicates, among: &[usize], mut centres: Vec<Vec<f64>>) -> (f64, Vec<usize>) {
    let place = |&spectrum: &usize, centres: &[Vec<f64>]| Place::of(replicates.row(spectrum), centres);
    let mut places: Vec<Place> = among.par_iter().map(|spectrum| place(spectrum, &centres)).collect();
    for _ in 0..MOST_ROUNDS {
        let moved = move_centres(replicates, among, &places, &mut centres);
        let most = moved.iter().copied().fold(0.0, f64::max);
        let next = among.par_iter().zip(&places).map(|(spectrum, before)| {
            let bounds = Place { own: before.own + moved[before.label], others: before.others - most, ..*before };
            if bounds.is_certain() { bounds } else { place(spectrum, &centres) }
        });
        let next: Vec<Place> = next.collect();
        let is_still = next.iter().zip(&places).all(|(next, before)| next.label == before.label);
        places = next;
        if is_still {
            break;
        }
    }
    let labels: Vec<usize> = places.iter().map(|place| place.label).collect();
    let distances: Vec<f64> = (among.par_iter().zip(&labels))
        .map(|(&spectrum, &label)| distance_sq(replicates.row(spectrum), &centres[label]))
        .collect();
    (distances.iter().sum(), labels)
}

/// Moves every centre to the mean of its spectra, that of a cluster without any to the spectrum that is farthest from
/// its centre. Returns how far each has moved.
fn move_centres(replicates: &Replicates, among: &[usize], places: &[Place], centres: &mut [Vec<f64>]) -> Vec<f64> {
    let before = centres.to_vec();
    let mut sizes = vec![0_usize; centres.len()];
    centres.iter_mut().for_each(|centre| centre.fill(0.0));
    for (&spectrum, place) in among.iter().zip(places) {
        sizes[place.label] += 1;
        centres[place.label].iter_mut().zip(replicates.row(spectrum)).for_each(|(sum, value)| *sum += value);
    }
    if sizes.contains(&0) {
        let distance = |at: usize| distance_sq(replicates.row(among[at]), &before[places[at].label]);
        let mut farthest: Vec<(f64, usize)> = (0..among.len()).map(|at| (distance(at), at)).collect();
        farthest.sort_by(|a, b| b.0.total_cmp(&a.0));
        let empty = centres.iter_mut().zip(&sizes).filter(|(_, size)| **size == 0);
        empty.zip(farthest).for_each(|((centre, _), (_, at))| centre.copy_from_slice(replicates.row(among[at])));
    }
    for (centre, &size) in centres.iter_mut().zip(&sizes).filter(|(_, size)| **size > 0) {
        centre.iter_mut().for_each(|sum| *sum /= size as f64);
    }
    before.iter().zip(&*centres).map(|(before, centre)| distance_sq(before, centre).sqrt()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rounds of `lloyd` with every distance.
    fn plain(replicates: &Replicates, among: &[usize], mut centres: Vec<Vec<f64>>) -> Vec<usize> {
        let all = |centres: &[Vec<f64>]| -> Vec<Place> {
            among.iter().map(|&spectrum| Place::of(replicates.row(spectrum), centres)).collect()
        };
        let mut places = all(&centres);
        for _ in 0..MOST_ROUNDS {
            move_centres(replicates, among, &places, &mut centres);
            let next = all(&centres);
            let is_still = next.iter().zip(&places).all(|(next, before)| next.label == before.label);
            places = next;
            if is_still {
                break;
            }
        }
        places.iter().map(|place| place.label).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn bounds_change_no_label(values in prop::collection::vec(0.01f32..1.0, 6 * 40), k in 2usize..6, seed in 0u64..9) {
            let replicates = Replicates::new(&values, 1, 6).unwrap();
            let among: Vec<usize> = (0..40).filter(|at| at % 7 != 3).collect();
            let centres = centres_apart(&replicates, &among, k, &mut ChaCha8Rng::seed_from_u64(seed));
            let (sum, labels) = lloyd(&replicates, &among, centres.clone());
            prop_assert_eq!(&labels, &plain(&replicates, &among, centres));
            // No other centre of the labels is nearer.
            let mean = |label: usize| -> Vec<f64> {
                let members: Vec<usize> = among.iter().zip(&labels).filter(|(_, l)| **l == label).map(|(&s, _)| s).collect();
                (0..6).map(|gene| members.iter().map(|&s| replicates.row(s)[gene]).sum::<f64>() / members.len() as f64).collect()
            };
            let means: Vec<Vec<f64>> = (0..k).map(mean).collect();
            let mut squares = 0.0;
            for (&spectrum, &label) in among.iter().zip(&labels) {
                let own = distance_sq(replicates.row(spectrum), &means[label]);
                squares += own;
                prop_assert!(means.iter().all(|mean| mean[0].is_nan() || distance_sq(replicates.row(spectrum), mean) >= own - 1e-9));
            }
            prop_assert!((sum - squares).abs() < 1e-9 * squares.max(1.0));
        }
    }

    #[test]
    fn a_cluster_without_spectra_gets_the_farthest_one() {
        let values: Vec<f32> = [[1.0, 0.0, 0.0], [1.0, 0.1, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].concat();
        let replicates = Replicates::new(&values, 1, 3).unwrap();
        let among = [0, 1, 2, 3];
        let far = vec![vec![1.0, 0.0, 0.0], vec![-9.0, -9.0, -9.0], vec![-8.0, -9.0, -9.0]];
        let (_, labels) = lloyd(&replicates, &among, far);
        assert_eq!(numbered_by_first(labels, 3), [0, 0, 1, 2]);
    }
}
