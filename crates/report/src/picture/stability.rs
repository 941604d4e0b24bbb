//! Stability and error of a sweep against k, one above the other.

use super::replicates::{curves, line, points};
use super::{Axis, Figure, Picture, Plot, View};
use crate::read::OfK;

/// The figure.
pub(crate) fn figure(ks: &[OfK]) -> Figure {
    let stability = line(ks, ("", "#0072B2"), |of_k| of_k.stability, "k = %{x}<br>stability %{y:.3f}<extra></extra>");
    let hover = "k = %{x}<br>relative error of the medians %{y:.5f}<extra></extra>";
    let error = line(ks, ("medians of the clusters", "#D55E00"), |of_k| of_k.relative_error, hover);
    let hover = "%{customdata} of k = %{x}<br>relative error %{y:.4f}<extra></extra>";
    let replicates = points(ks, |replicate| replicate.relative_error, hover);
    let above = curves(ks, Axis::new("stability (silhouette)"), vec![stability]);
    let below = curves(ks, Axis::new("relative error"), vec![replicates, error]);
    Figure {
        id: "stability",
        title: "Stability and error by k".into(),
        see: "Spectra of all replicates are clustered into k groups; stability is their mean silhouette, and 1 if all \
              replicates find the same programs. The relative error is ‖X − WH‖ / ‖X‖ over the selected genes. Choose a k that is stable and after which the error falls little more."
            .into(),
        picture: Picture::Views {
            choice: "",
            views: vec![View { name: String::new(), plot: Plot::Stack(vec![above, below]) }],
            height: 560,
        },
    }
}
