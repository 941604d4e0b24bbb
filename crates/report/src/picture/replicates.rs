//! Lines and points of a sweep against k: a line has one number of each k, and points have one of each replicate.

use std::collections::BTreeMap;

use super::number::digits;
use super::{Axis, Curves, Style, Trace, by_k};
use crate::read::{OfK, Replicate};

/// The most points of a k. Of more, evenly spaced ones are shown, from the smallest to the largest.
const POINTS: usize = 200;

/// Curves over every k of the sweep.
pub(super) fn curves(ks: &[OfK], y: Axis, traces: Vec<Trace>) -> Curves {
    Curves { x: by_k::axis(ks.iter().map(|of_k| of_k.k).collect()), y, traces }
}

/// The line through a number of each k.
pub(super) fn line(
    ks: &[OfK],
    (name, colour): (&'static str, &'static str),
    value: impl Fn(&OfK) -> f64,
    hover: &'static str,
) -> Trace {
    Trace {
        name,
        x: ks.iter().map(|of_k| of_k.k as f64).collect(),
        y: ks.iter().map(|of_k| digits(value(of_k), 7)).collect(),
        style: Style::LineAndPoints,
        colour,
        hover: Some(hover),
        about: Vec::new(),
    }
}

/// A point for each replicate; equal ones are one point.
pub(super) fn points(ks: &[OfK], value: impl Fn(&Replicate) -> f64, hover: &'static str) -> Trace {
    let (mut x, mut y, mut about) = (Vec::new(), Vec::new(), Vec::new());
    for of_k in ks {
        // Numbers of one sign have the order of their bits.
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        let values = of_k.each.iter().map(|replicate| digits(value(replicate), 5)).filter(|value| *value >= 0.0);
        values.for_each(|value| *counts.entry(value.to_bits()).or_default() += 1);
        let counts: Vec<(u64, usize)> = counts.into_iter().collect();
        let shown = counts.len().min(POINTS);
        for at in (0..shown).map(|at| at * (counts.len() - 1) / (shown - 1).max(1)) {
            x.push(of_k.k as f64);
            y.push(f64::from_bits(counts[at].0));
            about.push(format!("{} of {} replicates", counts[at].1, of_k.each.len()));
        }
    }
    Trace { name: "a replicate", x, y, style: Style::Points, colour: "#999999", hover: Some(hover), about }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_replicates_are_one_point_and_the_smallest_and_the_largest_stay() {
        let each = |values: &mut dyn Iterator<Item = f64>| {
            values.map(|passes| Replicate { relative_error: 0.5, passes }).collect::<Vec<_>>()
        };
        let few = OfK { k: 2, each: each(&mut [3.0, 7.0, 3.0].into_iter()), ..OfK::default() };
        let many = OfK { k: 9, each: each(&mut (0..1000).map(f64::from)), ..OfK::default() };
        let trace = points(&[few, many], |replicate| replicate.passes, "");
        assert_eq!((&trace.x[..3], &trace.y[..3]), (&[2.0, 2.0, 9.0][..], &[3.0, 7.0, 0.0][..]));
        assert_eq!(trace.about[..2], ["2 of 3 replicates", "1 of 3 replicates"]);
        assert_eq!((trace.y.len(), trace.y.last()), (2 + POINTS, Some(&999.0)));
    }
}
