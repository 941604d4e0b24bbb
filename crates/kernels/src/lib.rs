//! The mathematics of partwise on one block of rows: X ≈ W·H with X = b × m, W = b × k, H = k × m.
//!
//! # Contents
//!
//! | module     | provides                                                                |
//! |------------|-------------------------------------------------------------------------|
//! | [`sparse`] | X·Hᵀ and WᵀX from the decoded runs of a sparse tile ([`Runs`]), or from compressed rows ([`CsrBuf`]) |
//! | [`dense`]  | X·Hᵀ (computed by faer) and WᵀX of a row-major tile                       |
//! | [`gram`]   | WᵀW and H·Hᵀ in f64                                                     |
//! | [`cross`]  | AᵀB, and rows times a small matrix, in f64                              |
//! | [`distance`] | the distance of two vectors in f64                                    |
//! | [`eigen`]  | eigenvalues and eigenvectors of small symmetric matrices                |
//! | [`update`] | the update rules, one per file, for rows of W or columns of H           |
//! | [`fixed`]  | sums over blocks in fixed point, which do not depend on their order     |
//! | [`loss`]   | ½‖X − WH‖² from the sums of a pass                                      |
//! | [`kkt`]    | the distance of H from a stationary point                               |
//! | [`naive`]  | a slow and plain version of each kernel, for tests                      |
//!
//! The crate opens no file, starts no thread and knows no memory budget. A caller passes views and
//! slices, and a kernel writes into them.
//!
//! # Layout
//!
//! Components are innermost everywhere. W is row-major (b × k). H is kept gene-major as `ht` (m ×
//! k), and so is WᵀX. Each row holds [`stride(k)`](stride) values. Those from k on are the
//! *padding*, which is zero. A [`FactorRef`] or [`FactorMut`] is a view of such rows with any
//! distance between them, so several factorizations can lie side by side in one buffer. A
//! [`FactorBuf`] owns rows without gaps and starts on a cache line. Functions that take plain
//! slices call the stride `ks`.
//!
//! # Bits
//!
//! All kernels except the dense X·Hᵀ give the same bits on every CPU, whatever its vectors
//! ([`Isa`]). [`dense::xht`] gives the same bits on one kind of CPU. No kernel looks for
//! NaN or infinities in the data: they pass through.
//!
//! ```
//! use partwise_kernels::{Dead, FactorBuf, RuleScratch, Runs, UpdateRule, gram, sparse, stride};
//!
//! // A tile of 3 cells and 2 genes: gene 0 occurs in cells 0 and 2, gene 1 in cell 1.
//! let runs = Runs::new(&[0, 1], &[2, 3], &[0, 2, 1], &[1.0, 2.0, 5.0], 3, 2);
//! let (k, ks) = (2, stride(2));
//! let mut ht = FactorBuf::zeros(2, k);
//! (ht[0], ht[ks + 1]) = (1.0, 1.0); // each gene has its own component
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

#[macro_use]
mod lanes;
pub mod cross;
mod csr;
pub mod dense;
pub mod distance;
pub mod eigen;
mod factor;
pub mod fixed;
pub mod gram;
mod isa;
pub mod kkt;
pub mod loss;
pub mod naive;
mod runs;
pub mod sparse;
pub mod update;
pub mod xtx;

pub use csr::{Csr, CsrBuf};
pub use factor::{FactorBuf, FactorMut, FactorRef, stride};
pub use isa::Isa;
pub use runs::Runs;
pub use update::{Dead, PreparedRule, RuleScratch, UpdateRule};
