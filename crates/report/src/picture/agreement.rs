//! Which programs come back in every seed: the similarity of programs to the closest ones of other seeds.

use super::number::digits;
use super::{Axis, Curves, Figure, Picture, Plot, Style, Trace, View, by_k};

/// How well the seeds of one k agree.
#[derive(Debug)]
pub(crate) struct Agreement {
    pub(crate) k: usize,
    /// For each program of each seed, its cosine with the closest program of another seed, averaged over the others.
    pub(crate) of_programs: Vec<f64>,
}

/// The agreement of fits of the same k; `spectra` has Hᵀ of each, genes × k.
pub(crate) fn of_seeds(spectra: &[Vec<f32>], k: usize) -> Agreement {
    let unit: Vec<Vec<f64>> = spectra.iter().map(|table| unit_programs(table, k)).collect();
    let mut of_programs = Vec::new();
    for (seed, mine) in unit.iter().enumerate() {
        let others: Vec<&Vec<f64>> = unit.iter().enumerate().filter(|(at, _)| *at != seed).map(|(_, o)| o).collect();
        let genes = mine.len() / k;
        for program in mine.chunks_exact(genes.max(1)) {
            let closest = |other: &&Vec<f64>| {
                let cosines = other
                    .chunks_exact(genes.max(1))
                    .map(|theirs| program.iter().zip(theirs).map(|(a, b)| a * b).sum::<f64>());
                cosines.fold(0.0, f64::max)
            };
            of_programs.push(others.iter().map(closest).sum::<f64>() / others.len().max(1) as f64);
        }
    }
    Agreement { k, of_programs }
}

/// The spectra, k × genes, of norm 1.
fn unit_programs(table: &[f32], k: usize) -> Vec<f64> {
    let mut all = Vec::with_capacity(table.len());
    for program in 0..k {
        let values = || table.iter().skip(program).step_by(k).map(|&value| f64::from(value));
        let norm = values().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        all.extend(values().map(|value| value / norm));
    }
    all
}

/// The figure; `None` if no k has several seeds.
pub(crate) fn figure(agreements: &[Agreement]) -> Option<Figure> {
    if agreements.is_empty() {
        return None;
    }
    let x: Vec<f64> = agreements.iter().flat_map(|of| vec![of.k as f64; of.of_programs.len()]).collect();
    let y: Vec<f64> = agreements.iter().flat_map(|of| &of.of_programs).map(|&value| digits(value, 4)).collect();
    let medians: Vec<f64> = agreements
        .iter()
        .map(|of| {
            let mut sorted = of.of_programs.clone();
            sorted.sort_by(f64::total_cmp);
            digits(sorted[sorted.len() / 2], 4)
        })
        .collect();
    let ks: Vec<usize> = agreements.iter().map(|of| of.k).collect();
    let median = Trace {
        name: "median",
        x: ks.iter().map(|&k| k as f64).collect(),
        y: medians,
        style: Style::Line,
        colour: "#E69F00",
        hover: None,
        about: Vec::new(),
    };
    let points = Trace {
        name: "a program",
        x,
        y,
        style: Style::Points,
        colour: "#0072B2",
        hover: Some("k = %{x}<br>cosine %{y:.3f}<extra></extra>"),
        about: Vec::new(),
    };
    let plot = Plot::Curves(Curves {
        x: by_k::axis(ks),
        y: Axis::new("cosine with the closest program").with_zero(),
        traces: vec![median, points],
    });
    Some(Figure {
        id: "agreement",
        title: "Which programs come back in every seed".into(),
        see: "Each point is a program; one near 1 comes back in all other seeds of this k, and one far below is an \
              accident of its start."
            .into(),
        picture: Picture::Views { choice: "", views: vec![View { name: String::new(), plot }], height: 380 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_that_differ_in_order_and_scale_agree() {
        // Two programs of three genes; the second seed has them in the other order.
        let a = vec![1.0, 0.0, 0.0, 2.0, 1.0, 0.0];
        let b = vec![0.0, 3.0, 5.0, 0.0, 0.0, 3.0];
        let of = of_seeds(&[a.clone(), b], 2);
        assert!(of.of_programs.len() == 4 && of.of_programs.iter().all(|value| (value - 1.0).abs() < 1e-12), "{of:?}");
        let other = of_seeds(&[a, vec![1.0, 1.0, 0.0, 0.0, 0.0, 1.0]], 2);
        assert!(other.of_programs.iter().any(|&value| value < 0.8), "{other:?}");
    }
}
