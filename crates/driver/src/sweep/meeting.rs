//! Replicates that have come to the same spectra.
//!
//! Many replicates of one k end in the same optimum. Once all their programs are alike they only repeat each other's
//! passes, so that one of them goes on for both. It is always the one of lower number that goes on: what a replicate
//! becomes then depends on none of higher number.

use rayon::prelude::*;

use crate::spectra::Spectra;

/// The passes after which replicates are compared: this one, and every so many after it.
const FROM: usize = 10;
const EVERY: usize = 5;
/// The cosine above which two programs are the same. At 0.99, replicates of different optima were taken for one.
const SAME: f64 = 0.999;

/// Whether replicates are compared after this many passes.
pub(super) fn is_due(passes: usize) -> bool {
    passes >= FROM && (passes - FROM).is_multiple_of(EVERY)
}

/// For every replicate of a group that `goes_on`, the first one of lower number that has the same programs and has
/// not met another itself; `met` has those that had met before. `O(R²·k²·m)` at most.
pub(super) fn meet(spectra: &[&Spectra], goes_on: &[bool], met: &mut [Option<usize>]) {
    let rows: Vec<Unit> = spectra.par_iter().map(|spectra| Unit::of(spectra)).collect();
    for later in 1..rows.len() {
        if goes_on[later] && met[later].is_none() {
            let alike = |&earlier: &usize| met[earlier].is_none() && rows[later].is_same(&rows[earlier]);
            met[later] = (0..later).into_par_iter().find_first(alike);
        }
    }
}

/// Spectra scaled to norm 1, k × m.
struct Unit {
    genes: usize,
    rows: Vec<f64>,
}

impl Unit {
    fn of(spectra: &Spectra) -> Self {
        let mut rows = Vec::with_capacity(spectra.k() * spectra.genes());
        for component in 0..spectra.k() {
            let norm = spectra.component(component).map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt();
            let inverse = if norm > 0.0 { 1.0 / norm } else { 0.0 };
            rows.extend(spectra.component(component).map(|value| f64::from(value) * inverse));
        }
        Unit { genes: spectra.genes(), rows }
    }

    /// Whether every spectrum is the same as another one of `other`, one to one.
    fn is_same(&self, other: &Unit) -> bool {
        let mut taken = vec![false; other.rows.len() / other.genes];
        self.rows.chunks_exact(self.genes).all(|row| {
            let like = |other: &[f64]| row.iter().zip(other).map(|(a, b)| a * b).sum::<f64>() > SAME;
            let mut others = other.rows.chunks_exact(other.genes).enumerate();
            let found = others.find(|(place, other)| !taken[*place] && like(other));
            found.map(|(place, _)| taken[place] = true).is_some()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three programs over eight genes in this order, each with a little of `noise`.
    fn spectra(order: [usize; 3], noise: f32) -> Spectra {
        let mut spectra = Spectra::zeros(8, 3);
        let ks = spectra.ks();
        for (place, program) in order.into_iter().enumerate() {
            for gene in 0..8 {
                let of_program = if gene / 2 == program { 1.0 + gene as f32 } else { 0.0 };
                spectra.ht_mut()[gene * ks + place] = (place + 1) as f32 * (of_program + noise * gene as f32);
            }
        }
        spectra
    }

    #[test]
    fn replicates_meet_those_of_lower_number_whatever_the_order_and_scale_of_their_programs() {
        let all = [
            spectra([0, 1, 2], 0.0),
            spectra([0, 1, 3], 0.0),
            spectra([2, 0, 1], 0.001),
            spectra([3, 1, 0], 0.0),
            spectra([0, 0, 1], 0.0),
            spectra([1, 2, 0], 0.5),
        ];
        let all: Vec<&Spectra> = all.iter().collect();
        let mut met = [None; 6];
        meet(&all, &[true; 6], &mut met);
        assert_eq!(met, [None, None, Some(0), Some(1), None, None]);
        // One that has met is no one to meet, and one that has ended meets nobody.
        let mut met = [None, Some(0), None, None, None, None];
        meet(&all, &[true, true, false, true, true, true], &mut met);
        assert_eq!(met, [None, Some(0), None, None, None, None]);
    }

    #[test]
    fn they_are_compared_from_the_tenth_pass_on() {
        assert_eq!((0..30).filter(|&passes| is_due(passes)).collect::<Vec<_>>(), [10, 15, 20, 25]);
    }
}
