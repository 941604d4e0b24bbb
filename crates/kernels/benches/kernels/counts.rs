//! Synthetic single-cell counts as tiles of runs.

use partwise_kernels::Runs;

use crate::factors::Numbers;

/// Rows of a tile.
pub(crate) const ROWS: usize = 256;

/// Sorting distinguishes lengths of runs up to this one.
const LISTED: usize = 32;

/// One tile as a decoder leaves it, with short runs first.
#[derive(Default)]
pub(crate) struct Tile {
    genes: Vec<u32>,
    ends: Vec<u32>,
    rows: Vec<u8>,
    values: Vec<f32>,
    m: usize,
}

impl Tile {
    /// A tile whose gene frequencies are log-normal, as in real data, and in random order. Cells
    /// have `per_cell` nonzeros on average, and seven values of ten are 1.
    pub(crate) fn synthetic(genes: usize, per_cell: f64, seed: u64) -> Tile {
        let mut numbers = Numbers(seed);
        let mut runs: Vec<(u32, Vec<u8>)> = vec![];
        for (gene, rate) in rates(genes, per_cell).iter().enumerate() {
            let chance = 1.0 - (-rate).exp();
            let rows: Vec<u8> = (0..=u8::MAX).filter(|_| numbers.unit() < chance).collect();
            if !rows.is_empty() {
                runs.push((gene as u32, rows));
            }
        }
        runs.sort_by_key(|(_, rows)| rows.len().min(LISTED + 1));
        let mut tile = Tile { m: genes, ..Tile::default() };
        for (gene, rows) in runs {
            tile.genes.push(gene);
            tile.values.extend(rows.iter().map(|_| (1.0 - numbers.unit().ln() / 1.2).floor() as f32));
            tile.rows.extend(rows);
            tile.ends.push(tile.rows.len() as u32);
        }
        tile
    }

    /// The runs, as a decoder hands them out.
    pub(crate) fn runs(&self) -> Runs<'_> {
        Runs::new(&self.genes, &self.ends, &self.rows, &self.values, ROWS, self.m)
    }

    /// The number of nonzeros.
    pub(crate) fn nonzeros(&self) -> usize {
        self.rows.len()
    }
}

/// Expected counts, log-normal with σ = 2 and scaled so that a cell has `per_cell` nonzero genes.
/// The same for every tile.
fn rates(genes: usize, per_cell: f64) -> Vec<f64> {
    let mut numbers = Numbers(1);
    let raw: Vec<f64> = (0..genes)
        .map(|_| {
            let normal = (-2.0 * (1.0 - numbers.unit()).ln()).sqrt() * (std::f64::consts::TAU * numbers.unit()).cos();
            (2.0 * normal).exp()
        })
        .collect();
    let seen = |scale: f64| raw.iter().map(|r| 1.0 - (-scale * r).exp()).sum::<f64>();
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if seen(middle) < per_cell { low = middle } else { high = middle }
    }
    raw.iter().map(|r| r * low).collect()
}
