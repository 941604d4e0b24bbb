//! One factor given the other: n small problems with one matrix.
//!
//! With H fixed, each row `r` of W minimises `½‖x − rH‖²` over `r ≥ 0`, that is
//!
//! ```text
//! f(r) = ½ rᵀG r − cᵀr,   r ≥ 0,   with G = H·Hᵀ (k × k) and c = the row's X·Hᵀ.
//! ```
//!
//! With W fixed each column of H solves the same with `G = WᵀW` and `c` = the gene's WᵀX, so one function updates both.
//! Rows do not know each other: they lie side by side in vectors, and neither how many share one nor how many a call
//! brings changes a bit.
//!
//! To add a rule: write its recurrence and reference at the top of a new file here, a function on one
//! `Strip`, its twin in [`naive::update`](mod@crate::naive::update), a variant of [`UpdateRule`] and an
//! arm in [`UpdateRule::apply_with`]; the property tests run over every variant. (Block pivoting goes row by row in
//! f64 and needs no strip.)

mod bpp;
mod gram;
mod hals;
mod mu;
mod strip;

use crate::{Isa, stride};
use gram::Gram;

pub use mu::TINY;

/// How a row moves towards its minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpdateRule {
    /// Hierarchical alternating least squares: the components in turn, each to its exact minimum with the others held,
    /// `sweeps` times over. Inner sweeps need no look at X and save passes over it.
    ///
    /// ```text
    /// r_c ← max(0, r_c + (c_c − Σ_l G_cl r_l) / G_cc)     c = 1…k, each with the newest r
    /// ```
    Hals {
        /// Cycles over the components; at least 1.
        sweeps: usize,
    },
    /// Lee and Seung's multiplicative rule, one step, all components at once:
    ///
    /// ```text
    /// r_c ← r_c · c_c / max((G r)_c, TINY)
    /// ```
    Mu,
    /// Block principal pivoting: every row to its exact minimum over `r ≥ 0`, whatever it was before.
    ///
    /// ```text
    /// r ← argmin ½ rᵀG r − cᵀr  over r ≥ 0
    /// ```
    Bpp,
}

/// What becomes of a component whose diagonal `G_cc` is zero (or below the smallest normal f32, where `1/G_cc` is no
/// number): the other factor does not have it, so nothing pulls at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dead {
    /// It stays as it is.
    Keep,
    /// It becomes zero.
    Zero,
}

impl UpdateRule {
    /// Updates every row in place.
    ///
    /// | argument        | shape  | holds                                                             |
    /// |-----------------|--------|-------------------------------------------------------------------|
    /// | `rows`          | n × ks | the factor's rows: W, or H gene-major                             |
    /// | `cross`         | n × ks | their cross products: X·Hᵀ, or WᵀX gene-major                     |
    /// | `gram`          | k × k  | the other factor's Gram matrix: H·Hᵀ, or WᵀW; symmetric           |
    /// | `k`, `ks`       |        | components, and the [`stride`] of `rows`, `cross`                 |
    /// | `zero_diagonal` |        | what to do with components that the other factor lacks            |
    ///
    /// Lanes from `k` to `ks` must be zero and stay so. NaN in a row's numbers stays visible as NaN in that row.
    ///
    /// Costs `2·k²` flops a row, times the sweeps of HALS, and allocates scratch of at most `ks·(ks + 96)` values. Block
    /// pivoting costs about that in f64 for a row with the passive set of the row before and not quite solved by
    /// its old values, `k³/3` more for each other set it tries, and allocates `3·k²` values.
    ///
    /// # Panics
    ///
    /// When the shapes disagree, or HALS is asked for no sweep.
    #[track_caller]
    pub fn apply(&self, rows: &mut [f32], cross: &[f32], gram: &[f32], k: usize, ks: usize, zero_diagonal: Dead) {
        self.apply_with(Isa::best(), rows, cross, gram, k, ks, zero_diagonal);
    }

    /// [`apply`](Self::apply) with the instructions named: the same bits, for tests and comparisons.
    ///
    /// # Panics
    ///
    /// As [`apply`](Self::apply), or when this machine does not have the instructions.
    #[expect(clippy::too_many_arguments, reason = "a kernel takes its slices and their shape")]
    #[track_caller]
    pub fn apply_with(
        &self,
        isa: Isa,
        rows: &mut [f32],
        cross: &[f32],
        gram: &[f32],
        k: usize,
        ks: usize,
        zero_diagonal: Dead,
    ) {
        isa.assert_available();
        assert!(k > 0 && ks == stride(k), "{k} components with a stride of {ks}");
        assert_eq!(rows.len() % ks, 0, "rows are whole rows of {ks}");
        assert_eq!(rows.len(), cross.len(), "rows and cross products have the same shape");
        assert_eq!(gram.len(), k * k, "the Gram matrix is {k} × {k}");
        if *self == UpdateRule::Bpp {
            return bpp::apply(rows, cross, gram, k, ks, zero_diagonal);
        }
        let gram = Gram::pack(gram, k, zero_diagonal);
        // SAFETY: the instructions were asked for above.
        unsafe {
            match *self {
                UpdateRule::Hals { sweeps } => {
                    assert!(sweeps > 0, "HALS makes at least one sweep");
                    strip::for_each(isa, rows, cross, &gram, &hals::Hals { sweeps });
                }
                UpdateRule::Mu => strip::for_each(isa, rows, cross, &gram, &mu::Mu),
                UpdateRule::Bpp => unreachable!("it has returned above"),
            }
        }
    }
}
