//! How alike programs are: correlations of their spectra, and of their scores.

use super::number::decimals;
use super::programs::titles;
use super::{About, Axis, Figure, Heat, Palette, Picture, Plot, Ticks, View};
use crate::read::Fit;

/// The correlation of each pair of columns of `table`, genes × k, over the genes that have numbers; k × k. It is 0
/// with a constant column.
pub(crate) fn correlations(table: &[f32], k: usize) -> Vec<f64> {
    let known = || table.chunks_exact(k).filter(|gene| gene.iter().all(|value| value.is_finite()));
    let count = known().count().max(1) as f64;
    let mut mean = vec![0.0; k];
    known().for_each(|gene| mean.iter_mut().zip(gene).for_each(|(sum, &value)| *sum += f64::from(value)));
    mean.iter_mut().for_each(|sum| *sum /= count);
    let (mut products, mut centred) = (vec![0.0; k * k], vec![0.0; k]);
    for gene in known() {
        centred.iter_mut().zip(gene.iter().zip(&mean)).for_each(|(to, (&value, mean))| *to = f64::from(value) - mean);
        for (row, a) in products.chunks_exact_mut(k).zip(&centred) {
            row.iter_mut().zip(&centred).for_each(|(sum, b)| *sum += a * b);
        }
    }
    let norm: Vec<f64> = (0..k).map(|program| products[program * k + program].sqrt()).collect();
    let pairs = (0..k).flat_map(|a| (0..k).map(move |b| (a, b)));
    let correlation = |(a, b): (usize, usize)| match norm[a] * norm[b] {
        _ if a == b => 1.0,
        norms if norms > 0.0 => (products[a * k + b] / norms).clamp(-1.0, 1.0),
        _ => 0.0,
    };
    pairs.map(correlation).collect()
}

/// The figure; `None` for one program. `programs` is their order.
pub(crate) fn figure(fit: &Fit, spectra: &[f64], programs: &[usize]) -> Option<Figure> {
    if fit.k < 2 {
        return None;
    }
    let mut views = Vec::new();
    if let Some(scores) = &fit.scores {
        views.push(view("scores of genes", &correlations(scores, fit.k), programs));
    }
    views.insert(0, view("spectra", spectra, programs));
    Some(Figure {
        id: "overlap",
        title: "Overlap of programs".into(),
        see: "Two programs that are red together have many genes in common; scores leave out what genes that are high \
              everywhere add to all spectra."
            .into(),
        picture: Picture::Views { choice: "correlation of", views, height: (180 + 26 * fit.k.max(6)).min(1000) },
    })
}

fn view(name: &str, correlations: &[f64], programs: &[usize]) -> View {
    let k = programs.len();
    let row = |&a: &usize| decimals(programs.iter().map(|&b| correlations[a * k + b]), 3);
    let heat = Heat {
        x: Axis::new("program").with_ticks(Ticks::Names(programs.iter().map(usize::to_string).collect())),
        y: Axis::new("program").with_ticks(Ticks::Names(titles(programs))),
        rows: programs.iter().map(row).collect(),
        palette: Palette::BlueRed,
        range: (-1.0, Some(1.0)),
        unit: "correlation",
        gaps: true,
        hover: "%{y} and program %{x}<br>correlation %{z:.3f}<extra></extra>",
        about: About::Nothing,
        strips: Vec::new(),
    };
    View { name: name.into(), plot: Plot::Heat(heat) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_are_those_of_columns() {
        // The second column is twice the first, the third goes down, the fourth is constant; one gene is unknown.
        let table = [1.0, 2.0, 3.0, 5.0, 2.0, 4.0, 2.0, 5.0, f32::NAN, 9.0, 9.0, 9.0, 3.0, 6.0, 1.0, 5.0];
        let found = correlations(&table, 4);
        let expected = [1.0, 1.0, -1.0, 0.0, 1.0, 1.0, -1.0, 0.0, -1.0, -1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    }
}
