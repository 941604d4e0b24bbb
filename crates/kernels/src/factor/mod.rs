//! The memory layout of factors: one row of `stride(k)` components per cell (W) or per gene (H), on
//! cache lines.

mod view;

use std::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable};

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
/// The pages of a large buffer are zero as the system gives them, each to the thread that uses it first. So no thread
/// clears the buffers of the others, and on machines with several memories a page lies near its thread.
#[derive(Clone, Debug)]
pub struct FactorBuf {
    lines: Vec<Line>,
    len: usize,
}

/// The values of a cache line.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

const LINE: usize = 16;

impl FactorBuf {
    /// `rows × stride(k)` zeros.
    ///
    /// # Panics
    ///
    /// When their number overflows `usize` or memory runs out.
    pub fn zeros(rows: usize, k: usize) -> FactorBuf {
        let len = rows.checked_mul(stride(k)).expect("a factor's length fits in usize");
        FactorBuf { lines: bytemuck::allocation::zeroed_vec(len.div_ceil(LINE)), len }
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
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for FactorBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
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
