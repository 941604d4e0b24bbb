//! Sums in fixed point have the integers of the twin, and overflow is detected.

use partwise_kernels::{Isa, fixed, naive};
use proptest::prelude::*;

use crate::shapes::between;

proptest! {
    #[test]
    fn sums_have_the_integers_of_their_twin(
        (units, shares) in (0..=9usize, 0..=41usize).prop_flat_map(|(rows, width)| {
            let share = prop::collection::vec(between(-1.0, 1000.0), rows * width);
            (prop::collection::vec((0..40i32).prop_map(|e| f64::from(e).exp2()), rows), prop::collection::vec(share, 1..4))
        })
    ) {
        let mut expected = vec![3i64; shares[0].len()];
        let mut largest = vec![];
        for share in &shares {
            largest.push(naive::fixed::add(&mut expected, &mut share.clone(), &units));
        }
        for isa in Isa::available() {
            let mut sum = vec![3i64; shares[0].len()];
            for (share, &largest) in shares.iter().zip(&largest) {
                let mut share = share.clone();
                prop_assert_eq!(fixed::add_with(isa, &mut sum, &mut share, &units), largest, "{:?}", isa);
                prop_assert!(share.iter().all(|&v| v == 0.0));
            }
            prop_assert_eq!(&sum, &expected, "{:?}", isa);
        }
    }

    #[test]
    fn overflow_is_detected(width in 1..=41usize, place in 0..41usize, odd in 0..4usize) {
        let value = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30][odd];
        for isa in Isa::available() {
            let mut share = vec![1.0f32; width];
            share[place % width] = value;
            let largest = fixed::add_with(isa, &mut vec![0; width], &mut share, &[1.0]);
            prop_assert!(largest.is_nan() || largest > fixed::LIMIT, "{:?} gives {}", isa, largest);
        }
    }
}
