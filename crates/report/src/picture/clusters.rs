//! How far apart the spectra of all replicates are, program by program.

use super::groups::Shown;
use super::number::{decimals, thousands};
use super::{About, Axis, Figure, Heat, Palette, Picture, Plot, Strip, Ticks, View};
use crate::cluster;
use crate::read::{Consensus, Spectra};

/// The figure; `None` if the result has no distances.
pub(crate) fn figure(consensus: &Consensus) -> Option<Figure> {
    let (spectra, k) = (consensus.spectra.as_ref()?, consensus.k);
    let members = |program| (0..spectra.places.len()).filter(move |&at| spectra.programs[at] == program);
    let of_programs: Vec<Vec<usize>> = (0..k).map(|program| like_ones_together(spectra, members(program))).collect();
    let order: Vec<usize> = of_programs.iter().flatten().copied().collect();
    let spans = |name: &dyn Fn(usize) -> String| {
        let shown = of_programs.iter().enumerate().filter(|(_, members)| !members.is_empty());
        Ticks::Spans(shown.map(|(program, members)| (name(program), members.len())).collect())
    };
    let about = order.iter().map(|&at| {
        let (place, program) = (spectra.places[at], spectra.programs[at]);
        let density = consensus.densities.get(place).map_or(String::new(), |of| format!(", local density {of:.3}"));
        format!("spectrum {place} of program {program}{density}")
    });
    let names: Vec<String> = (0..k).map(|program| format!("program {program}")).collect();
    let sizes: Vec<u64> = of_programs.iter().map(|members| members.len() as u64).collect();
    let codes: Vec<Option<usize>> = order.iter().map(|&at| Some(spectra.programs[at])).collect();
    let groups = Shown::new(&names, &sizes, &codes);
    let heat = Heat {
        x: Axis::new("spectra of each program").with_ticks(spans(&|program| program.to_string())),
        y: Axis::new("spectra of each program").with_ticks(spans(&|program| format!("program {program}"))),
        rows: order.iter().map(|&a| decimals(order.iter().map(|&b| spectra.distance(a, b)), 3)).collect(),
        palette: Palette::Viridis,
        range: (0.0, None),
        unit: "distance",
        gaps: false,
        hover: "%{customdata[0]}<br>%{customdata[1]}<br>distance %{z:.3f}<extra></extra>",
        about: About::Pairs(about.collect()),
        // The axes name its groups.
        strips: vec![Strip { name: String::new(), groups, is_in_legend: false }],
    };
    let (shown, kept) = (order.len(), spectra.kept);
    let which = match shown < kept {
        true => format!(
            "{} of the {} spectra that the threshold keeps are shown, evenly spaced in each program.",
            thousands(shown),
            thousands(kept)
        ),
        false => format!("All {} spectra that the threshold keeps are shown.", thousands(kept)),
    };
    Some(Figure {
        id: "clusters",
        title: "Distances of the spectra".into(),
        see: format!(
            "Each row and each column is a spectrum of a replicate, and like ones of a program stand together. A \
             program that all replicates find is one dark square on the diagonal; several squares in it, or dark \
             fields beside the diagonal, say that replicates do not agree where it ends. {which}"
        ),
        picture: Picture::Views {
            choice: "",
            views: vec![View { name: String::new(), plot: Plot::Heat(heat) }],
            height: 680,
        },
    })
}

/// The spectra `members` in an order in which like ones are neighbours.
fn like_ones_together(spectra: &Spectra, members: impl Iterator<Item = usize>) -> Vec<usize> {
    let members: Vec<usize> = members.collect();
    let pairs = members.iter().enumerate().flat_map(|(at, &a)| members[at + 1..].iter().map(move |&b| (a, b)));
    let distances = pairs.map(|(a, b)| spectra.distance(a, b)).collect();
    cluster::order_by_distance(distances, members.len()).into_iter().map(|at| members[at]).collect()
}
