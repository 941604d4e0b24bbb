//! The relative error after each pass.

use super::number::digits;
use super::{Axis, Curves, Figure, Picture, Plot, Style, Ticks, Trace, View};
use crate::read::Story;

/// The figure; `None` if the result has no trace.
pub(crate) fn figure(story: &Story) -> Option<Figure> {
    let trace = story.inner("trace");
    let (passes, errors, accepted) =
        (trace.numbers("pass"), trace.numbers("relative_error"), trace.numbers("accepted"));
    if errors.is_empty() || passes.len() != errors.len() {
        return None;
    }
    let of = |wanted: bool, name, style, colour| {
        let rows = passes.iter().zip(&errors).enumerate();
        let kept = rows.filter(|(row, _)| accepted.get(*row).is_none_or(|&accepted| accepted != 0.0) == wanted);
        let (x, y) = kept.map(|(_, (&pass, &error))| (digits(pass, 12), digits(error, 7))).unzip();
        let hover = Some("pass %{x}<br>relative error %{y:.5f}<extra></extra>");
        Trace { name, x, y, style, colour, hover, about: Vec::new() }
    };
    let mut traces = vec![of(true, "accepted", Style::LineAndPoints, "#0072B2")];
    let undone = of(false, "undone", Style::Crosses, "#D55E00");
    if !undone.x.is_empty() {
        traces.push(undone);
    }
    let view = |name: &str, logarithmic: bool| {
        // A tick for each pass, if there is room.
        let ticks = if passes.len() <= 20 { Ticks::Each } else { Ticks::Whole };
        let x = Axis::new("pass (reads of the data)").with_ticks(ticks);
        let y = Axis::new("relative error ‖X − WH‖ / ‖X‖").with_logarithms(logarithmic);
        View { name: name.into(), plot: Plot::Curves(Curves { x, y, traces: traces.clone() }) }
    };
    Some(Figure {
        id: "error",
        title: "Error by pass".into(),
        see: "A curve that has become flat says that more passes would change little.".into(),
        picture: Picture::Views {
            choice: "scale",
            views: vec![view("linear", false), view("logarithmic", true)],
            height: 340,
        },
    })
}
