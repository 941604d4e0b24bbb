//! Update rules have the bits of the twin on every set of instructions, never go uphill, and treat
//! dead components as requested.

use partwise_kernels::naive::update::objective;
use partwise_kernels::{Dead, FactorBuf, Isa, UpdateRule, naive, stride};
use proptest::prelude::*;

use crate::shapes::{bits, components, factor, gram_matrix, padding_is_zero, update, view, view_mut};

const RULES: [UpdateRule; 3] = [UpdateRule::Hals { sweeps: 1 }, UpdateRule::Hals { sweeps: 3 }, UpdateRule::Mu];

/// The rules of `RULES` and block pivoting, which has no twin with its bits. `pivoting.rs` tests
/// its minimum.
pub(crate) const ALL: [UpdateRule; 4] =
    [UpdateRule::Hals { sweeps: 1 }, UpdateRule::Hals { sweeps: 3 }, UpdateRule::Mu, UpdateRule::Bpp];

/// k, rows (n × k), cross products (n × k), Gram matrix (k × k).
fn case() -> impl Strategy<Value = (usize, FactorBuf, FactorBuf, Vec<f32>)> {
    let n = prop_oneof![Just(0usize), Just(1), Just(15), Just(16), Just(17), Just(33), 0..=70usize];
    (n, components()).prop_flat_map(|(n, k)| (Just(k), factor(n, k), factor(n, k), gram_matrix(k)))
}

proptest! {
    #[test]
    fn rules_have_the_bits_of_their_twins((k, rows, cross, gram) in case()) {
        for rule in RULES {
            for dead in [Dead::Keep, Dead::Zero] {
                let mut expected = rows.clone();
                naive::update::apply(rule, view_mut(&mut expected, k), view(&cross, k), &gram, dead);
                for isa in Isa::available() {
                    let mut out = rows.clone();
                    update(rule, isa, &mut out, &cross, &gram, k, dead);
                    prop_assert_eq!(bits(&out), bits(&expected), "{:?} with {:?}", rule, isa);
                    prop_assert!(padding_is_zero(&out, k));
                }
            }
        }
    }

    #[test]
    fn rules_never_go_uphill((k, mut rows, cross, gram) in case()) {
        let ks = stride(k);
        // One inner sweep at a time, so that each component moves once between two comparisons.
        for rule in [UpdateRule::Hals { sweeps: 1 }, UpdateRule::Hals { sweeps: 1 }, UpdateRule::Mu, UpdateRule::Mu] {
            let before = rows.clone();
            update(rule, Isa::best(), &mut rows, &cross, &gram, k, Dead::Keep);
            for ((old, new), cross) in before.chunks_exact(ks).zip(rows.chunks_exact(ks)).zip(cross.chunks_exact(ks)) {
                let (before, after) = (objective(old, cross, &gram, k), objective(new, cross, &gram, k));
                let slack = tolerance(old, new, cross, &gram, k);
                prop_assert!(after <= before + slack, "{rule:?}: {before} to {after}, {slack} allowed");
            }
        }
    }

    #[test]
    fn dead_components_are_kept_or_zeroed(
        (k, rows, cross, gram) in case().prop_filter("something is dead", |(k, _, _, gram)| {
            (0..*k).any(|c| gram[c * k + c] == 0.0)
        })
    ) {
        let ks = stride(k);
        for rule in ALL {
            for dead in [Dead::Keep, Dead::Zero] {
                let mut out = rows.clone();
                update(rule, Isa::best(), &mut out, &cross, &gram, k, dead);
                for (old, new) in rows.chunks_exact(ks).zip(out.chunks_exact(ks)) {
                    for c in (0..k).filter(|c| gram[c * k + c] == 0.0) {
                        prop_assert_eq!(new[c], if dead == Dead::Keep { old[c] } else { 0.0 });
                    }
                }
            }
        }
    }
}

/// The most by which rounding may raise a row's objective in one step of MU or one inner sweep of
/// HALS (docs/numerics.md, Updates).
fn tolerance(old: &[f32], new: &[f32], cross: &[f32], gram: &[f32], k: usize) -> f64 {
    let u = f64::from(f32::EPSILON) / 2.0;
    let largest: Vec<f64> = (0..k).map(|c| f64::from(old[c].max(new[c]))).collect();
    let mut size = 0.0;
    for a in 0..k {
        size += f64::from(cross[a]) * largest[a];
        for b in 0..k {
            size += largest[a] * f64::from(gram[a * k + b]) * largest[b];
        }
    }
    (k as f64 + 4.0) * u * size
}

#[test]
fn hals_solves_one_component_exactly() {
    let mut rows = [9.0, 0.0, 0.0, 0.0];
    let rule = UpdateRule::Hals { sweeps: 1 };
    update(rule, Isa::best(), &mut rows, &[6.0, 0.0, 0.0, 0.0], &[4.0], 1, Dead::Keep);
    assert_eq!(rows, [1.5, 0.0, 0.0, 0.0]);
}

#[test]
fn mu_is_the_published_quotient() {
    // r = (1, 2), G = [[2, 1], [1, 3]], c = (8, 14): G r = (4, 7).
    let mut rows = [1.0, 2.0, 0.0, 0.0];
    let gram = [2.0, 1.0, 1.0, 3.0];
    update(UpdateRule::Mu, Isa::best(), &mut rows, &[8.0, 14.0, 0.0, 0.0], &gram, 2, Dead::Keep);
    assert_eq!(rows, [2.0, 4.0, 0.0, 0.0]);
}

#[test]
fn a_zero_row_stays_zero_under_mu() {
    let mut rows = [0.0f32; 4];
    let gram = [2.0, 1.0, 1.0, 3.0];
    update(UpdateRule::Mu, Isa::best(), &mut rows, &[1e30, 1.0, 0.0, 0.0], &gram, 2, Dead::Keep);
    assert_eq!(rows, [0.0; 4]);
}

#[test]
fn nan_stays_visible_and_in_its_row() {
    for rule in ALL {
        let mut rows = [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
        let cross = [f32::NAN, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
        update(rule, Isa::best(), &mut rows, &cross, &[2.0, 1.0, 1.0, 3.0], 2, Dead::Keep);
        assert!(rows[0].is_nan(), "{rule:?}");
        assert!(rows[4..].iter().all(|v| v.is_finite()), "{rule:?}");
    }
}
