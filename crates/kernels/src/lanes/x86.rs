//! [`Lanes`] in AVX-512 and AVX2 registers. Counts are multiples of 4. Values beyond a whole number
//! of wide registers go into one register of 8 and one of 4 lanes, so no operation masks or pads.

use std::arch::x86_64::*;

use super::Lanes;

/// `16·Z + 8·Y + 4·X` lanes. Needs AVX2 and FMA, and also AVX-512 F and VL if `Z > 0`.
///
/// `max(a, b)` of these instructions is `a` if `a > b`, else `b`. [`Lanes::at_least`] therefore
/// passes the floor first.
#[derive(Clone, Copy)]
pub(crate) struct Vectors<const Z: usize, const Y: usize, const X: usize> {
    z: [__m512; Z],
    y: [__m256; Y],
    x: [__m128; X],
}

impl<const Z: usize, const Y: usize, const X: usize> Lanes for Vectors<Z, Y, X> {
    const COUNT: usize = 16 * Z + 8 * Y + 4 * X;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: a vector of f32 may be all zero bits.
        unsafe { std::mem::zeroed() }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller guarantees the instructions and COUNT readable values. The loads need
        // no alignment.
        unsafe {
            let mut lanes = Self::zero();
            for i in 0..Z {
                lanes.z[i] = _mm512_loadu_ps(from.add(16 * i));
            }
            for i in 0..Y {
                lanes.y[i] = _mm256_loadu_ps(from.add(16 * Z + 8 * i));
            }
            for i in 0..X {
                lanes.x[i] = _mm_loadu_ps(from.add(16 * Z + 8 * Y + 4 * i));
            }
            lanes
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller guarantees the instructions and COUNT writable values. The stores need
        // no alignment.
        unsafe {
            for i in 0..Z {
                _mm512_storeu_ps(to.add(16 * i), self.z[i]);
            }
            for i in 0..Y {
                _mm256_storeu_ps(to.add(16 * Z + 8 * i), self.y[i]);
            }
            for i in 0..X {
                _mm_storeu_ps(to.add(16 * Z + 8 * Y + 4 * i), self.x[i]);
            }
        }
    }

    #[inline(always)]
    unsafe fn add_to(self, to: *mut f64) {
        // SAFETY: the caller guarantees the instructions and COUNT sums. Loads and stores need no
        // alignment.
        unsafe {
            for i in 0..Z {
                let halves = _mm512_castps_pd(self.z[i]);
                let low = _mm512_cvtps_pd(_mm512_castps512_ps256(self.z[i]));
                let high = _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(halves)));
                let to = to.add(16 * i);
                _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), low));
                _mm512_storeu_pd(to.add(8), _mm512_add_pd(_mm512_loadu_pd(to.add(8)), high));
            }
            for i in 0..Y {
                let low = _mm256_cvtps_pd(_mm256_castps256_ps128(self.y[i]));
                let high = _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(self.y[i]));
                let to = to.add(16 * Z + 8 * i);
                _mm256_storeu_pd(to, _mm256_add_pd(_mm256_loadu_pd(to), low));
                _mm256_storeu_pd(to.add(4), _mm256_add_pd(_mm256_loadu_pd(to.add(4)), high));
            }
            for i in 0..X {
                let to = to.add(16 * Z + 8 * Y + 4 * i);
                _mm256_storeu_pd(to, _mm256_add_pd(_mm256_loadu_pd(to), _mm256_cvtps_pd(self.x[i])));
            }
        }
    }

    #[inline(always)]
    unsafe fn rounded(from: *const f64) -> Self {
        // SAFETY: the caller guarantees the instructions and COUNT sums. The loads need no
        // alignment.
        unsafe {
            let mut lanes = Self::zero();
            for i in 0..Z {
                let from = from.add(16 * i);
                let low = _mm512_castps256_ps512(_mm512_cvtpd_ps(_mm512_loadu_pd(from)));
                let high = _mm512_cvtpd_ps(_mm512_loadu_pd(from.add(8)));
                lanes.z[i] = _mm512_castpd_ps(_mm512_insertf64x4::<1>(_mm512_castps_pd(low), _mm256_castps_pd(high)));
            }
            for i in 0..Y {
                let from = from.add(16 * Z + 8 * i);
                let low = _mm256_cvtpd_ps(_mm256_loadu_pd(from));
                lanes.y[i] = _mm256_set_m128(_mm256_cvtpd_ps(_mm256_loadu_pd(from.add(4))), low);
            }
            for i in 0..X {
                lanes.x[i] = _mm256_cvtpd_ps(_mm256_loadu_pd(from.add(16 * Z + 8 * Y + 4 * i)));
            }
            lanes
        }
    }

    #[inline(always)]
    unsafe fn scaled_plus(self, factor: f32, addend: Self) -> Self {
        // SAFETY: the caller guarantees the instructions.
        unsafe {
            let mut out = addend;
            for i in 0..Z {
                out.z[i] = _mm512_fmadd_ps(_mm512_set1_ps(factor), self.z[i], addend.z[i]);
            }
            for i in 0..Y {
                out.y[i] = _mm256_fmadd_ps(_mm256_set1_ps(factor), self.y[i], addend.y[i]);
            }
            for i in 0..X {
                out.x[i] = _mm_fmadd_ps(_mm_set1_ps(factor), self.x[i], addend.x[i]);
            }
            out
        }
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instructions.
        unsafe {
            let mut out = self;
            for i in 0..Z {
                out.z[i] = _mm512_add_ps(self.z[i], other.z[i]);
            }
            for i in 0..Y {
                out.y[i] = _mm256_add_ps(self.y[i], other.y[i]);
            }
            for i in 0..X {
                out.x[i] = _mm_add_ps(self.x[i], other.x[i]);
            }
            out
        }
    }

    #[inline(always)]
    unsafe fn times(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instructions.
        unsafe {
            let mut out = self;
            for i in 0..Z {
                out.z[i] = _mm512_mul_ps(self.z[i], other.z[i]);
            }
            for i in 0..Y {
                out.y[i] = _mm256_mul_ps(self.y[i], other.y[i]);
            }
            for i in 0..X {
                out.x[i] = _mm_mul_ps(self.x[i], other.x[i]);
            }
            out
        }
    }

    #[inline(always)]
    unsafe fn over(self, other: Self) -> Self {
        // SAFETY: the caller guarantees the instructions.
        unsafe {
            let mut out = self;
            for i in 0..Z {
                out.z[i] = _mm512_div_ps(self.z[i], other.z[i]);
            }
            for i in 0..Y {
                out.y[i] = _mm256_div_ps(self.y[i], other.y[i]);
            }
            for i in 0..X {
                out.x[i] = _mm_div_ps(self.x[i], other.x[i]);
            }
            out
        }
    }

    #[inline(always)]
    unsafe fn at_least(self, floor: f32) -> Self {
        // SAFETY: the caller guarantees the instructions.
        unsafe {
            let mut out = self;
            for i in 0..Z {
                out.z[i] = _mm512_max_ps(_mm512_set1_ps(floor), self.z[i]);
            }
            for i in 0..Y {
                out.y[i] = _mm256_max_ps(_mm256_set1_ps(floor), self.y[i]);
            }
            for i in 0..X {
                out.x[i] = _mm_max_ps(_mm_set1_ps(floor), self.x[i]);
            }
            out
        }
    }
}
