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
//! arm in [`UpdateRule::prepare_with`] and [`PreparedRule::apply`]; the property tests run over every variant. (Block pivoting goes row by row in
//! f64 and needs no strip.)

mod bpp;
mod gram;
mod hals;
mod mu;
mod strip;

use crate::{FactorMut, FactorRef, Isa, stride};
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
    /// Makes the rule ready for one Gram matrix, for any number of [`PreparedRule::apply`].
    ///
    /// | argument        | shape  | holds                                                             |
    /// |-----------------|--------|-------------------------------------------------------------------|
    /// | `gram`          | k × k  | the other factor's Gram matrix: H·Hᵀ, or WᵀW; symmetric           |
    /// | `k`             |        | components                                                        |
    /// | `zero_diagonal` |        | what to do with components that the other factor lacks            |
    ///
    /// HALS and MU pack the matrix, block pivoting raises its diagonal where need be: `k³/3` flops. Allocates `k²` values
    /// (f64 in block pivoting, which takes `k²` more while it works).
    ///
    /// # Panics
    ///
    /// When `k` is zero, the matrix is not k × k, or HALS is asked for no sweep.
    #[track_caller]
    pub fn prepare(self, gram: &[f32], k: usize, zero_diagonal: Dead) -> PreparedRule {
        self.prepare_with(Isa::best(), gram, k, zero_diagonal)
    }

    /// [`prepare`](Self::prepare) with the instructions named that [`PreparedRule::apply`] is to use: the same bits, for
    /// tests and comparisons.
    ///
    /// # Panics
    ///
    /// As [`prepare`](Self::prepare), or when this machine does not have the instructions.
    #[track_caller]
    pub fn prepare_with(self, isa: Isa, gram: &[f32], k: usize, zero_diagonal: Dead) -> PreparedRule {
        isa.assert_available();
        assert!(k > 0, "a factor has at least one component");
        assert_eq!(gram.len(), k * k, "the Gram matrix is {k} × {k}");
        let prepared = match self {
            UpdateRule::Hals { sweeps } => {
                assert!(sweeps > 0, "HALS makes at least one sweep");
                Prepared::Hals(hals::Hals { sweeps }, Gram::pack(gram, k, zero_diagonal))
            }
            UpdateRule::Mu => Prepared::Mu(Gram::pack(gram, k, zero_diagonal)),
            UpdateRule::Bpp => Prepared::Bpp(bpp::Pivoting::new(gram, k, zero_diagonal)),
        };
        PreparedRule { isa, k, prepared }
    }
}

/// An [`UpdateRule`] with the Gram matrix of a pass, shared by all threads that apply it. All that is the same for every
/// row belongs here: penalties on a factor, once there are any, change G and c and are part of what is prepared.
#[derive(Debug)]
pub struct PreparedRule {
    isa: Isa,
    k: usize,
    prepared: Prepared,
}

#[derive(Debug)]
enum Prepared {
    Hals(hals::Hals, Gram),
    Mu(Gram),
    Bpp(bpp::Pivoting),
}

impl PreparedRule {
    /// Updates every row in place.
    ///
    /// | argument  | shape  | holds                                                             |
    /// |-----------|--------|-------------------------------------------------------------------|
    /// | `rows`    | n × k  | the factor's rows: W, or H gene-major                             |
    /// | `cross`   | n × k  | their cross products: X·Hᵀ, or WᵀX gene-major                     |
    /// | `scratch` |        | of any rule and any k, or new; what it holds changes no bit       |
    ///
    /// Padding must be zero and stays so. NaN in a row's numbers stays visible as NaN in that row.
    ///
    /// Costs `2·k²` flops a row, times the sweeps of HALS. Block pivoting costs about that in f64 for a row with the passive
    /// set of the row before and not quite solved by its old values, and `k³/3` more for each other set it tries. Allocates
    /// nothing unless `scratch` has to grow.
    ///
    /// # Panics
    ///
    /// When the shapes disagree.
    #[track_caller]
    pub fn apply(&self, rows: FactorMut<'_>, cross: FactorRef<'_>, scratch: &mut RuleScratch) {
        let k = self.k;
        assert!(rows.k() == k && cross.k() == k, "{} and {} components with a rule for {k}", rows.k(), cross.k());
        assert_eq!(rows.rows(), cross.rows(), "rows and cross products have the same shape");
        // SAFETY: the instructions were asked for when the rule was prepared.
        unsafe {
            match &self.prepared {
                Prepared::Hals(hals, gram) => strip::for_each(self.isa, rows, cross, gram, hals, &mut scratch.strip),
                Prepared::Mu(gram) => strip::for_each(self.isa, rows, cross, gram, &mu::Mu, &mut scratch.strip),
                Prepared::Bpp(pivoting) => pivoting.apply(rows, cross, &mut scratch.pivoting),
            }
        }
    }
}

/// Memory that [`PreparedRule::apply`] works in: empty at first, it grows to the largest rule's need and keeps that. One
/// for each thread; it carries nothing from call to call that a result could show.
#[derive(Debug, Default)]
pub struct RuleScratch {
    strip: strip::Scratch,
    pivoting: bpp::Scratch,
}

impl RuleScratch {
    /// An empty one, which allocates nothing.
    pub fn new() -> RuleScratch {
        RuleScratch::default()
    }

    /// Bytes that it holds at most after any rules of up to `k` components.
    pub const fn bytes(k: usize) -> u64 {
        (strip::Scratch::bytes(stride(k)) + bpp::Scratch::bytes(k)) as u64
    }
}
