//! How far apart the spectra of the replicates are: distances of some of them, for a picture.

use partwise_kernels::distance::distance_sq;
use rayon::prelude::*;

use super::spectra::Replicates;

/// The most spectra. A picture shows no more, and a result stays small.
const MOST: usize = 200;

/// Some of the spectra that are kept, and the distance of each pair.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Distances {
    /// Their places among the spectra of all replicates, ascending. All that are kept, if these are at most 200;
    /// otherwise 200: each cluster has one and a part of the rest in proportion to its size, evenly spaced over the
    /// replicates.
    pub spectra: Vec<usize>,
    /// The distances of the pairs (0, 1), (0, 2), …, (1, 2), … of them, scaled to norm 1.
    pub pairs: Vec<f32>,
}

impl Distances {
    /// The most bytes of one.
    pub const MOST_BYTES: u64 = (4 * MOST * (MOST - 1) / 2 + 8 * MOST) as u64;

    /// Of spectra in these `clusters`, which are below `k`. `O(200²·m)`.
    pub(super) fn find(replicates: &Replicates, clusters: &[Option<usize>], k: usize) -> Self {
        let spectra = sample(clusters, k);
        let row = |at: usize| replicates.row(spectra[at]);
        let pairs = (0..spectra.len())
            .into_par_iter()
            .flat_map_iter(|a| (a + 1..spectra.len()).map(move |b| distance_sq(row(a), row(b)).sqrt() as f32))
            .collect();
        Distances { spectra, pairs }
    }
}

/// Places of at most [`MOST`] of the spectra that have a cluster.
fn sample(clusters: &[Option<usize>], k: usize) -> Vec<usize> {
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); k];
    for (spectrum, cluster) in clusters.iter().enumerate() {
        cluster.iter().for_each(|&cluster| members[cluster].push(spectrum));
    }
    let all: usize = members.iter().map(Vec::len).sum();
    let mut chosen: Vec<usize> = Vec::with_capacity(MOST);
    for members in members.iter().filter(|members| !members.is_empty()) {
        let of_rest = (members.len() - 1) * MOST.saturating_sub(k) / all.saturating_sub(k).max(1);
        let count = if all <= MOST { members.len() } else { 1 + of_rest };
        chosen.extend((0..count).map(|at| members[at * members.len() / count]));
    }
    // More clusters than spectra: the first ones.
    chosen.truncate(MOST);
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_spectra_are_all_there_and_many_in_proportion() {
        let few: Vec<Option<usize>> = (0..9).map(|at| (at % 4 < 3).then_some(at % 4)).collect();
        assert_eq!(sample(&few, 3), [0, 1, 2, 4, 5, 6, 8]);
        // A cluster of one spectrum, one of 400 and one of 1600; every tenth is left out.
        let cluster = |at: usize| if at == 7 { 0 } else { 1 + usize::from(!at.is_multiple_of(5)) };
        let many: Vec<Option<usize>> = (0..2000).map(|at| (at % 10 != 9).then_some(cluster(at))).collect();
        let found = sample(&many, 3);
        let count = |wanted: usize| found.iter().filter(|&&spectrum| many[spectrum] == Some(wanted)).count();
        assert!(found.len() <= MOST && found.len() >= MOST - 2, "{}", found.len());
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]) && count(0) == 1, "{found:?}");
        assert!((43..=46).contains(&count(1)), "{}", count(1));
        // They come from all replicates.
        assert!(found[0] < 20 && found[found.len() - 1] > 1970);
        // As many clusters as spectra, and more than fit.
        let alone: Vec<Option<usize>> = (0..300).map(Some).collect();
        assert_eq!(sample(&alone, 300), (0..200).collect::<Vec<_>>());
        assert_eq!(sample(&alone[..200], 200).len(), 200);
    }

    #[test]
    fn distances_are_those_of_the_pairs_in_their_order() {
        let replicates = Replicates::new(&[1.0, 0.0, 0.0, 2.0, 3.0, 0.0, 0.0, 5.0, 1.0, 1.0, 0.0, 1.0], 2, 2).unwrap();
        let found = Distances::find(&replicates, &[Some(0), Some(1), Some(0), None, Some(1), None], 2);
        assert_eq!(found.spectra, [0, 1, 2, 4]);
        let near = (2.0_f64 - 2.0_f64.sqrt()).sqrt() as f32;
        let expected = [2.0_f32.sqrt(), 0.0, near, 2.0_f32.sqrt(), near, near];
        assert!(found.pairs.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", found.pairs);
        assert_eq!(found.pairs.len(), 6);
    }
}
