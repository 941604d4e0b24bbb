//! What groups of cells use: the mean shares of each group, over all of its cells.

use super::number::decimals;
use super::{About, Axis, Figure, Heat, Palette, Picture, Plot, Ticks, View, thousands};
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
        let means = |&group: &usize| decimals(programs.iter().map(|&program| usage[group * fit.k + program]), 4);
        let about = groups
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
        let heat = Heat {
            x: Axis::new("program").with_ticks(Ticks::Names(programs.iter().map(usize::to_string).collect())),
            y: Axis::new(title).with_ticks(Ticks::Names(groups.iter().map(|&group| names[group].clone()).collect())),
            rows: groups.iter().map(means).collect(),
            palette: Palette::Viridis,
            range: (0.0, None),
            unit: "mean share",
            gaps: true,
            hover: "%{customdata}<br>program %{x}: mean share %{z:.3f}<extra></extra>",
            about: About::Rows(about),
            strips: Vec::new(),
        };
        views.push(View { name: label.name.clone(), plot: Plot::Heat(heat) });
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
