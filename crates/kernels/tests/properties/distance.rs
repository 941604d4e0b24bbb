//! The distance of two vectors.

use partwise_kernels::distance::distance_sq_with;
use partwise_kernels::{Isa, naive};
use proptest::prelude::*;

proptest! {
    #[test]
    fn distances_have_the_bits_of_the_twin_and_the_value_of_the_formula(
        pairs in prop::collection::vec((-3.0f64..3.0, -3.0f64..3.0), 0..200),
    ) {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let plain: f64 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
        let twin = naive::distance::distance_sq(&a, &b);
        prop_assert!((twin - plain).abs() <= 1e-12 * plain.max(1.0));
        for isa in Isa::available() {
            prop_assert_eq!(distance_sq_with(isa, &a, &b), twin, "{:?}", isa);
            prop_assert_eq!(distance_sq_with(isa, &a, &a), 0.0);
        }
    }
}
