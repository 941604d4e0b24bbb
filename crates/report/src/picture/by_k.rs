//! Error and explained part of several fits against k.

use std::collections::BTreeMap;

use super::number::digits;
use super::{Axis, Curves, Figure, Picture, Plot, Style, Ticks, Trace, View};

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
    let line = Trace {
        name: "best of each k",
        x: ks.iter().map(|&k| k as f64).collect(),
        y: best.values().map(|&value| digits(value, 7)).collect(),
        style: Style::Line,
        colour: "#E69F00",
        hover: None,
        about: Vec::new(),
    };
    let each = Trace {
        name: "a fit",
        x: points.iter().map(|point| point.k as f64).collect(),
        y: points.iter().map(|point| digits(value(point), 7)).collect(),
        style: Style::Points,
        colour: "#0072B2",
        hover: Some("%{customdata}<br>k = %{x}: %{y:.5f}<extra></extra>"),
        about: points.iter().map(|point| format!("{}, seed {}", point.file, point.seed)).collect(),
    };
    View {
        name: name.into(),
        plot: Plot::Curves(Curves { x: axis(ks), y: Axis::new(title), traces: vec![line, each] }),
    }
}

/// The axis of k, with a tick at each of `ks`.
pub(super) fn axis(ks: Vec<usize>) -> Axis {
    Axis::new("number of programs k").with_ticks(Ticks::At(ks))
}
