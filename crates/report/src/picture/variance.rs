//! The variance of principal components.

use serde_json::{Value, json};

use super::number::digits;
use super::{Figure, Picture, View};

/// The figure; `None` without the parts of the variance.
pub(crate) fn figure(ratio: &[f64]) -> Option<Figure> {
    if ratio.is_empty() {
        return None;
    }
    let numbers: Vec<usize> = (1..=ratio.len()).collect();
    let mut sum = 0.0;
    let sums = ratio.iter().map(|part| {
        sum += part;
        sum
    });
    let sums: Vec<f64> = sums.collect();
    let view = |name: &str, title: &str, values: &[f64], kind: &str| View {
        name: name.into(),
        data: json!([{"type": "scatter", "mode": "lines+markers", "x": numbers,
            "y": values.iter().map(|&part| digits(part, 6)).collect::<Vec<Value>>(),
            "hovertemplate": "component %{x}: %{y:.4f}<extra></extra>", "line": {"color": "#0072B2"}}]),
        layout: json!({"xaxis": {"title": {"text": "component"}, "tickformat": "d"},
            "yaxis": {"title": {"text": title}, "type": kind, "rangemode": "tozero"}}),
    };
    Some(Figure {
        id: "variance",
        title: "Variance by component".into(),
        see: "Where the curve bends into a flat tail, the components that follow are mostly noise.".into(),
        picture: Picture::Views {
            choice: "show",
            views: vec![
                view("each", "part of the variance", ratio, "linear"),
                view("each, logarithmic", "part of the variance", ratio, "log"),
                view("sum so far", "part of the variance, sum", &sums, "linear"),
            ],
            height: 360,
        },
    })
}
