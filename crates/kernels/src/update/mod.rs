//! Updates of one factor given the other: n small problems with one matrix.
//!
//! With H fixed, each row `r` of W minimizes `½‖x − rH‖²` over `r ≥ 0`, that is
//!
//! ```text
//! f(r) = ½ rᵀG r − cᵀr,   r ≥ 0,   with G = H·Hᵀ (k × k) and c = the row's X·Hᵀ.
//! ```
//!
//! With W fixed, each column of H solves the same problem with `G = WᵀW` and `c` = the gene's WᵀX,
//! so one function updates both factors. Rows are independent. They lie side by side in vectors,
//! but no bit of a row depends on the number of rows in a vector or in a call.
//!
//! A rule is [prepared](UpdateRule::prepare) once per pass, for one Gram matrix, and then
//! [applied](PreparedRule::apply) to the rows of each tile.
//!
//! To add a rule, write its recurrence and reference at the top of a new file here, and add a
//! function on one `Strip`, a twin in [`naive::update`](mod@crate::naive::update), a variant of
//! [`UpdateRule`] and an arm in [`UpdateRule::prepare_with`] and in [`PreparedRule::apply`]. The
//! property tests run over every variant. (Block pivoting goes row by row in f64 and needs no
//! strip.)

mod bpp;
mod gram;
mod hals;
mod mu;
mod strip;

use crate::{FactorMut, FactorRef, Isa, stride};
use gram::Gram;

pub use mu::TINY;

/// The method that moves a row towards its minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpdateRule {
    /// Hierarchical alternating least squares. One inner sweep moves the components in turn, each
    /// to its exact minimum with the others fixed; the rule makes `sweeps` of them. Inner sweeps do
    /// not read X and save passes over it.
    ///
    /// ```text
    /// r_c ← max(0, r_c + (c_c − Σ_l G_cl r_l) / G_cc)     c = 1…k, each with the newest r
    /// ```
    Hals {
        /// Inner sweeps, that is cycles over the components; at least 1.
        sweeps: usize,
    },
    /// One step of Lee and Seung's multiplicative rule, for all components at once:
    ///
    /// ```text
    /// r_c ← r_c · c_c / max((G r)_c, TINY)
    /// ```
    Mu,
    /// Block principal pivoting. It moves every row to its exact minimum over `r ≥ 0`, from any
    /// start.
    ///
    /// ```text
    /// r ← argmin ½ rᵀG r − cᵀr  over r ≥ 0
    /// ```
    Bpp,
}

/// The treatment of dead components, whose diagonal `G_cc` is zero (or below the smallest normal
/// f32, where `1/G_cc` is not finite). The other factor lacks such a component, so the objective
/// does not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dead {
    /// The component stays as it is.
    Keep,
    /// The component becomes zero.
    Zero,
}

impl UpdateRule {
    /// Prepares the rule for one Gram matrix and any number of calls of [`PreparedRule::apply`].
    ///
    /// | argument        | shape  | holds                                                             |
    /// |-----------------|--------|-------------------------------------------------------------------|
    /// | `gram`          | k × k  | the other factor's Gram matrix: H·Hᵀ, or WᵀW; symmetric           |
    /// | `k`             |        | components                                                        |
    /// | `zero_diagonal` |        | the treatment of components that the other factor lacks           |
    ///
    /// HALS and MU pack the matrix. Block pivoting raises its diagonal as far as necessary, which
    /// costs `k³/3` flops. Allocates about `stride(k)²` f32, or for block pivoting `k²` f64 and as
    /// many again during the call.
    ///
    /// # Panics
    ///
    /// When `k` is zero, the matrix is not k × k, or HALS has no inner sweep.
    #[track_caller]
    pub fn prepare(self, gram: &[f32], k: usize, zero_diagonal: Dead) -> PreparedRule {
        self.prepare_with(Isa::best(), gram, k, zero_diagonal)
    }

    /// [`prepare`](Self::prepare) with the given instructions, which [`PreparedRule::apply`] then
    /// uses. The bits are the same; tests and comparisons use it.
    ///
    /// # Panics
    ///
    /// As for [`prepare`](Self::prepare), or when this machine does not have the instructions.
    #[track_caller]
    pub fn prepare_with(self, isa: Isa, gram: &[f32], k: usize, zero_diagonal: Dead) -> PreparedRule {
        isa.assert_available();
        assert!(k > 0, "a factor has at least one component");
        assert_eq!(gram.len(), k * k, "the Gram matrix is {k} × {k}");
        let prepared = match self {
            UpdateRule::Hals { sweeps } => {
                assert!(sweeps > 0, "HALS makes at least one inner sweep");
                Prepared::Hals(hals::Hals { sweeps }, Gram::pack(gram, k, zero_diagonal))
            }
            UpdateRule::Mu => Prepared::Mu(Gram::pack(gram, k, zero_diagonal)),
            UpdateRule::Bpp => Prepared::Bpp(bpp::Pivoting::new(gram, k, zero_diagonal)),
        };
        PreparedRule { isa, k, prepared }
    }
}

/// An [`UpdateRule`] with the Gram matrix of a pass, for all threads that apply it. It holds
/// everything that is the same for every row. Later penalties on a factor belong here, too: they
/// change G and c in the same way for every row.
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
    /// | `scratch` |        | from any earlier calls, or new; its contents change no bit        |
    ///
    /// The padding of `rows` and `cross` must be zero, and that of `rows` stays zero. NaN in the
    /// numbers of a row stays visible as NaN in that row. The distances between rows may differ.
    ///
    /// Costs `2·k²` flops a row, times the inner sweeps of HALS. Block pivoting costs about as much
    /// in f64 for a row whose passive set is that of the row before, and `k³/3` more for each other
    /// set that it tries. Allocates nothing unless `scratch` has to grow.
    ///
    /// # Panics
    ///
    /// When the shapes disagree.
    #[track_caller]
    pub fn apply(&self, rows: FactorMut<'_>, cross: FactorRef<'_>, scratch: &mut RuleScratch) {
        let k = self.k;
        assert!(rows.k() == k && cross.k() == k, "{} and {} components with a rule for {k}", rows.k(), cross.k());
        assert_eq!(rows.rows(), cross.rows(), "rows and cross products have the same shape");
        // SAFETY: `prepare_with` has found the instructions.
        unsafe {
            match &self.prepared {
                Prepared::Hals(hals, gram) => strip::for_each(self.isa, rows, cross, gram, hals, &mut scratch.strip),
                Prepared::Mu(gram) => strip::for_each(self.isa, rows, cross, gram, &mu::Mu, &mut scratch.strip),
                Prepared::Bpp(pivoting) => pivoting.apply(rows, cross, &mut scratch.pivoting),
            }
        }
    }
}

/// Working memory of [`PreparedRule::apply`]. It is empty at first, grows to the need of the
/// largest rule and keeps that. Each thread needs its own. No result depends on earlier calls with
/// the same scratch.
#[derive(Debug, Default)]
pub struct RuleScratch {
    strip: strip::Scratch,
    pivoting: bpp::Scratch,
}

impl RuleScratch {
    /// Empty scratch. Allocates nothing.
    pub fn new() -> RuleScratch {
        RuleScratch::default()
    }

    /// An upper bound in bytes of the memory that scratch holds after any rules of up to `k`
    /// components.
    pub const fn bytes(k: usize) -> u64 {
        (strip::Scratch::bytes(stride(k)) + bpp::Scratch::bytes(k)) as u64
    }
}
