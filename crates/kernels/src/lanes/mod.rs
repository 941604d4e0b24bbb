//! A few numbers side by side in registers: components in the sparse products, rows in the updates.

#[macro_use]
mod dispatch;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::Vectors;

/// Terms of WᵀX that are summed in f32, in two chains of half as many, before their sum joins that
/// of the tile in f64. So rows that are alike, whose roundings all go the same way, cannot move the
/// loss (`docs/numerics.md`).
pub(crate) const GROUP_TERMS: usize = 16;

/// The most values of a row that one loop over the runs takes. Wider rows are cut into near-equal
/// panels.
pub(crate) const PANEL: usize = 64;

/// `COUNT` f32 in as many registers as they need. Every operation acts on each lane separately and
/// rounds once, so two implementations with the same `COUNT` give the same bits.
pub(crate) trait Lanes: Copy {
    /// The number of lanes.
    const COUNT: usize;

    /// Zeros.
    ///
    /// # Safety
    ///
    /// The machine has the instructions of the implementing type. All functions of this trait
    /// require that.
    unsafe fn zero() -> Self;

    /// The `COUNT` values from `from` on.
    ///
    /// # Safety
    ///
    /// As for [`Lanes::zero`], and the values are readable.
    unsafe fn load(from: *const f32) -> Self;

    /// Writes `COUNT` values from `to` on.
    ///
    /// # Safety
    ///
    /// As for [`Lanes::zero`], and the values are writable.
    unsafe fn store(self, to: *mut f32);

    /// Adds each lane, as f64, to the `COUNT` sums from `to` on.
    ///
    /// # Safety
    ///
    /// As for [`Lanes::zero`], and the sums are readable and writable.
    unsafe fn add_to(self, to: *mut f64);

    /// The nearest f32 to each of the `COUNT` sums from `from` on.
    ///
    /// # Safety
    ///
    /// As for [`Lanes::zero`], and the sums are readable.
    unsafe fn rounded(from: *const f64) -> Self;

    /// `factor · self + addend`, rounded once.
    ///
    /// # Safety
    ///
    /// As for [`Lanes::zero`].
    unsafe fn scaled_plus(self, factor: f32, addend: Self) -> Self;

    /// `self + other`.
    ///
    /// # Safety
    ///
    /// As for [`Lanes::zero`].
    unsafe fn plus(self, other: Self) -> Self;

    /// `self · other`.
    ///
    /// # Safety
    ///
    /// As for [`Lanes::zero`].
    unsafe fn times(self, other: Self) -> Self;

    /// `self / other`.
    ///
    /// # Safety
    ///
    /// As for [`Lanes::zero`].
    unsafe fn over(self, other: Self) -> Self;

    /// In each lane `floor` if it is greater, else the lane of `self`: NaN stays NaN.
    ///
    /// # Safety
    ///
    /// As for [`Lanes::zero`].
    unsafe fn at_least(self, floor: f32) -> Self;
}

/// `N` lanes in an array, for which the compiler chooses the instructions.
#[derive(Clone, Copy)]
pub(crate) struct Plain<const N: usize>([f32; N]);

impl<const N: usize> Lanes for Plain<N> {
    const COUNT: usize = N;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Plain([0.0; N])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller guarantees N readable values, and an array of f32 is aligned as one
        // f32 is.
        Plain(unsafe { from.cast::<[f32; N]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller guarantees N writable values, and an array of f32 is aligned as one
        // f32 is.
        unsafe { to.cast::<[f32; N]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn add_to(self, to: *mut f64) {
        for (i, lane) in self.0.into_iter().enumerate() {
            // SAFETY: the caller guarantees N sums.
            unsafe { *to.add(i) += f64::from(lane) };
        }
    }

    #[inline(always)]
    unsafe fn rounded(from: *const f64) -> Self {
        // SAFETY: the caller guarantees N sums.
        Plain(std::array::from_fn(|i| unsafe { *from.add(i) } as f32))
    }

    #[inline(always)]
    unsafe fn scaled_plus(self, factor: f32, addend: Self) -> Self {
        Plain(std::array::from_fn(|i| factor.mul_add(self.0[i], addend.0[i])))
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        Plain(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn times(self, other: Self) -> Self {
        Plain(std::array::from_fn(|i| self.0[i] * other.0[i]))
    }

    #[inline(always)]
    unsafe fn over(self, other: Self) -> Self {
        Plain(std::array::from_fn(|i| self.0[i] / other.0[i]))
    }

    #[inline(always)]
    unsafe fn at_least(self, floor: f32) -> Self {
        Plain(self.0.map(|lane| if floor > lane { floor } else { lane }))
    }
}

/// Cuts rows of `ks` values into panels of at most `PANEL`. All but the last are multiples of 16,
/// and the widths are as equal as that allows.
pub(crate) fn panels(ks: usize) -> impl Iterator<Item = (usize, usize)> {
    let width = ks.div_ceil(ks.div_ceil(PANEL).max(1)).next_multiple_of(16).min(PANEL);
    (0..ks).step_by(width.max(1)).map(move |first| (first, width.min(ks - first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_cover_the_stride() {
        assert_eq!(panels(20).collect::<Vec<_>>(), [(0, 20)]);
        assert_eq!(panels(64).collect::<Vec<_>>(), [(0, 64)]);
        assert_eq!(panels(68).collect::<Vec<_>>(), [(0, 48), (48, 20)]);
        assert_eq!(panels(100).collect::<Vec<_>>(), [(0, 64), (64, 36)]);
        assert_eq!(panels(0).count(), 0);
        for ks in (4..600).step_by(4) {
            let mut next = 0;
            for (first, width) in panels(ks) {
                assert!(first == next && width > 0 && width <= PANEL && width % 4 == 0);
                next += width;
            }
            assert_eq!(next, ks);
        }
    }
}
