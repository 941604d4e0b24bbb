//! Block principal pivoting finds the minimum over r ≥ 0.

use partwise_kernels::naive::update::objective;
use partwise_kernels::{Dead, FactorBuf, Isa, UpdateRule, naive, stride};
use proptest::prelude::*;

use crate::shapes::{bits, components, factor, gram_matrix, padding_is_zero, update, view, view_mut};

/// k, rows (n × k), cross products (n × k), Gram matrix (k × k).
fn case(k: impl Strategy<Value = usize>) -> impl Strategy<Value = (usize, FactorBuf, FactorBuf, Vec<f32>)> {
    (0..=20usize, k).prop_flat_map(|(n, k)| (Just(k), factor(n, k), factor(n, k), gram_matrix(k)))
}

/// Σ|terms| of the objective, to which rounding of 32 bits is relative.
fn size(r: &[f32], cross: &[f32], gram: &[f32], k: usize) -> f64 {
    (0..k)
        .map(|a| {
            let row: f64 = (0..k).map(|b| f64::from(r[a]) * f64::from(gram[a * k + b]) * f64::from(r[b])).sum();
            row + f64::from(cross[a]) * f64::from(r[a])
        })
        .sum()
}

proptest! {
    #[test]
    fn no_set_of_components_is_better((k, rows, cross, gram) in case(1..=6usize)) {
        let ks = stride(k);
        let (mut solved, mut best) = (rows.clone(), rows);
        update(UpdateRule::Bpp, Isa::best(), &mut solved, &cross, &gram, k, Dead::Zero);
        naive::update::apply(UpdateRule::Bpp, view_mut(&mut best, k), view(&cross, k), &gram, Dead::Zero);
        for ((solved, best), cross) in solved.chunks_exact(ks).zip(best.chunks_exact(ks)).zip(cross.chunks_exact(ks)) {
            let (got, least) = (objective(solved, cross, &gram, k), objective(best, cross, &gram, k));
            // Slack for the raised diagonal of a singular matrix, of second order, and for the
            // rounding of r to 32 bits.
            let slack = 2e-6 * k as f64 * size(best, cross, &gram, k);
            prop_assert!(got <= least + slack, "{got} where {least} is possible: {solved:?} {best:?}");
        }
    }

    #[test]
    fn conditions_of_the_minimum_hold((k, mut rows, cross, gram) in case(components())) {
        let ks = stride(k);
        update(UpdateRule::Bpp, Isa::best(), &mut rows, &cross, &gram, k, Dead::Zero);
        prop_assert!(padding_is_zero(&rows, k));
        for (r, cross) in rows.chunks_exact(ks).zip(cross.chunks_exact(ks)) {
            let largest = f64::from(r.iter().copied().fold(0.0, f32::max));
            for c in (0..k).filter(|&c| gram[c * k + c] > 0.0) {
                let terms = (0..k).map(|l| f64::from(gram[c * k + l]) * f64::from(r[l]));
                let (pull, diagonal, wanted) = (terms.sum::<f64>(), f64::from(gram[c * k + c]), f64::from(cross[c]));
                // Slack for the rounding of r, and for the raised diagonal of a singular matrix, by
                // about k·2⁻²³.
                let slack = 2e-7 * (k as f64 + 1.0) * diagonal * largest + 2e-7 * (pull + wanted);
                prop_assert!(r[c] >= 0.0);
                prop_assert!(pull - wanted >= -slack, "gradient {} at {c}, {slack} allowed", pull - wanted);
                if r[c] > 0.0 {
                    prop_assert!(pull - wanted <= slack, "gradient {} at positive {c}, {slack} allowed", pull - wanted);
                }
                // Exact sums rely on this bound.
                prop_assert!(f64::from(r[c]) * diagonal <= wanted * 1.000_001);
            }
        }
    }

    #[test]
    fn instructions_and_neighbours_do_not_matter((k, rows, cross, gram) in case(components())) {
        let ks = stride(k);
        let mut together = rows.clone();
        update(UpdateRule::Bpp, Isa::best(), &mut together, &cross, &gram, k, Dead::Keep);
        for isa in Isa::available() {
            let mut one_by_one = rows.clone();
            for (row, cross) in one_by_one.chunks_exact_mut(ks).zip(cross.chunks_exact(ks)) {
                update(UpdateRule::Bpp, isa, row, cross, &gram, k, Dead::Keep);
            }
            prop_assert_eq!(bits(&one_by_one), bits(&together));
        }
    }
}
