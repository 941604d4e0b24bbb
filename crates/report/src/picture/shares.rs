//! A clustered heat map of W: what each cell uses.

use serde_json::{Value, json};

use super::groups::Shown;
use super::number::decimals;
use super::{Figure, Picture, View};
use crate::cluster;
use crate::read::{Fit, Sample, Values};

/// The most cells of the heat map, and the most shares.
const CELLS: usize = 1000;
const SHARES: usize = 50_000;

/// The figure; `programs` is the order of the programs.
pub(crate) fn figure(fit: &Fit, programs: &[usize]) -> Figure {
    let k = fit.k;
    let some = Sample::new(fit.names.len(), CELLS.min(SHARES / k).max(2));
    let shares: Vec<f64> =
        some.rows().iter().flat_map(|&cell| programs.iter().map(move |&p| fit.shares[cell * k + p])).collect();
    // The centre of a cell's shares: its place if blocks follow the diagonal.
    let keys: Vec<f64> = shares
        .chunks_exact(k)
        .map(|cell| cell.iter().enumerate().map(|(place, share)| place as f64 * share).sum())
        .collect();
    let order = cluster::order_of_rows(&shares, k, &keys);
    let names: Vec<&str> = order.iter().map(|&cell| fit.names[some.rows()[cell]].as_str()).collect();
    let rows: Vec<Value> =
        (0..k).map(|program| decimals(order.iter().map(|&cell| shares[cell * k + program]), 3).into()).collect();
    let title = |program: &usize| format!("program {program}");
    // The page repeats the names of columns for each field.
    let mut data = vec![json!({"type": "heatmap", "z": rows, "columns": names, "colorscale": "Viridis",
        "zmin": 0, "zmax": 1, "y": (0..k).collect::<Vec<usize>>(), "hovertemplate":
        "%{customdata}<br>%{y}: share %{z:.3f}<extra></extra>", "hoverongaps": false,
        "colorbar": {"title": {"text": "share"}, "thickness": 12, "len": 1.0}})];

    let strips: Vec<_> = fit
        .labels
        .iter()
        .filter_map(|label| match &label.values {
            Values::Groups { names, sizes, of_sample, .. } => {
                Some((label.name.as_str(), Shown::new(names, sizes, of_sample)))
            }
            Values::Numbers(_) => None,
        })
        .collect();
    let bars = strips.len() as f64 * 0.05;
    let mut layout = json!({
        "xaxis": {"title": {"text": format!("cells ({} shown, neighbours are alike)", order.len())}},
        "yaxis": {"title": {"text": "program"}, "tickvals": (0..k).collect::<Vec<usize>>(),
            "ticktext": programs.iter().map(title).collect::<Vec<String>>(), "autorange": "reversed",
            "domain": [0.0, 1.0 - bars], "ticks": ""},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    });
    for (place, (name, shown)) in strips.iter().enumerate() {
        let axis = place + 2;
        let codes: Vec<usize> = order.iter().map(|&cell| shown.codes[some.rows()[cell]]).collect();
        let count = shown.names.len() as f64;
        let steps: Vec<Value> = shown
            .colours
            .iter()
            .enumerate()
            .flat_map(|(i, colour)| [json!([i as f64 / count, colour]), json!([(i + 1) as f64 / count, colour])])
            .collect();
        data.push(json!({"type": "heatmap", "z": [codes], "yaxis": format!("y{axis}"), "colorscale": steps,
            "zmin": -0.5, "zmax": count - 0.5, "showscale": false, "names": shown.names,
            "hovertemplate": "%{customdata}<extra></extra>"}));
        let end = 1.0 - 0.05 * place as f64;
        layout[format!("yaxis{axis}")] = json!({"domain": [end - 0.042, end], "tickvals": [0], "ticktext": [name],
            "ticks": "", "anchor": "x", "title": {"text": ""}});
        for (group, colour) in shown.names.iter().zip(&shown.colours) {
            let of = if strips.len() > 1 { format!("{name}: {group}") } else { group.clone() };
            data.push(json!({"type": "scatter", "mode": "markers", "x": [Value::Null], "y": [Value::Null],
                "name": of, "marker": {"color": colour, "symbol": "square", "size": 10}, "hoverinfo": "skip"}));
        }
    }
    let groups: usize = strips.iter().map(|(_, shown)| shown.names.len()).sum();
    // The legend has about four groups in a line.
    let height = 180 + 20 * k.max(5) + 26 * strips.len() + 24 * groups.div_ceil(4);
    Figure {
        id: "shares",
        title: "What cells use".into(),
        see:
            "Cells that use the same programs stand side by side, so a block is a group of cells with a program of its \
              own, and a row that is bright everywhere is a program that all cells share."
                .into(),
        picture: Picture::Views {
            choice: "",
            views: vec![View { name: String::new(), data: data.into(), layout }],
            height: height.min(1400),
        },
    }
}
