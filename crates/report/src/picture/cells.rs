//! Cells in the plane, coloured by what the reader chooses.

use partwise_kernels::eigen::symmetric_eigen;

use super::groups::Shown;
use super::number::{decimals, three};
use super::{By, Cells, Colour, Direction, Figure, Picture};
use crate::read::{Embedding, Fit, Labels, Pca, Values};

/// Principal components of the shares that the reader can choose from.
const COMPONENTS: usize = 5;

/// The figure of a result of `fit`; `None` if one program leaves nothing to see.
pub(crate) fn of_fit(fit: &Fit, embedding: Option<&Embedding>) -> Option<Figure> {
    let axes = match embedding {
        Some(embedding) => in_embedding(embedding),
        None if fit.k < 2 => return None,
        None => of_shares(&fit.shares, fit.k),
    };
    let mut colours: Vec<Colour> = fit.labels.iter().map(by_label).collect();
    colours.extend((0..fit.k).map(|program| {
        let values = decimals(fit.shares.iter().skip(program).step_by(fit.k).copied(), 3);
        let by = By::Numbers { unit: "share".into(), values, card: Some(program) };
        Colour { name: format!("program {program}"), by }
    }));
    Some(figure(
        axes,
        colours,
        &fit.names,
        match embedding {
            Some(_) => "Each point is a cell; choose a program to see where in the embedding it is used.",
            None => {
                "Each point is a cell, in the directions in which the shares of the programs differ most; choose a program \
             to see which cells use it."
            }
        },
    ))
}

/// The figure of a result of `pca`.
pub(crate) fn of_pca(pca: &Pca, embedding: Option<&Embedding>) -> Figure {
    let component = |c: usize| pca.scores.iter().skip(c).step_by(pca.shown).copied();
    let axes = match embedding {
        Some(embedding) => in_embedding(embedding),
        None => (0..pca.shown)
            .map(|c| {
                let part = pca.variance_ratio.get(c).map_or(String::new(), |&part| format!(" ({:.1} %)", 100.0 * part));
                Direction { name: format!("PC{}{part}", c + 1), values: three(component(c)) }
            })
            .collect(),
    };
    let mut colours: Vec<Colour> = pca.labels.iter().map(by_label).collect();
    colours.extend((0..pca.shown).map(|c| {
        let by = By::Numbers { unit: "score".into(), values: three(component(c)), card: Some(c) };
        Colour { name: format!("PC{}", c + 1), by }
    }));
    figure(axes, colours, &pca.names, "Each point is a cell; groups that a component separates are its content.")
}

fn figure(directions: Vec<Direction>, colours: Vec<Colour>, names: &[String], see: &str) -> Figure {
    Figure {
        id: "cells",
        title: "Cells".into(),
        see: see.into(),
        picture: Picture::Cells(Cells { directions, colours, names: names.to_vec() }),
    }
}

fn in_embedding(embedding: &Embedding) -> Vec<Direction> {
    let axis = |at: usize| Direction {
        name: format!("{} {}", embedding.key, at + 1),
        values: three(embedding.places.iter().map(|place| place.map_or(f64::NAN, |place| place[at]))),
    };
    vec![axis(0), axis(1)]
}

fn by_label(label: &Labels) -> Colour {
    let by = match &label.values {
        Values::Groups { names, sizes, of_sample, .. } => By::Groups(Shown::new(names, sizes, of_sample)),
        Values::Numbers(numbers) => {
            By::Numbers { unit: label.name.clone(), values: three(numbers.iter().copied()), card: None }
        }
    };
    Colour { name: label.name.clone(), by }
}

/// The principal components of the shares, cells × k, that have the most variance.
fn of_shares(shares: &[f64], k: usize) -> Vec<Direction> {
    let cells = (shares.len() / k) as f64;
    let mut mean = vec![0.0; k];
    for cell in shares.chunks_exact(k) {
        mean.iter_mut().zip(cell).for_each(|(sum, share)| *sum += share);
    }
    mean.iter_mut().for_each(|sum| *sum /= cells);
    let mut covariance = vec![0.0; k * k];
    for cell in shares.chunks_exact(k) {
        for (row, (a, mean_a)) in covariance.chunks_exact_mut(k).zip(cell.iter().zip(&mean)) {
            for (sum, (b, mean_b)) in row.iter_mut().zip(cell.iter().zip(&mean)) {
                *sum += (a - mean_a) * (b - mean_b);
            }
        }
    }
    let eigen = symmetric_eigen(&covariance, k);
    let all: f64 = eigen.values.iter().map(|value| value.max(0.0)).sum();
    (0..k.min(COMPONENTS))
        .map(|c| {
            let mut axis: Vec<f64> = (0..k).map(|row| eigen.vectors[row * k + c]).collect();
            // As for principal components of the data: the largest entry is positive.
            let largest = axis.iter().fold(0.0_f64, |most, &entry| if entry.abs() > most.abs() { entry } else { most });
            if largest < 0.0 {
                axis.iter_mut().for_each(|entry| *entry = -*entry);
            }
            let score = |cell: &[f64]| -> f64 {
                cell.iter().zip(&mean).zip(&axis).map(|((share, mean), entry)| (share - mean) * entry).sum()
            };
            let part = if all > 0.0 { eigen.values[c].max(0.0) / all } else { 0.0 };
            Direction {
                name: format!("PC{} of the shares ({:.0} %)", c + 1, 100.0 * part),
                values: decimals(shares.chunks_exact(k).map(score), 4),
            }
        })
        .collect()
}
