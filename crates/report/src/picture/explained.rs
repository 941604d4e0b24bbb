//! The explained part of a sweep against k.

use super::replicates::{curves, line};
use super::{Axis, Figure, Picture, Plot, View};
use crate::read::OfK;

/// The figure.
pub(crate) fn figure(ks: &[OfK]) -> Figure {
    let hover = "k = %{x}: %{y:.5f}<extra></extra>";
    let explained = line(ks, ("", "#E69F00"), |of_k| of_k.explained, hover);
    let plot = Plot::Curves(curves(ks, Axis::new("explained: 1 − relative error²"), vec![explained]));
    Figure {
        id: "explained",
        title: "How much k programs explain".into(),
        see: "The part of ‖X‖² that the medians of the clusters explain, over the selected genes. Where the line flattens, \
              more programs split signal or fit noise."
            .into(),
        picture: Picture::Views { choice: "", views: vec![View { name: String::new(), plot }], height: 340 },
    }
}
