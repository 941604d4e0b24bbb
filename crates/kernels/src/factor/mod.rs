//! How factors lie in memory: one row of `stride(k)` components per cell (W) or per gene (H), on cache lines.

mod view;

use std::ops::{Deref, DerefMut};

use aligned_vec::{AVec, ConstAlign};

pub use view::{FactorMut, FactorRef};

/// The distance in f32 between two rows of a factor of `k` components: `k` rounded up to a multiple of 4. The lanes
/// between `k` and the stride are zero in every factor, cross product and share, and every kernel keeps them zero.
///
/// ```
/// assert_eq!([1, 4, 10, 20, 65].map(partwise_kernels::stride), [4, 4, 12, 20, 68]);
/// ```
#[inline]
pub const fn stride(k: usize) -> usize {
    k.next_multiple_of(4)
}

/// A zeroed buffer of f32 on a 64-byte boundary: W (rows × ks), H (genes × ks), a tile's X·Hᵀ, a block's share of WᵀX.
/// Kernels take slices and work wherever these start; on cache lines they are fastest.
#[derive(Clone, Debug)]
pub struct FactorBuf {
    values: AVec<f32, ConstAlign<64>>,
}

impl FactorBuf {
    /// `rows × stride(k)` zeros.
    ///
    /// # Panics
    ///
    /// When that many do not fit in memory.
    pub fn zeros(rows: usize, k: usize) -> FactorBuf {
        let len = rows.checked_mul(stride(k)).expect("a factor's length fits in memory, so in usize");
        let mut values = AVec::with_capacity(64, len);
        values.resize(len, 0.0);
        FactorBuf { values }
    }

    /// The first `rows` rows of `k` components, side by side in memory: rows are [`stride(k)`](stride) apart.
    ///
    /// # Panics
    ///
    /// When `k` is zero or the buffer has fewer rows of that width.
    #[track_caller]
    #[inline]
    pub fn view(&self, rows: usize, k: usize) -> FactorRef<'_> {
        FactorRef::new(self, rows, k, stride(k))
    }

    /// [`view`](Self::view), to be written.
    ///
    /// # Panics
    ///
    /// When `k` is zero or the buffer has fewer rows of that width.
    #[track_caller]
    #[inline]
    pub fn view_mut(&mut self, rows: usize, k: usize) -> FactorMut<'_> {
        FactorMut::new(self, rows, k, stride(k))
    }

    /// Writes zeros over everything.
    pub fn clear(&mut self) {
        self.values.fill(0.0);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_start_on_a_cache_line() {
        for (rows, k) in [(0, 3), (1, 1), (3, 5), (256, 64)] {
            let buffer = FactorBuf::zeros(rows, k);
            assert_eq!(buffer.len(), rows * stride(k));
            assert_eq!(buffer.as_ptr() as usize % 64, 0);
            assert!(buffer.iter().all(|&v| v == 0.0));
        }
    }
}
