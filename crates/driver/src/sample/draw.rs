//! The rows of a sample.

use std::collections::BinaryHeap;

use partwise_storage::StorageError;
use partwise_storage::tile::CellMoments;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The most that a sample may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caps {
    /// Stored entries.
    pub(crate) entries: u64,
    /// Rows.
    pub(crate) rows: usize,
}

impl Caps {
    /// Whether a matrix of these entries and rows is its own sample. Rows of zeros count, although
    /// no sample has them: the plan knows the shape only.
    pub(crate) fn hold(&self, entries: u64, rows: usize) -> bool {
        entries <= self.entries && rows <= self.rows
    }
}

/// One row of the sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Drawn {
    /// Row of the matrix.
    pub(crate) cell: usize,
    /// Priority q: the smaller, the earlier in the sample.
    pub(crate) priority: f64,
    /// Weight a, so that p = min(1, τ·a).
    pub(crate) weight: f64,
    /// Stored entries of the row.
    pub(crate) entries: u64,
}

impl Eq for Drawn {}
impl PartialOrd for Drawn {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Drawn {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.priority.total_cmp(&other.priority).then(self.cell.cmp(&other.cell))
    }
}

/// The number that a row's chance is proportional to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RowWeight {
    /// ‖x_i‖² / ‖X‖².
    SquaredNorm,
    /// Half that, half 1/n. Use it if genes are scaled afterwards: the norms as stored then only
    /// hint at the norms that count, and no row's factor may become very large.
    Mixed,
}

/// Rows drawn, and how to take fewer of them.
#[derive(Debug)]
pub(crate) struct Draw {
    /// By priority.
    pub(crate) rows: Vec<Drawn>,
    /// τ, the smallest priority left out; infinite when no row with a nonzero was.
    threshold: f64,
}

impl Draw {
    /// How many rows a draw with these smaller caps has: its rows are the first ones of this draw.
    pub(crate) fn within(&self, caps: Caps) -> usize {
        let mut entries = 0;
        let fits = |row: &&Drawn| {
            entries += row.entries;
            entries <= caps.entries
        };
        self.rows.iter().take(caps.rows).take_while(fits).count().max(1).min(self.rows.len())
    }

    /// τ of the draw of the first `rows` rows.
    pub(crate) fn threshold(&self, rows: usize) -> f64 {
        self.rows.get(rows).map_or(self.threshold, |next| next.priority)
    }

    /// The factor 1/√p of each of the first `rows` rows in the sample of so many; `None`: all are 1.
    pub(crate) fn weights(&self, rows: usize) -> Option<Vec<f32>> {
        let threshold = self.threshold(rows);
        let factor = |row: &Drawn| (1.0 / (threshold * row.weight).min(1.0).sqrt()) as f32;
        threshold.is_finite().then(|| self.rows[..rows].iter().map(factor).collect())
    }

    /// Stored entries of the first `rows` rows.
    pub(crate) fn entries(&self, rows: usize) -> u64 {
        self.rows[..rows].iter().map(|row| row.entries).sum()
    }
}

/// Draws the rows of smallest priority that fit `caps` from `cells` rows, given by their moments in
/// pieces.
///
/// Memory is that of the rows kept. A row of zeros is never drawn: it has no part in the loss.
pub(crate) fn draw(
    cells: usize,
    sq_norm: f64,
    weight: RowWeight,
    caps: Caps,
    seed: u64,
    moments: &mut dyn FnMut(std::ops::Range<usize>) -> Result<Vec<CellMoments>, StorageError>,
    entries: &dyn Fn(&CellMoments) -> u64,
) -> Result<Draw, StorageError> {
    const PIECE: usize = 1 << 16;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut kept: BinaryHeap<Drawn> = BinaryHeap::new();
    let mut total = 0;
    let mut threshold = f64::INFINITY;
    for first in (0..cells).step_by(PIECE) {
        let piece = first..(first + PIECE).min(cells);
        for (cell, moment) in piece.clone().zip(moments(piece)?) {
            // In (0, 1], and drawn for every row, so that the number of a row does not depend on
            // the rows before it.
            let luck = 1.0 - rng.random::<f64>();
            if moment.sum_sq <= 0.0 {
                continue;
            }
            let by_norm = moment.sum_sq / sq_norm;
            let weight = match weight {
                RowWeight::SquaredNorm => by_norm,
                RowWeight::Mixed => f64::midpoint(by_norm, 1.0 / cells as f64),
            };
            let row = Drawn { cell, priority: luck / weight, weight, entries: entries(&moment) };
            if row.priority >= threshold {
                continue;
            }
            total += row.entries;
            kept.push(row);
            while (total > caps.entries || kept.len() > caps.rows) && kept.len() > 1 {
                let dropped = kept.pop().expect("more than one row is kept");
                total -= dropped.entries;
                threshold = dropped.priority;
            }
        }
    }
    Ok(Draw { rows: kept.into_sorted_vec(), threshold })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(norms: &[f64], caps: Caps, seed: u64) -> Draw {
        let sq_norm = norms.iter().sum();
        let mut moments = |rows: std::ops::Range<usize>| {
            Ok(rows.map(|i| CellMoments { nonzeros: 3, sum: norms[i], sum_sq: norms[i] }).collect())
        };
        draw(norms.len(), sq_norm, RowWeight::SquaredNorm, caps, seed, &mut moments, &|m| u64::from(m.nonzeros))
            .unwrap()
    }

    #[test]
    fn everything_fits_a_large_cap_but_rows_of_zeros() {
        let draw = sample(&[1.0, 0.0, 2.0, 3.0], Caps { entries: 100, rows: 100 }, 1);
        assert_eq!(draw.rows.len(), 3);
        assert_eq!(draw.threshold(3), f64::INFINITY);
    }

    #[test]
    fn caps_hold_and_smaller_samples_are_prefixes() {
        let norms: Vec<f64> = (0..5000).map(|i| 1.0 + f64::from(i % 17)).collect();
        let large = sample(&norms, Caps { entries: 3000, rows: 900 }, 7);
        assert_eq!(large.rows.len(), 900);
        for caps in [(300, 900), (301, 900), (2700, 20), (2, 900), (3000, 900)] {
            let caps = Caps { entries: caps.0, rows: caps.1 };
            let small = sample(&norms, caps, 7);
            let rows = large.within(caps);
            assert_eq!(large.rows[..rows], small.rows[..], "{caps:?}");
            assert_eq!(large.threshold(rows), small.threshold(rows), "{caps:?}");
        }
    }

    #[test]
    fn the_weighted_sample_estimates_the_squared_norm() {
        // Few rows carry most of the norm; Σ x²/p over samples must come out at ‖X‖² on average.
        let norms: Vec<f64> = (0..2000).map(|i| if i % 100 == 0 { 500.0 } else { 1.0 }).collect();
        let truth: f64 = norms.iter().sum();
        let mean = (0..200)
            .map(|seed| {
                let draw = sample(&norms, Caps { entries: 600, rows: 10_000 }, seed);
                let threshold = draw.threshold(draw.rows.len());
                draw.rows.iter().map(|row| norms[row.cell] / (threshold * row.weight).min(1.0)).sum::<f64>()
            })
            .sum::<f64>()
            / 200.0;
        assert!((mean / truth - 1.0).abs() < 0.02, "{mean} against {truth}");
    }
}
