//! Twin of [`crate::fixed`], with the same integers.

/// `sum += round(share · unit)`, row by row. `share` is rows × width and becomes zero. Returns the
/// largest magnitude of a scaled value.
pub fn add(sum: &mut [i64], share: &mut [f32], units: &[f64]) -> f64 {
    let width = sum.len() / units.len().max(1);
    let mut largest = 0.0;
    for p in 0..sum.len() {
        let scaled = f64::from(share[p]) * units[p / width];
        sum[p] += scaled.round_ties_even() as i64;
        largest = if scaled.abs() > largest || scaled.is_nan() { scaled.abs() } else { largest };
        share[p] = 0.0;
    }
    largest
}
