//! The twin of [`distance`](crate::distance).

use crate::distance::LANES;

/// ‖a − b‖² in the same order.
pub fn distance_sq(a: &[f64], b: &[f64]) -> f64 {
    let whole = a.len() - a.len() % LANES;
    let mut sum = 0.0;
    for lane in 0..LANES {
        let mut of_lane = 0.0;
        let mut i = lane;
        while i < whole {
            of_lane += (a[i] - b[i]) * (a[i] - b[i]);
            i += LANES;
        }
        sum += of_lane;
    }
    for i in whole..a.len() {
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    }
    sum
}
