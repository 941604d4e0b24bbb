//! Dense products have the values of the formula, within the bound for any order of summation, and
//! WᵀX has the bits of the twin on every set of instructions.

use partwise_kernels::{FactorBuf, Isa, dense, naive, stride};
use proptest::prelude::*;

use crate::shapes::{between, bits, components, factor, padding_is_zero, view, view_mut};
use crate::sparse::close;

proptest! {
    #[test]
    fn products_are_those_of_the_matrix(
        (b, m, k, x, ht, w) in (0..=40usize, 0..=70usize, components()).prop_flat_map(|(b, m, k)| {
            let x = prop::collection::vec(prop_oneof![Just(0.0f32), between(0.0, 100.0)], b * m);
            (Just(b), Just(m), Just(k), x, factor(m, k), factor(b, k))
        })
    ) {
        let ks = stride(k);
        let mut out = FactorBuf::zeros(b, k);
        out.fill(7.0);
        dense::xht(out.view_mut(b, k), &x, ht.view(m, k));
        prop_assert!(padding_is_zero(&out, k));
        close(&out, &naive::product::xht(&x, &ht, b, m, ks), m)?;

        let mut share = FactorBuf::zeros(m, k);
        dense::wtx(share.view_mut(m, k), &x, w.view(b, k));
        prop_assert!(padding_is_zero(&share, k));
        close(&share, &naive::product::wtx(&x, &w, b, m, ks), b)?;

        let mut twin = share.clone();
        naive::dense::wtx(view_mut(&mut twin, k), &x, view(&w, k));
        for isa in Isa::available() {
            let mut again = share.clone();
            dense::wtx_with(isa, view_mut(&mut again, k), &x, view(&w, k));
            prop_assert_eq!(bits(&again), bits(&twin), "wtx with {:?}", isa);
        }
        dense::wtx(share.view_mut(m, k), &x, w.view(b, k));
        let twice: Vec<f64> = naive::product::wtx(&x, &w, b, m, ks).iter().map(|v| 2.0 * v).collect();
        close(&share, &twice, 2 * b)?;
    }
}
