//! The loss from sums equals the loss, and the KKT residual vanishes at the minimum.

use partwise_kernels::kkt::kkt_residual;
use partwise_kernels::loss::{LossTerms, loss_from_sums};
use partwise_kernels::{Dead, FactorMut, FactorRef, RuleScratch, UpdateRule, gram, naive, stride};
use proptest::prelude::*;

use crate::shapes::{between, components, factor};

proptest! {
    #[test]
    fn loss_from_sums_is_the_loss(
        (b, m, k, x, ht, w) in (0..=20usize, 0..=30usize, components()).prop_flat_map(|(b, m, k)| {
            let x = prop::collection::vec(prop_oneof![Just(0.0f32), between(0.0, 100.0)], b * m);
            (Just(b), Just(m), Just(k), x, factor(m, k), factor(b, k))
        })
    ) {
        let ks = stride(k);
        let x_sq_norm = x.iter().map(|&v| f64::from(v).powi(2)).sum();
        let wtx = naive::product::wtx(&x, &w, b, m, ks);
        let (mut wtw, mut hht) = (vec![0.0; k * k], vec![0.0; k * k]);
        gram::add_gram(&mut wtw, w.view(b, k));
        gram::add_gram(&mut hht, ht.view(m, k));
        let terms = loss_from_sums(x_sq_norm, &wtx, &ht, &wtw, &hht, k, ks);
        let expected = naive::loss::loss(&x, &w, &ht, b, m, ks);
        // docs/numerics.md, Loss.
        let size = terms.x_sq_norm + 2.0 * terms.cross + terms.model;
        let bound = (b * m + b + m + k * k + 8) as f64 * f64::EPSILON * size;
        prop_assert!((terms.loss() - expected).abs() <= bound, "{} for {expected}, {bound} allowed", terms.loss());
    }

    #[test]
    fn kkt_residual_is_the_formula(
        (k, ht, wtx, w) in (0..=30usize, components())
            .prop_flat_map(|(m, k)| (Just(k), factor(m, k), factor(m, k), factor(k + 1, k)))
    ) {
        let ks = stride(k);
        let wtx: Vec<f64> = wtx.iter().map(|&v| f64::from(v)).collect();
        let mut wtw = vec![0.0; k * k];
        gram::add_gram(&mut wtw, w.view(k + 1, k));
        let (got, expected) = (kkt_residual(&ht, &wtx, &wtw, k, ks), naive::loss::kkt_residual(&ht, &wtx, &wtw, k, ks));
        let same = (got - expected).abs() <= 1e-12 * expected.abs().max(k as f64);
        prop_assert!(same || got == expected, "{got} for {expected}");
    }
}

#[test]
fn the_residual_vanishes_at_the_minimum() {
    let (k, ks, m) = (3, stride(3), 5);
    let w: Vec<f32> = (0..6 * ks).map(|i| if i % ks < k { ((i * 7) % 5) as f32 + 0.5 } else { 0.0 }).collect();
    let wtx: Vec<f32> = (0..m * ks).map(|i| if i % ks < k { ((i * 11) % 13) as f32 } else { 0.0 }).collect();
    let mut wtw = vec![0.0; k * k];
    gram::add_gram(&mut wtw, FactorRef::new(&w, 6, k, ks));
    let gram: Vec<f32> = wtw.iter().map(|&v| v as f32).collect();
    let mut ht = vec![0.0; m * ks];
    let sums: Vec<f64> = wtx.iter().map(|&v| f64::from(v)).collect();
    let before = kkt_residual(&ht, &sums, &wtw, k, ks);
    let rule = UpdateRule::Hals { sweeps: 3000 }.prepare(&gram, k, Dead::Keep);
    rule.apply(FactorMut::new(&mut ht, m, k, ks), FactorRef::new(&wtx, m, k, ks), &mut RuleScratch::new());
    let after = kkt_residual(&ht, &sums, &wtw, k, ks);
    assert!(before == 1.0 && after < 1e-5, "{before} to {after}");
}

#[test]
fn the_relative_error_is_the_residual_beside_the_norm_of_the_data() {
    let error = |x_sq_norm, cross, model| LossTerms { x_sq_norm, cross, model }.relative_error();
    assert_eq!(error(16.0, 8.0, 4.0), 0.5);
    assert_eq!(error(4.0, 0.0, 0.0), 1.0);
    assert_eq!(error(0.0, 0.0, 0.0), 0.0);
    assert_eq!(error(4.0, 4.0, 4.0 - 4.0 * f64::EPSILON), 0.0, "a residual that rounding has made negative is zero");
}

#[test]
fn nan_is_not_hidden() {
    assert!(kkt_residual(&[1.0, 0.0, 0.0, 0.0], &[f64::NAN, 0.0, 0.0, 0.0], &[1.0], 1, 4).is_nan());
    assert!(loss_from_sums(f64::NAN, &[], &[], &[0.0], &[0.0], 1, 4).loss().is_nan());
}
