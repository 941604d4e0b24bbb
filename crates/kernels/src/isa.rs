//! The vector instructions of the machine, detected at run time.
//!
//! Every kernel with more than one implementation gives **the same bits** in all of them. SIMD
//! lanes are components or rows, never terms of one sum, and every implementation fuses every
//! multiply-add. The choice of instructions affects speed only, so results do not record it.

/// A set of instructions for which the kernels have a separate implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// AVX-512 F and VL: vectors of 16 f32.
    Avx512,
    /// AVX2 and FMA: vectors of 8 f32.
    Avx2,
    /// The base instructions of the target, with `f32::mul_add`. Fast if fused multiply-add is part
    /// of the target (aarch64). Correct but slow on an x86-64 machine older than AVX2, where the C
    /// library emulates it.
    Plain,
}

impl Isa {
    /// Every implementation, the widest first.
    pub const ALL: [Isa; 3] = [Isa::Avx512, Isa::Avx2, Isa::Plain];

    /// Whether this machine can run it. Costs a few loads after the first call.
    #[inline]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") && Isa::Avx2.is_available()
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx512 | Isa::Avx2 => false,
            Isa::Plain => true,
        }
    }

    /// The widest set of this machine.
    #[inline]
    pub fn best() -> Isa {
        if Isa::Avx512.is_available() {
            Isa::Avx512
        } else if Isa::Avx2.is_available() {
            Isa::Avx2
        } else {
            Isa::Plain
        }
    }

    /// The sets of this machine, the widest first. Tests loop over them.
    pub fn available() -> impl Iterator<Item = Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_available())
    }

    /// # Panics
    ///
    /// When this machine lacks the instructions.
    #[track_caller]
    #[inline]
    pub(crate) fn assert_available(self) {
        assert!(self.is_available(), "this machine does not have the instructions of {self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_the_first_available() {
        assert_eq!(Isa::available().next(), Some(Isa::best()));
        assert!(Isa::available().any(|isa| isa == Isa::Plain));
    }
}
