//! A clustered heat map of W: what each cell uses.

use super::groups::Shown;
use super::number::decimals;
use super::programs::titles;
use super::{About, Axis, Figure, Heat, Palette, Picture, Plot, Strip, Ticks, View};
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
    let strips: Vec<Strip> = fit
        .labels
        .iter()
        .filter_map(|label| match &label.values {
            Values::Groups { names, sizes, of_sample, .. } => {
                let mut groups = Shown::new(names, sizes, of_sample);
                groups.codes = order.iter().map(|&cell| groups.codes[some.rows()[cell]]).collect();
                Some(Strip { name: label.name.clone(), groups, is_in_legend: true })
            }
            Values::Numbers(_) => None,
        })
        .collect();
    let groups: usize = strips.iter().map(|strip| strip.groups.names.len()).sum();
    // The legend has about four groups in a line.
    let height = 180 + 20 * k.max(5) + 26 * strips.len() + 24 * groups.div_ceil(4);
    let heat = Heat {
        x: Axis::new(format!("cells ({} shown, neighbours are alike)", order.len())),
        y: Axis::new("program").with_ticks(Ticks::Names(titles(programs))),
        rows: (0..k).map(|program| decimals(order.iter().map(|&cell| shares[cell * k + program]), 3)).collect(),
        palette: Palette::Viridis,
        range: (0.0, Some(1.0)),
        unit: "share",
        gaps: false,
        hover: "%{customdata}<br>%{y}: share %{z:.3f}<extra></extra>",
        about: About::Columns(order.iter().map(|&cell| fit.names[some.rows()[cell]].clone()).collect()),
        strips,
    };
    Figure {
        id: "shares",
        title: "What cells use".into(),
        see:
            "Cells that use the same programs stand side by side, so a block is a group of cells with a program of its \
              own, and a row that is bright everywhere is a program that all cells share."
                .into(),
        picture: Picture::Views {
            choice: "",
            views: vec![View { name: String::new(), plot: Plot::Heat(heat) }],
            height: height.min(1400),
        },
    }
}
