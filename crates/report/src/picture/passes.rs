//! The passes of the replicates of a sweep against k.

use super::replicates::{curves, line, points};
use super::{Axis, Figure, Picture, Plot, View};
use crate::read::OfK;

/// The figure.
pub(crate) fn figure(ks: &[OfK]) -> Figure {
    let mean = line(ks, ("mean", "#009E73"), |of_k| of_k.passes, "k = %{x}<br>mean %{y:.1f} passes<extra></extra>");
    let hover = "%{customdata} of k = %{x}<br>%{y} passes<extra></extra>";
    let each = points(ks, |replicate| replicate.passes, hover);
    let plot = Plot::Curves(curves(ks, Axis::new("passes of a replicate").with_zero(), vec![each, mean]));
    Figure {
        id: "passes",
        title: "Passes of each replicate".into(),
        see:
            "How many times a replicate went through the selected genes until its loss stood still. Replicates at the \
              most passes that were allowed were still moving."
                .into(),
        picture: Picture::Views { choice: "", views: vec![View { name: String::new(), plot }], height: 340 },
    }
}
