//! From the spectra of all replicates to the median spectra of the programs that they share.

use partwise_storage::Monitor;

use super::clusters::clusters;
use super::distances::Distances;
use super::neighbours::Neighbours;
use super::{ConsensusError, Replicates};

/// The median spectra of one k, and how much the replicates agree on them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Medians {
    /// k × m, over the selected genes; each sums to 1.
    pub spectra: Vec<f64>,
    /// The local density of every spectrum of every replicate.
    pub densities: Vec<f64>,
    /// The part of the spectra whose local density is below the threshold.
    pub kept: f64,
    /// The row of `spectra` that every spectrum of every replicate is in; `None` if it is left out.
    pub clusters: Vec<Option<usize>>,
    /// The distances of some that are kept.
    pub distances: Distances,
    /// The mean silhouette of the clusters of all spectra: how stable this k is, whatever the threshold.
    pub stability: f64,
    /// Replicates.
    pub replicates: usize,
}

/// The medians of the clusters of all spectra whose local density is below `threshold`, on so many threads.
///
/// # Errors
///
/// - [`ConsensusError::Density`]: too few spectra are left for k clusters, or too few differ
/// - [`ConsensusError::Threads`]: the system has no threads
/// - [`ConsensusError::Cancelled`]: the monitor asked for it
pub fn find_medians(
    replicates: &Replicates,
    threshold: f64,
    threads: usize,
    monitor: &dyn Monitor,
) -> Result<Medians, ConsensusError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| ConsensusError::Threads { message: error.to_string() })?;
    pool.install(|| medians(replicates, threshold, monitor))
}

fn medians(replicates: &Replicates, threshold: f64, monitor: &dyn Monitor) -> Result<Medians, ConsensusError> {
    let (k, count) = (replicates.k(), replicates.len());
    let all: Vec<usize> = (0..count).collect();
    let cancelled = ConsensusError::Cancelled;
    let labels = clusters(replicates, &all, k, monitor).ok_or(cancelled.clone())?;
    let Neighbours { densities, silhouette: stability } =
        Neighbours::find(replicates, &labels, k, monitor).ok_or(cancelled.clone())?;
    let kept: Vec<usize> = all.iter().copied().filter(|&spectrum| densities[spectrum] < threshold).collect();
    let too_few = || ConsensusError::Density {
        threshold,
        k,
        kept: kept.len(),
        of: count,
        quartiles: quartiles(&densities),
        enough: enough(&densities, &labels, k),
    };
    if kept.len() < k {
        return Err(too_few());
    }
    let of_kept = match kept.len() == count {
        true => labels.clone(),
        false => clusters(replicates, &kept, k, monitor).ok_or(cancelled)?,
    };
    let mut spectra = Vec::with_capacity(k * replicates.genes());
    for cluster in 0..k {
        let members: Vec<usize> =
            kept.iter().zip(&of_kept).filter(|(_, label)| **label == cluster).map(|(&spectrum, _)| spectrum).collect();
        if members.is_empty() {
            return Err(too_few());
        }
        let first = spectra.len();
        let mut values = vec![0.0; members.len()];
        for gene in 0..replicates.genes() {
            values.iter_mut().zip(&members).for_each(|(value, &spectrum)| *value = replicates.row(spectrum)[gene]);
            spectra.push(median(&mut values));
        }
        let sum: f64 = spectra[first..].iter().sum();
        if sum == 0.0 {
            return Err(too_few());
        }
        spectra[first..].iter_mut().for_each(|value| *value /= sum);
    }
    let mut of_all = vec![None; count];
    kept.iter().zip(&of_kept).for_each(|(&spectrum, &label)| of_all[spectrum] = Some(label));
    Ok(Medians {
        spectra,
        distances: Distances::find(replicates, &of_all, k),
        clusters: of_all,
        kept: kept.len() as f64 / count as f64,
        stability,
        replicates: replicates.replicates(),
        densities,
    })
}

/// The middle value, or the mean of the two in the middle.
fn median(values: &mut [f64]) -> f64 {
    let (len, middle) = (values.len(), values.len() / 2);
    let (below, &mut high, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    match len % 2 {
        1 => high,
        _ => (below.iter().copied().fold(f64::NEG_INFINITY, f64::max) + high) / 2.0,
    }
}

fn quartiles(densities: &[f64]) -> [f64; 3] {
    let mut sorted = densities.to_vec();
    sorted.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|at| sorted[((sorted.len() - 1) as f64 * at) as usize])
}

/// A threshold above the median density of every cluster, in thousandths.
fn enough(densities: &[f64], labels: &[usize], k: usize) -> f64 {
    let of_cluster = |cluster: usize| {
        let members = densities.iter().zip(labels).filter(|(_, label)| **label == cluster);
        let mut members: Vec<f64> = members.map(|(density, _)| *density).collect();
        members.sort_by(f64::total_cmp);
        members.get(members.len() / 2).copied().unwrap_or(0.0)
    };
    let most = (0..k).map(of_cluster).fold(0.0, f64::max);
    (most * 1000.0).floor() / 1000.0 + 0.001
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use partwise_storage::Quiet;

    use super::*;

    /// Cancels after being asked so many times.
    struct After(AtomicUsize);

    impl Monitor for After {
        fn cancelled(&self) -> bool {
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
        }
    }

    #[test]
    fn a_monitor_can_end_it_at_every_step() {
        let replicates = Replicates::new(&noisy(20, 3, 90), 3, 90).unwrap();
        // Ten starts, sixty spectra, and ten starts again.
        for asked in [0, 5, 10, 40, 70, 79] {
            let found = find_medians(&replicates, 0.3, 2, &After(AtomicUsize::new(asked)));
            assert_eq!(found.unwrap_err(), ConsensusError::Cancelled, "{asked}");
        }
        assert!(find_medians(&replicates, 0.3, 2, &After(AtomicUsize::new(80))).is_ok());
    }

    /// `replicates` of k spectra over m genes: three bumps with noise, in another order in each replicate. The last
    /// replicates have a spectrum that no other has.
    fn noisy(replicates: usize, odd: usize, genes: usize) -> Vec<f32> {
        let k = 3;
        let mut spectra = Vec::new();
        for replicate in 0..replicates {
            for place in 0..k {
                let program = (place + replicate) % k;
                let strange = replicate + odd >= replicates && place == 0;
                for gene in 0..genes {
                    let bump = if gene % k == program { 1.0 } else { 0.0 };
                    let noise = ((gene * 7 + place * 13 + replicate * 29) % 17) as f32 / 400.0;
                    let own = if gene % (5 + replicate) == replicate % 5 { 3.0 } else { 0.0 };
                    spectra.push(noise + if strange { own } else { bump });
                }
            }
        }
        spectra
    }

    #[test]
    fn programs_that_all_replicates_share_are_found_and_strange_spectra_left_out() {
        let genes = 90;
        let replicates = Replicates::new(&noisy(20, 3, genes), 3, genes).unwrap();
        let found = find_medians(&replicates, 0.3, 2, &Quiet).unwrap();
        assert_eq!((found.kept, found.replicates), (57.0 / 60.0, 20));
        for program in 0..3 {
            let weight = |row: &[f64]| row.iter().skip(program).step_by(3).sum::<f64>();
            let best = found.spectra.chunks_exact(genes).map(weight).fold(0.0, f64::max);
            assert!(best > 0.9, "{best}");
        }
        let sums: Vec<f64> = found.spectra.chunks_exact(genes).map(|row| row.iter().sum()).collect();
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-12), "{sums:?}");
        // Without the strange ones the clusters are clearer, whatever the threshold.
        let whole = Replicates::new(&noisy(20, 0, genes), 3, genes).unwrap();
        let clear = find_medians(&whole, 2.0, 2, &Quiet).unwrap();
        assert!(clear.stability > found.stability + 0.02 && clear.kept == 1.0);
        assert_eq!(find_medians(&replicates, 2.0, 2, &Quiet).unwrap().stability, found.stability);
    }

    #[test]
    fn a_threshold_that_keeps_nothing_is_refused_with_one_that_works() {
        let genes = 60;
        let replicates = Replicates::new(&noisy(10, 0, genes), 3, genes).unwrap();
        let ConsensusError::Density { kept, of, enough, .. } = find_medians(&replicates, 1e-6, 2, &Quiet).unwrap_err()
        else {
            panic!("another error");
        };
        assert_eq!((kept, of), (0, 30));
        let found = find_medians(&replicates, enough, 2, &Quiet).unwrap();
        assert!(found.kept >= 0.5, "{}", found.kept);
    }

    #[test]
    fn replicates_that_are_alike_have_density_zero_and_full_stability() {
        let one = [1.0, 0.0, 0.0, 2.0, 0.0, 1.0, 3.0, 0.0];
        let spectra: Vec<f32> = (0..5).flat_map(|_| one).collect();
        let replicates = Replicates::new(&spectra, 2, 4).unwrap();
        let found = find_medians(&replicates, 0.5, 2, &Quiet).unwrap();
        assert!(found.densities.iter().all(|density| *density == 0.0) && found.stability == 1.0);
        // Fewer programs than k: two of three components are the same.
        let alike = Replicates::new(&spectra[..24], 3, 4).unwrap();
        assert!(matches!(find_medians(&alike, 0.5, 2, &Quiet), Err(ConsensusError::Density { .. })));
    }

    #[test]
    fn medians_are_those_of_numpy() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 8.0]), 3.0);
        assert_eq!(median(&mut [5.0]), 5.0);
    }
}
