//! A few numbers side by side in registers: components in the sparse products, rows in the updates.

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::Vectors;

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
