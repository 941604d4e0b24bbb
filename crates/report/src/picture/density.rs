//! How dense the spectra of all replicates lie, and which ones the threshold of a consensus leaves out.

use super::number::{digits, percent, thousands};
use super::{Axis, Bars, Figure, Mark, Part, Picture, Plot, View};
use crate::read::Consensus;

/// The most bars up to the largest number.
const BARS: usize = 50;
/// The largest distance of spectra of norm 1 without negative values. A larger threshold keeps all.
const FARTHEST: f64 = std::f64::consts::SQRT_2;

/// The figure; `None` if the result has no densities.
pub(crate) fn figure(consensus: &Consensus) -> Option<Figure> {
    let (densities, threshold) = (&consensus.densities, consensus.threshold);
    if densities.is_empty() {
        return None;
    }
    let mark = (threshold <= FARTHEST).then(|| Mark { at: threshold, name: format!("threshold {threshold}") });
    let largest = densities.iter().copied().chain(mark.as_ref().map(|mark| mark.at)).fold(0.0, f64::max);
    let edges = Edges::up_to(largest);
    let counts = |is_kept: bool| edges.counts(densities.iter().filter(|density| (**density < threshold) == is_kept));
    let (all, left_out) = (densities.len(), consensus.left_out());
    let part = |name: String, colour, is_kept| Part { name, colour, counts: counts(is_kept) };
    let mut parts = Vec::new();
    if left_out < all {
        parts.push(part(format!("kept ({})", thousands(all - left_out)), "#0072B2", true));
    }
    if left_out > 0 {
        let of_all = percent(left_out as f64 / all as f64);
        parts.push(part(format!("left out ({}, {of_all})", thousands(left_out)), "#E69F00", false));
    }
    let view = |name: &str, logarithmic: bool| {
        let bars = Bars {
            x: Axis::new("local density (distance to nearest spectra)"),
            y: Axis::new("spectra").with_zero().with_logarithms(logarithmic),
            edges: edges.all(),
            parts: parts.clone(),
            mark: mark.clone(),
            hover: "%{y} spectra, local density %{customdata}<extra></extra>",
        };
        View { name: name.into(), plot: Plot::Bars(bars) }
    };
    Some(Figure {
        id: "density",
        title: "Local density of the spectra".into(),
        see: format!(
            "Spectra with neighbours in many replicates are on the left; those on the right came up in few of them. A \
             good threshold lies in the gap between the two, or where the tail begins; without a tail none is needed. {}",
            said(consensus)
        ),
        picture: Picture::Views {
            choice: "scale",
            views: vec![view("linear", false), view("logarithmic", true)],
            height: 360,
        },
    })
}

/// The sentence on what the threshold leaves out.
pub(crate) fn said(consensus: &Consensus) -> String {
    let (all, left_out) = (consensus.densities.len(), consensus.left_out());
    let threshold = consensus.threshold;
    match left_out {
        0 => format!("The threshold {threshold} keeps all {} spectra.", thousands(all)),
        _ => format!(
            "The threshold {threshold} leaves out {} of {} spectra ({}).",
            thousands(left_out),
            thousands(all),
            percent(left_out as f64 / all as f64)
        ),
    }
}

/// Where bars begin and end: multiples of a round width, 1, 2 or 5 times a power of ten.
struct Edges {
    count: usize,
    /// The width: `factor` times ten to the `power`.
    factor: f64,
    power: i32,
}

impl Edges {
    /// Bars from 0 to beyond `largest`.
    fn up_to(largest: f64) -> Edges {
        let largest = if largest > 0.0 { largest } else { 1.0 };
        let power = (largest / BARS as f64).log10().floor() as i32;
        let rounds = [(1.0, power), (2.0, power), (5.0, power), (1.0, power + 1)];
        let fits =
            |(factor, power): &(f64, i32)| Edges { count: 0, factor: *factor, power: *power }.at(BARS) >= largest;
        let (factor, power) = rounds.into_iter().find(fits).unwrap_or((2.0, power + 1));
        let mut edges = Edges { count: 1, factor, power };
        while edges.at(edges.count) <= largest {
            edges.count += 1;
        }
        edges
    }

    /// The edge `at`, rounded once, so that it is the number that an axis shows.
    fn at(&self, at: usize) -> f64 {
        let scaled = at as f64 * self.factor;
        if self.power < 0 { scaled / 10_f64.powi(-self.power) } else { scaled * 10_f64.powi(self.power) }
    }

    fn all(&self) -> Vec<f64> {
        (0..=self.count).map(|at| digits(self.at(at), 12)).collect()
    }

    /// How many of `numbers` each bar has; one on an edge belongs to the bar that begins there.
    fn counts<'n>(&self, numbers: impl Iterator<Item = &'n f64>) -> Vec<usize> {
        let (edges, mut counts) = (self.all(), vec![0; self.count]);
        for number in numbers {
            counts[edges[1..self.count].partition_point(|edge| edge <= number)] += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(densities: &[f64], threshold: f64) -> Consensus {
        Consensus { k: 2, replicates: 3, stability: 0.9, threshold, densities: densities.to_vec(), spectra: None }
    }

    fn bars(consensus: &Consensus) -> Bars {
        let Some(Figure { picture: Picture::Views { mut views, .. }, .. }) = figure(consensus) else { panic!("none") };
        let Plot::Bars(bars) = views.remove(0).plot else { panic!("another plot") };
        bars
    }

    #[test]
    fn bars_have_round_edges_and_each_number_is_in_one() {
        for (largest, width, count) in
            [(0.5, 0.01, 51), (0.49, 0.01, 50), (0.0, 0.02, 51), (1.3, 0.05, 27), (0.011, 5e-4, 23)]
        {
            let edges = Edges::up_to(largest);
            let all = edges.all();
            assert_eq!((all[0], all[1], all.len()), (0.0, width, count + 1), "{largest}: {all:?}");
            assert!(all[all.len() - 1] > largest);
        }
        let edges = Edges::up_to(0.5);
        assert_eq!(edges.all()[..4], [0.0, 0.01, 0.02, 0.03]);
        let counts = edges.counts([0.0, 0.0099, 0.01, 0.03, 0.5].iter());
        assert_eq!((&counts[..4], counts[50], counts.len()), (&[2, 1, 0, 1][..], 1, 51));
    }

    #[test]
    fn spectra_at_the_threshold_are_left_out_and_one_beyond_all_distances_is_not_drawn() {
        let some = of(&[0.001, 0.2, 0.3, 0.001], 0.2);
        let drawn = bars(&some);
        assert_eq!(drawn.parts[0].name, "kept (2)");
        assert_eq!(drawn.parts[1].name, "left out (2, 50.0 %)");
        assert_eq!(drawn.mark.map(|mark| (mark.at, mark.name)), Some((0.2, "threshold 0.2".into())));
        assert_eq!(said(&some), "The threshold 0.2 leaves out 2 of 4 spectra (50.0 %).");
        let all = of(&[0.001, 0.2], 2.0);
        let drawn = bars(&all);
        assert!(drawn.mark.is_none() && drawn.parts.len() == 1 && drawn.edges[drawn.edges.len() - 1] < 0.21);
        assert_eq!(said(&all), "The threshold 2 keeps all 2 spectra.");
        assert!(figure(&of(&[], 0.2)).is_none());
    }
}
