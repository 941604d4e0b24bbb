//! What groups of cells use: the mean shares of each group, over all of its cells.

use serde_json::{Value, json};

use super::number::decimals;
use super::{Figure, Picture, View, thousands};
use crate::read::{Fit, Values};

/// The most groups of a heat map.
const GROUPS: usize = 60;

/// The figure; `None` if no label names groups. `programs` is their order.
pub(crate) fn figure(fit: &Fit, programs: &[usize]) -> Option<Figure> {
    let (mut views, mut rows) = (Vec::new(), 0);
    for label in &fit.labels {
        let Values::Groups { names, sizes, missing, usage, .. } = &label.values else { continue };
        let mut groups: Vec<usize> = (0..names.len()).collect();
        groups.sort_by(|&a, &b| sizes[b].cmp(&sizes[a]).then(a.cmp(&b)));
        groups.truncate(GROUPS);
        groups.sort_unstable();
        let left_out = names.len() - groups.len();
        let z: Vec<Value> = groups
            .iter()
            .map(|&group| decimals(programs.iter().map(|&program| usage[group * fit.k + program]), 4).into())
            .collect();
        let places: Vec<usize> = (0..groups.len()).collect();
        let texts: Vec<&String> = groups.iter().map(|&group| &names[group]).collect();
        let hover: Vec<String> = groups
            .iter()
            .map(|&group| format!("{} ({} cells)", names[group], thousands(sizes[group] as usize)))
            .collect();
        let mut title = label.name.clone();
        if left_out > 0 {
            title.push_str(&format!(", {left_out} smaller groups not shown"));
        }
        if *missing > 0 {
            title.push_str(&format!(", {} cells without a value", thousands(*missing as usize)));
        }
        views.push(View {
            name: label.name.clone(),
            data: json!([{"type": "heatmap", "z": z, "zmin": 0, "colorscale": "Viridis", "rows": hover, "xgap": 1, "ygap": 1,
                "hovertemplate": "%{customdata}<br>program %{x}: mean share %{z:.3f}<extra></extra>",
                "colorbar": {"title": {"text": "mean share"}, "thickness": 12}}]),
            layout: json!({
                "xaxis": {"title": {"text": "program"}, "tickvals": (0..fit.k).collect::<Vec<usize>>(),
                    "ticktext": programs.iter().map(usize::to_string).collect::<Vec<String>>(), "ticks": ""},
                "yaxis": {"title": {"text": title}, "tickvals": places, "ticktext": texts,
                    "ticks": "", "autorange": "reversed"},
            }),
        });
        rows = rows.max(groups.len());
    }
    (!views.is_empty()).then(|| Figure {
        id: "labels",
        title: "Programs by label".into(),
        see: "A bright field says that the cells of this group use the program much, on average over all of them."
            .into(),
        picture: Picture::Views { choice: "label", views, height: (180 + 24 * rows.max(5)).min(1600) },
    })
}
