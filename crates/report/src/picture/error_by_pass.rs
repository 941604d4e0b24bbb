//! The relative error after each pass.

use serde_json::{Value, json};

use super::number::digits;
use super::{Figure, Picture, View};
use crate::read::Story;

/// The figure; `None` if the result has no trace.
pub(crate) fn figure(story: &Story) -> Option<Figure> {
    let trace = story.inner("trace");
    let (passes, errors, accepted) =
        (trace.numbers("pass"), trace.numbers("relative_error"), trace.numbers("accepted"));
    if errors.is_empty() || passes.len() != errors.len() {
        return None;
    }
    let of = |wanted: bool| -> (Vec<Value>, Vec<Value>) {
        let rows = passes.iter().zip(&errors).enumerate();
        let kept = rows.filter(|(row, _)| accepted.get(*row).is_none_or(|&accepted| accepted != 0.0) == wanted);
        kept.map(|(_, (&pass, &error))| (digits(pass, 12), digits(error, 7))).unzip()
    };
    let hover = "pass %{x}<br>relative error %{y:.5f}<extra></extra>";
    let (x, y) = of(true);
    let mut data = vec![json!({"type": "scatter", "mode": "lines+markers", "name": "accepted", "x": x, "y": y,
        "hovertemplate": hover, "line": {"color": "#0072B2"}, "marker": {"size": 7}})];
    let (x, y) = of(false);
    if !x.is_empty() {
        data.push(json!({"type": "scatter", "mode": "markers", "name": "undone", "x": x, "y": y,
            "hovertemplate": hover, "marker": {"size": 8, "symbol": "x", "color": "#D55E00"}}));
    }
    let several = data.len() > 1;
    // A tick for each pass, if there is room.
    let step = if passes.len() <= 20 { json!(1) } else { Value::Null };
    let layout = |kind: &str| {
        json!({"showlegend": several,
            "xaxis": {"title": {"text": "pass (reads of the data)"}, "tickformat": "d", "dtick": step},
            "yaxis": {"title": {"text": "relative error ‖X − WH‖ / ‖X‖"}, "type": kind}})
    };
    let data = Value::from(data);
    let view = |name: &str, kind: &str| View { name: name.into(), data: data.clone(), layout: layout(kind) };
    Some(Figure {
        id: "error",
        title: "Error by pass".into(),
        see: "A curve that has become flat says that more passes would change little.".into(),
        picture: Picture::Views {
            choice: "scale",
            views: vec![view("linear", "linear"), view("logarithmic", "log")],
            height: 340,
        },
    })
}
