//! The variance of principal components.

use super::number::digits;
use super::{Axis, Curves, Figure, Picture, Plot, Style, Ticks, Trace, View};

/// The figure; `None` without the parts of the variance.
pub(crate) fn figure(ratio: &[f64]) -> Option<Figure> {
    if ratio.is_empty() {
        return None;
    }
    let mut sum = 0.0;
    let sums = ratio.iter().map(|part| {
        sum += part;
        sum
    });
    let sums: Vec<f64> = sums.collect();
    let view = |name: &str, title: &str, values: &[f64], logarithmic: bool| {
        let trace = Trace {
            name: "",
            x: (1..=values.len()).map(|component| component as f64).collect(),
            y: values.iter().map(|&part| digits(part, 6)).collect(),
            style: Style::LineAndPoints,
            colour: "#0072B2",
            hover: Some("component %{x}: %{y:.4f}<extra></extra>"),
            about: Vec::new(),
        };
        let x = Axis::new("component").with_ticks(Ticks::Whole);
        let y = Axis::new(title).with_zero().with_logarithms(logarithmic);
        View { name: name.into(), plot: Plot::Curves(Curves { x, y, traces: vec![trace] }) }
    };
    Some(Figure {
        id: "variance",
        title: "Variance by component".into(),
        see: "Where the curve bends into a flat tail, the components that follow are mostly noise.".into(),
        picture: Picture::Views {
            choice: "show",
            views: vec![
                view("each", "part of the variance", ratio, false),
                view("each, logarithmic", "part of the variance", ratio, true),
                view("sum so far", "part of the variance, sum", &sums, false),
            ],
            height: 360,
        },
    })
}
