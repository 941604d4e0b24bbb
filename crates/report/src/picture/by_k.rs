//! Error and explained part of several fits against k.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::number::digits;
use super::{Figure, Picture, View};

/// A fit of the folder, in numbers.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub(crate) file: String,
    pub(crate) k: usize,
    pub(crate) seed: String,
    pub(crate) error: f64,
    pub(crate) explained: f64,
}

/// The figure.
pub(crate) fn figure(points: &[Point]) -> Figure {
    let explained = view("explained part", "explained: 1 − relative error²", points, |point| point.explained, true);
    let error = view("relative error", "relative error ‖X − WH‖ / ‖X‖", points, |point| point.error, false);
    Figure {
        id: "by_k",
        title: "How much k programs explain".into(),
        see: "Each point is a fit and the line joins the best one of each k; where the line flattens, more programs split \
              signal or fit noise."
            .into(),
        picture: Picture::Views { choice: "show", views: vec![explained, error], height: 380 },
    }
}

fn view(name: &str, title: &str, points: &[Point], value: impl Fn(&Point) -> f64, largest: bool) -> View {
    let mut best: BTreeMap<usize, f64> = BTreeMap::new();
    for point in points {
        let value = value(point);
        let best = best.entry(point.k).or_insert(value);
        if (value > *best) == largest {
            *best = value;
        }
    }
    let ks: Vec<usize> = best.keys().copied().collect();
    let column = |of: &dyn Fn(&Point) -> Value| points.iter().map(of).collect::<Vec<Value>>();
    View {
        name: name.into(),
        data: json!([
            {"type": "scatter", "mode": "lines", "name": "best of each k", "x": ks,
             "y": best.values().map(|&value| digits(value, 7)).collect::<Vec<Value>>(), "hoverinfo": "skip",
             "line": {"color": "#E69F00", "width": 2}},
            {"type": "scatter", "mode": "markers", "name": "a fit", "x": column(&|point| point.k.into()),
             "y": column(&|point| digits(value(point), 7)),
             "customdata": column(&|point| format!("{}, seed {}", point.file, point.seed).into()),
             "hovertemplate": "%{customdata}<br>k = %{x}: %{y:.5f}<extra></extra>",
             "marker": {"color": "#0072B2", "size": 8, "opacity": 0.8}},
        ]),
        layout: json!({"xaxis": {"title": {"text": "number of programs k"}, "tickvals": ks, "automargin": true},
            "yaxis": {"title": {"text": title}}, "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"}}),
    }
}
