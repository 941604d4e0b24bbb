//! Random samples of rows, of which smaller samples are the first rows.
//!
//! Row i gets a priority `q_i = u_i / a_i`, u uniform in (0, 1], a_i its weight in the loss. The sample of r rows is
//! the r rows of smallest priority. With τ the next priority, row i is among them with probability
//! `p_i = min(1, τ·a_i)` (bottom-k or priority sampling: Duffield, Lund and Thorup 2007). Multiplying it by `1/√p_i`
//! makes ‖X̃ − W̃H‖² an unbiased estimate of ‖X − WH‖² for every H. The rows drawn depend on the data and the seed
//! alone.
//!
//! Why not uniform rows: if few rows carry most of ‖X‖², a uniform sample misses them.
//!
//! A sample may be drawn [from another one](draw_again): a row that came into the first with the chance p has 1/p of
//! its weight in the second, so that both chances together are those of one draw.

use std::collections::BinaryHeap;
use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::StorageError;
use crate::tile::CellMoments;

/// The most that a sample may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Stored entries.
    pub entries: u64,
    /// Rows.
    pub rows: usize,
}

impl Caps {
    /// Whether a matrix of these entries and rows is its own sample. Rows of zeros count, although
    /// no sample has them: a plan knows the shape only.
    pub fn hold(&self, entries: u64, rows: usize) -> bool {
        entries <= self.entries && rows <= self.rows
    }
}

/// One row of the sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawn {
    /// Row of the matrix.
    pub cell: usize,
    /// Priority q: the smaller, the earlier in the sample.
    pub priority: f64,
    /// Weight a, so that p = min(1, τ·a).
    pub weight: f64,
    /// Its chance to be among the rows drawn from: 1 if these are all rows.
    pub chance: f32,
    /// Stored entries of the row.
    pub entries: u32,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowWeight {
    /// ‖x_i‖² / ‖X‖².
    SquaredNorm,
    /// Half that, half 1/n. Use it if genes are scaled afterwards: the norms as stored then only
    /// hint at the norms that count, and no row's factor may become very large.
    Mixed,
}

/// Rows drawn, and how to take fewer of them.
#[derive(Debug)]
pub struct Draw {
    /// By priority.
    pub rows: Vec<Drawn>,
    /// τ, the smallest priority left out; infinite when no row with a nonzero was.
    threshold: f64,
}

impl Draw {
    /// How many rows a draw with these smaller caps has: its rows are the first ones of this draw.
    pub fn within(&self, caps: Caps) -> usize {
        let mut entries = 0;
        let fits = |row: &&Drawn| {
            entries += u64::from(row.entries);
            entries <= caps.entries
        };
        self.rows.iter().take(caps.rows).take_while(fits).count().max(1).min(self.rows.len())
    }

    /// τ of the draw of the first `rows` rows.
    pub fn threshold(&self, rows: usize) -> f64 {
        self.rows.get(rows).map_or(self.threshold, |next| next.priority)
    }

    /// The chance p of each of the first `rows` rows to be in a sample of so many.
    pub fn chances(&self, rows: usize) -> impl Iterator<Item = f64> + '_ {
        let threshold = self.threshold(rows);
        self.rows[..rows].iter().map(move |row| (threshold * row.weight).min(1.0) * f64::from(row.chance))
    }

    /// The factor 1/√p of each of the first `rows` rows in the sample of so many; `None`: all are 1.
    pub fn weights(&self, rows: usize) -> Option<Vec<f32>> {
        let is_all = self.threshold(rows) == f64::INFINITY && self.rows.iter().all(|row| row.chance == 1.0);
        (!is_all).then(|| self.chances(rows).map(|chance| (1.0 / chance.sqrt()) as f32).collect())
    }

    /// Stored entries of the first `rows` rows.
    pub fn entries(&self, rows: usize) -> u64 {
        self.rows[..rows].iter().map(|row| u64::from(row.entries)).sum()
    }
}

/// The rows of smallest priority, of those offered so far, that fit the caps.
struct Reservoir {
    caps: Caps,
    kept: BinaryHeap<Drawn>,
    entries: u64,
    threshold: f64,
}

impl Reservoir {
    fn new(caps: Caps) -> Self {
        Reservoir { caps, kept: BinaryHeap::new(), entries: 0, threshold: f64::INFINITY }
    }

    fn offer(&mut self, row: Drawn) {
        if row.priority >= self.threshold {
            return;
        }
        self.entries += u64::from(row.entries);
        self.kept.push(row);
        while (self.entries > self.caps.entries || self.kept.len() > self.caps.rows) && self.kept.len() > 1 {
            let dropped = self.kept.pop().expect("more than one row is kept");
            self.entries -= u64::from(dropped.entries);
            self.threshold = dropped.priority;
        }
    }

    fn into_draw(self) -> Draw {
        Draw { rows: self.kept.into_sorted_vec(), threshold: self.threshold }
    }
}

/// Rows to be drawn from.
pub struct Population<'p> {
    /// Rows of the matrix.
    pub cells: usize,
    /// ‖X‖².
    pub sq_norm: f64,
    /// Gives the sums of some rows.
    pub moments: &'p mut dyn FnMut(Range<usize>) -> Result<Vec<CellMoments>, StorageError>,
    /// The stored entries of a row with these sums.
    pub entries: &'p dyn Fn(&CellMoments) -> u32,
}

/// Draws the rows of smallest priority that fit `caps`.
///
/// Costs `O(n log r)` for r rows drawn of n, with the memory of the rows drawn. A row of zeros is never drawn: it has no part in the loss.
///
/// # Errors
///
/// - the sums of the rows cannot be read
pub fn draw(of: Population<'_>, weight: RowWeight, caps: Caps, seed: u64) -> Result<Draw, StorageError> {
    const PIECE: usize = 1 << 16;
    let Population { cells, sq_norm, moments, entries } = of;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut reservoir = Reservoir::new(caps);
    for first in (0..cells).step_by(PIECE) {
        let piece = first..(first + PIECE).min(cells);
        for (cell, moment) in piece.clone().zip(moments(piece)?) {
            // Drawn for every row, so that the number of a row does not depend on the rows before it.
            let luck = luck(&mut rng);
            if moment.sum_sq <= 0.0 {
                continue;
            }
            let by_norm = moment.sum_sq / sq_norm;
            let weight = match weight {
                RowWeight::SquaredNorm => by_norm,
                RowWeight::Mixed => f64::midpoint(by_norm, 1.0 / cells as f64),
            };
            let entries = entries(&moment);
            reservoir.offer(Drawn { cell, priority: luck / weight, weight, chance: 1.0, entries });
        }
    }
    Ok(reservoir.into_draw())
}

/// A row of a sample that another one is drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampledRow {
    /// Row of the matrix.
    pub cell: usize,
    /// Its Σ x².
    pub sum_sq: f64,
    /// Its chance p of being in the sample, in (0, 1].
    pub chance: f64,
    /// Its values above zero.
    pub nonzeros: u32,
}

/// Draws rows by [`RowWeight::SquaredNorm`] that fit `caps` from `rows`, which are a sample themselves, of a matrix
/// with this ‖X‖². As [`draw`], but over the rows of the sample alone.
pub fn draw_again(rows: &[SampledRow], sq_norm: f64, caps: Caps, seed: u64) -> Draw {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut reservoir = Reservoir::new(caps);
    for row in rows {
        let luck = luck(&mut rng);
        let weight = row.sum_sq / sq_norm / row.chance;
        let SampledRow { cell, nonzeros, chance, .. } = *row;
        reservoir.offer(Drawn { cell, priority: luck / weight, weight, chance: chance as f32, entries: nonzeros });
    }
    reservoir.into_draw()
}

/// In (0, 1].
fn luck(rng: &mut ChaCha8Rng) -> f64 {
    1.0 - rng.random::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(norms: &[f64], caps: Caps, seed: u64) -> Draw {
        let population = Population {
            cells: norms.len(),
            sq_norm: norms.iter().sum(),
            moments: &mut |rows| {
                Ok(rows.map(|i| CellMoments { nonzeros: 3, sum: norms[i], sum_sq: norms[i] }).collect())
            },
            entries: &|moments| moments.nonzeros,
        };
        draw(population, RowWeight::SquaredNorm, caps, seed).unwrap()
    }

    /// Few rows carry most of the norm.
    fn uneven() -> Vec<f64> {
        (0..2000).map(|i| if i % 100 == 0 { 500.0 } else { 1.0 }).collect()
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

    /// Σ x²/p of a draw: on average ‖X‖².
    fn estimate(draw: &Draw, norms: &[f64]) -> f64 {
        let weights = draw.weights(draw.rows.len()).unwrap();
        draw.rows.iter().zip(weights).map(|(row, weight)| norms[row.cell] * f64::from(weight).powi(2)).sum()
    }

    #[test]
    fn the_weighted_sample_estimates_the_squared_norm() {
        let norms = uneven();
        let truth: f64 = norms.iter().sum();
        let caps = Caps { entries: 600, rows: 10_000 };
        let mean = (0..200).map(|seed| estimate(&sample(&norms, caps, seed), &norms)).sum::<f64>() / 200.0;
        assert!((mean / truth - 1.0).abs() < 0.02, "{mean} against {truth}");
    }

    #[test]
    fn a_sample_of_a_sample_estimates_any_sum_of_the_rows() {
        let norms = uneven();
        let sq_norm: f64 = norms.iter().sum();
        // Rows of one kind, so that chances that are wrong for a part of the rows show.
        let parts = [|i: usize| i.is_multiple_of(100), |i: usize| !i.is_multiple_of(100)];
        for part in parts {
            let of_part: Vec<f64> = norms.iter().enumerate().map(|(i, &x)| if part(i) { x } else { 0.0 }).collect();
            let truth: f64 = of_part.iter().sum();
            let once = |seed: u64| {
                let first = sample(&norms, Caps { entries: 2400, rows: 10_000 }, 1000 + seed);
                let row = |(row, chance): (&Drawn, f64)| {
                    let Drawn { cell, entries, .. } = *row;
                    SampledRow { cell, sum_sq: norms[cell], chance, nonzeros: entries }
                };
                let rows: Vec<SampledRow> = first.rows.iter().zip(first.chances(first.rows.len())).map(row).collect();
                let second = draw_again(&rows, sq_norm, Caps { entries: 600, rows: 10_000 }, seed);
                assert!(second.rows.len() <= 200 && second.threshold(second.rows.len()).is_finite());
                estimate(&second, &of_part)
            };
            let mean = (0..400).map(once).sum::<f64>() / 400.0;
            assert!((mean / truth - 1.0).abs() < 0.03, "{mean} against {truth}");
        }
    }
}
