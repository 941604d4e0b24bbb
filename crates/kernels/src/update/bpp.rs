//! Block principal pivoting: every row to its exact minimum.
//!
//! `r` minimises `½ rᵀG r − cᵀr` over `r ≥ 0` exactly if with `y = G r − c` all of `r ≥ 0`, `y ≥ 0`, `r·y = 0` hold. So the
//! components split into a **passive** set P, where `y` is zero, and the rest, where `r` is. For a guessed P
//!
//! ```text
//! r_P ← G_PP⁻¹ c_P,  r_rest ← 0,  y_rest ← G_restP r_P − c_rest
//! V ← {c ∈ P : r_c < 0} ∪ {c ∉ P : y_c < 0}
//! ```
//!
//! and the guess was right where V is empty. If not, all of V change sides; when that has not made V smaller
//! [`PATIENCE`] times running, only its last component does, which ends after finitely many steps (the backup rule of
//! Júdice and Pires). J. Kim and H. Park, "Fast nonnegative matrix factorization: an active-set-like method and
//! comparisons", SIAM J. Sci. Comput. 33 (2011). The first guess is where the row is positive now: from pass to pass few
//! components change sides.
//!
//! - Everything is in f64 and one row at a time, so no vector width can show. The factor of G_PP is kept from row to
//!   row and made anew where P differs.
//! - `y_c < 0` means below [`SLACK`] of what was subtracted: f64 rounding alone would send components back and forth.
//! - A Gram matrix rounded to f32 may be singular, or have an eigenvalue slightly below zero. Where the factor of all of
//!   it has a pivot below `k·`[`SHIFT`] of the diagonal, the diagonal is raised there until the pivot is that. A pivot of a
//!   part is never smaller (with fewer components before it, less is subtracted), so no row meets a pivot that is. Of
//!   components that are the same the first takes all; a component that is not nearly one of the others is not touched.
//! - A row that is not done after [`STEPS`]`·k` guesses, which is rounding that cycles, makes sweeps of HALS from where it was.
//!
//! `G_cc r_c = c_c − Σ_{l≠c} G_cl r_l ≤ c_c` for every passive component: the bound that exact sums rely on.

use super::Dead;
use super::gram::is_dead;
use crate::{FactorMut, FactorRef};

/// Full exchanges without progress before single ones.
const PATIENCE: usize = 3;
/// Part of the terms of `y_c` below which it counts as zero: beyond what f64 leaves of a matrix that was not shifted, and a
/// sixtieth of a rounding of the f32 that it is made from.
const SLACK: f64 = 1.0 / (1u64 << 30) as f64;
/// Smallest pivot, in parts of the diagonal and for each component: an elementwise error of 2⁻²⁴ in G moves no
/// eigenvalue of `D^-½ G D^-½` by more than k times that.
const SHIFT: f64 = 2.0 / (1u64 << 24) as f64;
/// Guesses a component before a row is given up.
const STEPS: usize = 8;
/// Sweeps over a row that was given up.
const SWEEPS: usize = 64;

/// One Gram matrix, made ready for any number of rows.
#[derive(Debug)]
pub(super) struct Pivoting {
    k: usize,
    /// G, its diagonal raised where need be.
    gram: Vec<f64>,
    /// Components that move, and those that do not.
    live: Vec<usize>,
    dead: Vec<usize>,
    /// What becomes of those that do not.
    zero_diagonal: Dead,
}

/// What is kept from row to row. Every vector may be longer than k: it has grown to the largest k so far.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// P, ascending; the lower factor L of `G_PP = L·Lᵀ` with rows of length k, the P that it is of, and by how much each of
    /// its pivots was too small.
    passive: Vec<usize>,
    factor: Vec<f64>,
    factored: Vec<usize>,
    lacking: Vec<f64>,
    /// c, less what components that do not move take of it.
    cross: Vec<f64>,
    /// r, and y.
    solution: Vec<f64>,
    gradient: Vec<f64>,
    violated: Vec<usize>,
}

impl Scratch {
    /// Bytes that `k` components need.
    pub(super) const fn bytes(k: usize) -> usize {
        (k * k + 4 * k) * size_of::<f64>() + 3 * k * size_of::<usize>()
    }

    /// Makes room for `k` components and forgets the factor, which is another Gram matrix's.
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

/// A Gram matrix and the scratch while rows are solved.
struct Solver<'a> {
    pivoting: &'a Pivoting,
    scratch: &'a mut Scratch,
}

impl Pivoting {
    /// From the k × k matrix `gram`.
    pub(super) fn new(gram: &[f32], k: usize, zero_diagonal: Dead) -> Self {
        let (dead, live): (Vec<usize>, Vec<usize>) = (0..k).partition(|&c| is_dead(gram[c * k + c]));
        let gram = gram.iter().map(|&value| f64::from(value)).collect();
        let mut pivoting = Pivoting { k, gram, live, dead, zero_diagonal };
        // All are passive: what their factor lacks is what the diagonal is raised by, once, so that rows stay strangers.
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
                    // Not `max`, which would hide NaN.
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

    /// r and y for the present P, and who violates what.
    fn guess(&mut self) {
        if self.scratch.factored != self.scratch.passive {
            self.factorize();
        }
        let Pivoting { k, gram, live, .. } = self.pivoting;
        let Scratch { passive, factor, cross, solution, gradient, violated, .. } = &mut *self.scratch;
        let k = *k;
        // L z = c_P, then Lᵀ r_P = z; z lies where r will.
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

    /// L of `G_PP`, row by row, with pivots that are too small taken as the least allowed, and what they lacked.
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

    /// Sweeps of HALS from the row as it is: never uphill, and within the bound.
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
    fn sweeps_end_where_pivoting_does() {
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
    fn of_components_that_are_the_same_the_first_takes_all() {
        let gram = [2.0, 2.0, 2.0, 2.0];
        let mut row = [0.0, 3.0, 0.0, 0.0];
        let rows = FactorMut::new(&mut row, 1, 2, 4);
        let cross = FactorRef::new(&[4.0, 4.0, 0.0, 0.0], 1, 2, 4);
        Pivoting::new(&gram, 2, Dead::Zero).apply(rows, cross, &mut Scratch::default());
        assert!(row[0] == 2.0 && row[1] < 1e-8, "{row:?}");
    }
}
