//! Gram matrices have the bits of the twin, are symmetric, and may take any number of calls.

use partwise_kernels::{Isa, gram, naive};
use proptest::prelude::*;

use crate::shapes::{components, factor};

proptest! {
    #[test]
    fn gram_has_the_bits_of_its_twin(
        (n, k, rows, cut) in (0..=140usize, components())
            .prop_flat_map(|(n, k)| (Just(n), Just(k), factor(n, k), 0..=n))
    ) {
        let rows = rows.view(n, k);
        let mut expected = vec![0.0; k * k];
        naive::gram::add_gram(&mut expected, rows);
        for isa in Isa::available() {
            let mut out = vec![0.0; k * k];
            gram::add_gram_with(isa, &mut out, rows.slice(0..cut));
            gram::add_gram_with(isa, &mut out, rows.slice(cut..n));
            prop_assert_eq!(&out, &expected, "with {:?}", isa);
            for a in 0..k {
                for b in 0..a {
                    prop_assert_eq!(out[a * k + b].to_bits(), out[b * k + a].to_bits());
                }
            }
        }
    }
}
