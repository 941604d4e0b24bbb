//! The mathematics of partwise on one block of rows: X ≈ W·H with X = b × m, W = b × k, H = k × m.
//!
//! # What is here
//!
//! | module     | gives                                                                   |
//! |------------|-------------------------------------------------------------------------|
//! | [`sparse`] | X·Hᵀ and WᵀX from the decoded runs of a sparse tile ([`Runs`])           |
//! | [`dense`]  | X·Hᵀ and WᵀX of a row-major tile, through faer                           |
//! | [`gram`]   | WᵀW and H·Hᵀ in f64                                                     |
//! | [`update`] | the update rules, one per file: rows of W, or columns of H              |
//! | [`fixed`]  | sums over blocks in fixed point, which no order changes                   |
//! | [`loss`]   | ½‖X − WH‖² from the sums of a pass                                      |
//! | [`kkt`]    | how far H is from a stationary point                                    |
//! | [`naive`]  | each kernel once more, slow and plain, for tests                        |
//!
//! No file, no thread, no memory budget: a caller hands in slices and gets slices back.
//!
//! # Layout
//!
//! Components are innermost everywhere. W is row-major (b × ks), H is kept gene-major as `ht` (m × ks), WᵀX likewise;
//! ks = [`stride(k)`](stride), and the lanes between k and ks are zero. [`FactorBuf`] is such an array on cache lines.
//!
//! # Bits
//!
//! All kernels but the dense products give the same bits on every CPU, whatever its vectors ([`Isa`]); `dense` gives
//! the same bits on one kind of CPU. NaN and infinities in the data pass through and are not looked for.
//!
//! ```
//! use partwise_kernels::{Dead, FactorBuf, RuleScratch, Runs, UpdateRule, gram, sparse, stride};
//!
//! // A tile of 3 cells and 2 genes: gene 0 is seen in cells 0 and 2, gene 1 in cell 1.
//! let runs = Runs::new(&[0, 1], &[2, 3], &[0, 2, 1], &[1.0, 2.0, 5.0], 3, 2);
//! let (k, ks) = (2, stride(2));
//! let mut ht = FactorBuf::zeros(2, k);
//! (ht[0], ht[ks + 1]) = (1.0, 1.0); // each gene has a component of its own
//!
//! let mut xht = FactorBuf::zeros(3, k);
//! sparse::xht(xht.view_mut(3, k), runs, ht.view(2, k));
//! let mut hht = [0.0; 4];
//! gram::add_gram(&mut hht, ht.view(2, k));
//! let hht = hht.map(|v| v as f32);
//!
//! let mut w = FactorBuf::zeros(3, k);
//! let rule = UpdateRule::Hals { sweeps: 1 }.prepare(&hht, k, Dead::Keep);
//! rule.apply(w.view_mut(3, k), xht.view(3, k), &mut RuleScratch::new());
//! assert_eq!((w[0], w[ks + 1], w[2 * ks]), (1.0, 5.0, 2.0)); // X itself, since H is the identity
//! ```

pub mod dense;
mod factor;
pub mod fixed;
pub mod gram;
mod isa;
pub mod kkt;
mod lanes;
pub mod loss;
pub mod naive;
mod runs;
pub mod sparse;
pub mod update;

pub use factor::{FactorBuf, FactorMut, FactorRef, stride};
pub use isa::Isa;
pub use runs::Runs;
pub use update::{Dead, PreparedRule, RuleScratch, UpdateRule};
