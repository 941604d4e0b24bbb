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
    let is_accepted = |row: usize| accepted.get(row).is_none_or(|&accepted| accepted != 0.0);
    let of = |wanted: bool, name, style, colour| {
        let rows = passes.iter().zip(&errors).enumerate();
        let kept = rows.filter(|(row, _)| is_accepted(*row) == wanted);
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
        see: see(errors.iter().enumerate().filter(|(row, _)| is_accepted(*row)).map(|(_, error)| *error)),
        picture: Picture::Views {
            choice: "scale",
            views: vec![view("linear", false), view("logarithmic", true)],
            height: 340,
        },
    })
}

/// What the curve of these errors says. Its axis spans just them, so that its shape alone says nothing.
fn see(errors: impl Iterator<Item = f64>) -> String {
    let errors: Vec<f64> = errors.collect();
    match errors[..] {
        [.., before, last] if before > 0.0 => format!(
            "The axis spans only the errors shown: look at its numbers. The last pass changed the error by {:.1e} of \
             itself; where that is small, more passes would change little.",
            ((before - last) / before).abs()
        ),
        // One pass that counts, or an error of zero.
        _ => "A small change from one pass to the next says that more passes would change little.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::see;

    #[test]
    fn the_words_have_the_size_of_the_last_change() {
        let said = see([0.5, 0.4, 0.39998].into_iter());
        assert!(said.contains("by 5.0e-5 of itself"), "{said}");
        for short in [&[0.5][..], &[0.0, 0.0]] {
            assert!(see(short.iter().copied()).starts_with("A small change"));
        }
    }
}
