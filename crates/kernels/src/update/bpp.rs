//! Block principal pivoting, which moves every row to its exact minimum.
//!
//! `r` minimizes `½ rᵀG r − cᵀr` over `r ≥ 0` exactly if `y = G r − c` satisfies all of `r ≥ 0`,
//! `y ≥ 0`, `r·y = 0`. The components thus split into a **passive** set P, on which `y` is zero,
//! and the rest, on which `r` is zero. For a guessed P
//!
//! ```text
//! r_P ← G_PP⁻¹ c_P,  r_rest ← 0,  y_rest ← G_restP r_P − c_rest
//! V ← {c ∈ P : r_c < 0} ∪ {c ∉ P : y_c < 0}
//! ```
//!
//! The guess is right if V is empty. If not, all of V change sides. If that has not made V smaller
//! [`PATIENCE`] times in a row, only the last component of V changes sides, which ends after
//! finitely many steps (the backup rule of Júdice and Pires). J. Kim and H. Park, "Fast nonnegative
//! matrix factorization: an active-set-like method and comparisons", SIAM J. Sci. Comput. 33
//! (2011). The first guess is the set of components that are positive now: few of them change sides
//! from pass to pass.
//!
//! - All arithmetic is in f64 and one row at a time, so results do not depend on the vector width.
//!   The factor of G_PP is kept from row to row and computed again if P differs.
//! - `y_c < 0` means below [`SLACK`] of the subtracted terms. Otherwise f64 rounding alone would
//!   move components to and fro.
//! - A Gram matrix rounded to f32 may be singular or have an eigenvalue slightly below zero. If the
//!   factor of the whole matrix has a pivot below `k·`[`SHIFT`] of the diagonal, the diagonal is
//!   raised there until the pivot has that size. A pivot of a part is never smaller (with fewer
//!   components before it, less is subtracted), so no row meets a smaller one. Of identical
//!   components the first takes all. A component that is not nearly one of the others is not
//!   affected.
//! - A row that is not done after [`STEPS`]`·k` guesses cycles because of rounding. It then makes
//!   inner sweeps of HALS from its start.
//!
//! `G_cc r_c = c_c − Σ_{l≠c} G_cl r_l ≤ c_c` for every passive component. Exact sums rely on this
//! bound.

use super::Dead;
use super::gram::is_dead;
use crate::{FactorMut, FactorRef};

/// Full exchanges without progress before single exchanges begin.
const PATIENCE: usize = 3;
/// The part of the terms of `y_c` below which `y_c` counts as zero. It is above the f64 rounding
/// for a matrix that was not shifted, and a sixtieth of a rounding of the f32 input.
const SLACK: f64 = 1.0 / (1u64 << 30) as f64;
/// The smallest pivot, as a part of the diagonal and for each component. An elementwise error of
/// 2⁻²⁴ in G moves no eigenvalue of `D^-½ G D^-½` by more than k times that.
const SHIFT: f64 = 2.0 / (1u64 << 24) as f64;
/// Guesses per component before pivoting gives up on a row.
const STEPS: usize = 8;
/// Inner sweeps over such a row.
const SWEEPS: usize = 64;

/// One Gram matrix, prepared for any number of rows.
#[derive(Debug)]
pub(super) struct Pivoting {
    k: usize,
    /// G with its diagonal raised as far as necessary.
    gram: Vec<f64>,
    /// Components that the other factor has, which move, and those that it lacks.
    live: Vec<usize>,
    dead: Vec<usize>,
    /// The treatment of the dead components.
    zero_diagonal: Dead,
}

/// Working memory, kept from row to row. Vectors may be longer than k, because they grow to the
/// largest k so far.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// P, ascending.
    passive: Vec<usize>,
    /// The lower factor L of `G_PP = L·Lᵀ`, with rows of length k.
    factor: Vec<f64>,
    /// The set P to which the factor belongs.
    factored: Vec<usize>,
    /// The amount by which each pivot of the factor was too small.
    lacking: Vec<f64>,
    /// c without the part of the dead components.
    cross: Vec<f64>,
    /// r.
    solution: Vec<f64>,
    /// y.
    gradient: Vec<f64>,
    /// V, ascending.
    violated: Vec<usize>,
}

impl Scratch {
    /// The bytes that `k` components need.
    pub(super) const fn bytes(k: usize) -> usize {
        (k * k + 4 * k) * size_of::<f64>() + 3 * k * size_of::<usize>()
    }

    /// Makes room for `k` components and discards the factor, which may belong to another Gram
    /// matrix.
    fn reset(&mut self, k: usize) {
        for (values, len) in [
            (&mut self.factor, k * k),
            (&mut self.lacking, k),
            (&mut self.cross, k),
            (&mut self.solution, k),
            (&mut self.gradient, k),
        ] {
            if values.len() < len {
                *values = vec![0.0; len];
            }
        }
        for set in [&mut self.passive, &mut self.factored, &mut self.violated] {
            set.clear();
            if set.capacity() < k {
                *set = Vec::with_capacity(k);
            }
        }
    }
}

/// A Gram matrix with the working memory of one call.
struct Solver<'a> {
    pivoting: &'a Pivoting,
    scratch: &'a mut Scratch,
}

impl Pivoting {
    /// Prepares the k × k matrix `gram`.
    pub(super) fn new(gram: &[f32], k: usize, zero_diagonal: Dead) -> Self {
        let (dead, live): (Vec<usize>, Vec<usize>) = (0..k).partition(|&c| is_dead(gram[c * k + c]));
        let gram = gram.iter().map(|&value| f64::from(value)).collect();
        let mut pivoting = Pivoting { k, gram, live, dead, zero_diagonal };
        // With all components passive, the diagonal is raised by as much as each pivot lacks. This
        // happens once, so that rows stay independent.
        let mut scratch = Scratch::default();
        scratch.reset(k);
        scratch.passive.extend(&pivoting.live);
        Solver { pivoting: &pivoting, scratch: &mut scratch }.factorize();
        for (&c, lacking) in pivoting.live.iter().zip(&scratch.lacking) {
            pivoting.gram[c * k + c] += lacking;
        }
        pivoting
    }

    /// Solves every row.
    pub(super) fn apply(&self, mut rows: FactorMut<'_>, cross: FactorRef<'_>, scratch: &mut Scratch) {
        scratch.reset(self.k);
        let mut solver = Solver { pivoting: self, scratch };
        for (row, cross) in rows.iter_mut().zip(cross.iter()) {
            if self.zero_diagonal == Dead::Zero {
                self.dead.iter().for_each(|&c| row[c] = 0.0);
            }
            solver.solve(row, cross);
        }
    }
}

impl Solver<'_> {
    /// Moves one row to its minimum.
    fn solve(&mut self, row: &mut [f32], cross: &[f32]) {
        let Pivoting { k, gram, live, dead, .. } = self.pivoting;
        let k = *k;
        for (c, into) in self.scratch.cross[..k].iter_mut().enumerate() {
            let held: f64 = dead.iter().map(|&d| gram[c * k + d] * f64::from(row[d])).sum();
            *into = f64::from(cross[c]) - held;
        }
        if !live.iter().all(|&c| self.scratch.cross[c].is_finite() && row[c].is_finite()) {
            live.iter().for_each(|&c| row[c] = f32::NAN);
            return;
        }
        self.scratch.passive.clear();
        self.scratch.passive.extend(live.iter().filter(|&&c| row[c] > 0.0));
        let (mut fewest, mut patience) = (k + 1, PATIENCE);
        for _ in 0..STEPS * k {
            self.guess();
            if self.scratch.violated.is_empty() {
                for &c in live {
                    // `max` would hide NaN.
                    let value = self.scratch.solution[c] as f32;
                    row[c] = if value < 0.0 { 0.0 } else { value };
                    debug_assert!(
                        row[c].is_nan()
                            || f64::from(row[c]) * gram[c * k + c] <= 1.000_01 * self.scratch.cross[c].max(0.0),
                        "component {c} exceeds the bound that exact sums rely on"
                    );
                }
                return;
            }
            if self.scratch.violated.len() < fewest {
                (fewest, patience) = (self.scratch.violated.len(), PATIENCE);
            } else if patience > 0 {
                patience -= 1;
            } else {
                let last = self.scratch.violated.len() - 1;
                self.scratch.violated.drain(..last);
            }
            for &c in &self.scratch.violated {
                match self.scratch.passive.binary_search(&c) {
                    Ok(at) => drop(self.scratch.passive.remove(at)),
                    Err(at) => self.scratch.passive.insert(at, c),
                }
            }
        }
        self.sweep(row);
    }

    /// Computes r and y for the present P, and V.
    fn guess(&mut self) {
        if self.scratch.factored != self.scratch.passive {
            self.factorize();
        }
        let Pivoting { k, gram, live, .. } = self.pivoting;
        let Scratch { passive, factor, cross, solution, gradient, violated, .. } = &mut *self.scratch;
        let k = *k;
        // Solves L z = c_P, then Lᵀ r_P = z. z takes the place of r.
        for (i, &c) in passive.iter().enumerate() {
            let row = &factor[i * k..][..=i];
            let mut rest = cross[c];
            for (l, &d) in row[..i].iter().zip(passive.iter()) {
                rest -= l * solution[d];
            }
            solution[c] = rest / row[i];
        }
        for i in (0..passive.len()).rev() {
            let mut rest = solution[passive[i]];
            for (below, &d) in passive.iter().enumerate().skip(i + 1) {
                rest -= factor[below * k + i] * solution[d];
            }
            solution[passive[i]] = rest / factor[i * k + i];
        }
        violated.clear();
        let mut inside = passive.iter().peekable();
        for &c in live.iter() {
            if inside.next_if_eq(&&c).is_some() {
                if solution[c] < 0.0 {
                    violated.push(c);
                }
                continue;
            }
            solution[c] = 0.0;
            let (mut pull, mut size) = (0.0, cross[c].abs());
            for &d in passive.iter() {
                let term = gram[c * k + d] * solution[d];
                pull += term;
                size += term.abs();
            }
            gradient[c] = pull - cross[c];
            if gradient[c] < -SLACK * size {
                violated.push(c);
            }
        }
    }

    /// Computes L of `G_PP` row by row. Pivots that are too small become the smallest allowed one,
    /// and `lacking` records the difference.
    fn factorize(&mut self) {
        let Pivoting { k, gram, .. } = self.pivoting;
        let Scratch { passive, factor, factored, lacking, .. } = &mut *self.scratch;
        let k = *k;
        let least = k as f64 * SHIFT;
        for (i, &c) in passive.iter().enumerate() {
            for (j, &d) in passive[..=i].iter().enumerate() {
                let mut rest = gram[c * k + d];
                for l in 0..j {
                    rest -= factor[i * k + l] * factor[j * k + l];
                }
                factor[i * k + j] = if j < i {
                    rest / factor[j * k + j]
                } else {
                    let smallest = least * gram[c * k + c];
                    lacking[i] = if rest < smallest { smallest - rest } else { 0.0 };
                    (rest + lacking[i]).sqrt()
                };
            }
        }
        factored.clone_from(passive);
    }

    /// Makes inner sweeps of HALS from the row as it is. They never go uphill and keep the bound.
    fn sweep(&mut self, row: &mut [f32]) {
        let Pivoting { k, gram, live, .. } = self.pivoting;
        let Scratch { cross, solution, .. } = &mut *self.scratch;
        let k = *k;
        for (value, &start) in solution[..k].iter_mut().zip(row.iter()) {
            *value = f64::from(start);
        }
        for _ in 0..SWEEPS {
            for &c in live {
                let others: f64 = live.iter().filter(|&&l| l != c).map(|&l| gram[c * k + l] * solution[l]).sum();
                solution[c] = ((cross[c] - others) / gram[c * k + c]).max(0.0);
            }
        }
        live.iter().for_each(|&c| row[c] = solution[c] as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_sweeps_and_pivoting_agree() {
        let gram = [4.0, 1.0, 2.0, 1.0, 3.0, 0.5, 2.0, 0.5, 5.0];
        let cross = [3.0, 7.0, 0.5, 0.0];
        let pivoting = Pivoting::new(&gram, 3, Dead::Zero);
        let mut scratch = Scratch::default();
        scratch.reset(3);
        let mut solver = Solver { pivoting: &pivoting, scratch: &mut scratch };
        let (mut solved, mut swept) = ([1.0, 0.0, 2.0, 0.0], [1.0, 0.0, 2.0, 0.0]);
        solver.solve(&mut solved, &cross);
        solver.sweep(&mut swept);
        for (a, b) in solved.iter().zip(&swept) {
            assert!((a - b).abs() < 1e-6, "{solved:?} {swept:?}");
        }
    }

    #[test]
    fn a_dead_component_that_is_kept_moves_no_other() {
        let mut row = [5.0, 0.0, 0.0, 0.0];
        let rows = FactorMut::new(&mut row, 1, 2, 4);
        let cross = FactorRef::new(&[0.0, 4.0, 0.0, 0.0], 1, 2, 4);
        Pivoting::new(&[0.0, 0.0, 0.0, 2.0], 2, Dead::Keep).apply(rows, cross, &mut Scratch::default());
        assert_eq!(row, [5.0, 2.0, 0.0, 0.0]);
    }

    /// From this start, full exchanges alone go in circles.
    #[test]
    fn single_exchanges_end_what_full_ones_repeat() {
        let gram = [30.0, 15.0, 38.0, 40.0, 15.0, 22.0, 19.0, 34.0, 38.0, 19.0, 53.0, 49.0, 40.0, 34.0, 49.0, 68.0];
        let mut row = [1.0, 1.0, 0.0, 1.0];
        let rows = FactorMut::new(&mut row, 1, 4, 4);
        let cross = FactorRef::new(&[28.0, 33.0, 37.0, 56.0], 1, 4, 4);
        Pivoting::new(&gram, 4, Dead::Zero).apply(rows, cross, &mut Scratch::default());
        let minimum = [0.0, 4761.0 / 3958.0, 365.0 / 1979.0, 353.0 / 3958.0];
        assert!(row.iter().zip(&minimum).all(|(r, minimum)| (r - minimum).abs() < 1e-5), "{row:?}");
    }

    /// Rounding to f32 can leave it with one.
    #[test]
    fn a_gram_matrix_with_an_eigenvalue_below_zero_is_solved() {
        let above = 1.0 + f32::EPSILON;
        let mut row = [1.0, 1.0, 0.0, 0.0];
        let rows = FactorMut::new(&mut row, 1, 2, 4);
        let cross = FactorRef::new(&[2.0, 3.0, 0.0, 0.0], 1, 2, 4);
        Pivoting::new(&[1.0, above, above, 1.0], 2, Dead::Zero).apply(rows, cross, &mut Scratch::default());
        assert!(row[0] == 0.0 && (row[1] - 3.0).abs() < 1e-5, "{row:?}");
    }

    #[test]
    fn of_identical_components_the_first_takes_all() {
        let gram = [2.0; 9];
        for start in [[0.0, 3.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]] {
            let mut row = start;
            let rows = FactorMut::new(&mut row, 1, 3, 4);
            let cross = FactorRef::new(&[4.0, 4.0, 4.0, 0.0], 1, 3, 4);
            Pivoting::new(&gram, 3, Dead::Zero).apply(rows, cross, &mut Scratch::default());
            assert!(row[0] == 2.0 && row[1] < 1e-8 && row[2] < 1e-8, "{start:?} to {row:?}");
        }
    }
}
