//! The memory layout of factors: one row of `stride(k)` components per cell (W) or per gene (H), on
//! cache lines.

mod memory;
mod view;

use std::ops::{Deref, DerefMut};

use memory::Memory;

pub use view::{FactorMut, FactorRef};

/// The distance in f32 between two rows of a factor of `k` components: `k` rounded up to a multiple
/// of 4. The values between `k` and the stride are zero in every factor, cross product and share,
/// and every kernel keeps them zero.
///
/// ```
/// assert_eq!([1, 4, 10, 20, 65].map(partwise_kernels::stride), [4, 4, 12, 20, 68]);
/// ```
#[inline]
pub const fn stride(k: usize) -> usize {
    k.next_multiple_of(4)
}

/// A buffer of f32 on a 64-byte boundary, zero at first: W (rows × ks), H (genes × ks), a tile's
/// X·Hᵀ or a block's share of WᵀX. Kernels work on rows that start anywhere and are fastest on
/// cache lines.
///
/// A page of a large buffer belongs to no thread until one writes to it. On Linux, buffers of
/// 1.5 MiB and more lie in huge pages where the system has some.
#[derive(Clone, Debug)]
pub struct FactorBuf {
    values: Memory,
}

impl FactorBuf {
    /// `rows × stride(k)` zeros.
    ///
    /// # Panics
    ///
    /// When their number overflows `usize` or memory runs out.
    pub fn zeros(rows: usize, k: usize) -> FactorBuf {
        let len = rows.checked_mul(stride(k)).expect("a factor's length fits in usize");
        FactorBuf { values: Memory::zeros(len) }
    }

    /// Bytes of memory that `rows × stride(k)` values take, those of huge pages that they do not fill included.
    pub const fn bytes(rows: usize, k: usize) -> u64 {
        Memory::bytes(rows * stride(k)) as u64
    }

    /// The first `rows` rows of `k` components, [`stride(k)`](stride) apart, so without gaps.
    ///
    /// # Panics
    ///
    /// When `k` is zero or the buffer has fewer rows of that width.
    #[track_caller]
    #[inline]
    pub fn view(&self, rows: usize, k: usize) -> FactorRef<'_> {
        FactorRef::new(self, rows, k, stride(k))
    }

    /// [`view`](Self::view) for writing.
    ///
    /// # Panics
    ///
    /// When `k` is zero or the buffer has fewer rows of that width.
    #[track_caller]
    #[inline]
    pub fn view_mut(&mut self, rows: usize, k: usize) -> FactorMut<'_> {
        FactorMut::new(self, rows, k, stride(k))
    }

    /// Overwrites all values with zero.
    pub fn clear(&mut self) {
        self.fill(0.0);
    }
}

impl Deref for FactorBuf {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl DerefMut for FactorBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}
