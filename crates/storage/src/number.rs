//! Conversion of numbers of any type to f32: exact, rounded or refused.

use bytemuck::Pod;

/// Values that f32 cannot represent exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rounding {
    /// The number of values rounded to the nearest f32.
    pub count: u64,
    /// The first of them, as stored.
    pub example: f64,
}

impl Rounding {
    /// Adds the counts of another batch.
    pub(crate) fn add(&mut self, other: Rounding) {
        if self.count == 0 {
            self.example = other.example;
        }
        self.count += other.count;
    }

    /// The counts of both.
    #[cfg(feature = "hdf5")]
    pub(crate) fn and(mut self, other: Rounding) -> Rounding {
        self.add(other);
        self
    }
}

/// The numeric types of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F32,
    F64,
}

impl Scalar {
    /// Bytes of one value.
    pub(crate) fn size(self) -> usize {
        match self {
            Scalar::I8 | Scalar::U8 => 1,
            Scalar::I16 | Scalar::U16 => 2,
            Scalar::I32 | Scalar::U32 | Scalar::F32 => 4,
            Scalar::I64 | Scalar::U64 | Scalar::F64 => 8,
        }
    }

    /// An integer type of `size` bytes.
    pub(crate) fn integer(size: usize, signed: bool) -> Option<Scalar> {
        Some(match (size, signed) {
            (1, true) => Scalar::I8,
            (2, true) => Scalar::I16,
            (4, true) => Scalar::I32,
            (8, true) => Scalar::I64,
            (1, false) => Scalar::U8,
            (2, false) => Scalar::U16,
            (4, false) => Scalar::U32,
            (8, false) => Scalar::U64,
            _ => return None,
        })
    }
}

/// Bytes of `count` values.
pub(crate) fn bytes_of<T>(count: usize) -> usize {
    count * size_of::<T>()
}

/// Evaluates an expression with a type alias for the Rust type of a [`Scalar`].
macro_rules! with_scalar {
    ($scalar:expr, $T:ident => $body:expr) => {{
        use $crate::number::Scalar;
        match $scalar {
            Scalar::I8 => {
                type $T = i8;
                $body
            }
            Scalar::I16 => {
                type $T = i16;
                $body
            }
            Scalar::I32 => {
                type $T = i32;
                $body
            }
            Scalar::I64 => {
                type $T = i64;
                $body
            }
            Scalar::U8 => {
                type $T = u8;
                $body
            }
            Scalar::U16 => {
                type $T = u16;
                $body
            }
            Scalar::U32 => {
                type $T = u32;
                $body
            }
            Scalar::U64 => {
                type $T = u64;
                $body
            }
            Scalar::F32 => {
                type $T = f32;
                $body
            }
            Scalar::F64 => {
                type $T = f64;
                $body
            }
        }
    }};
}
pub(crate) use with_scalar;

/// A number that a matrix may hold.
pub(crate) trait Number: Pod {
    /// The nearest f32 if NMF accepts the value: at least zero and finite, as f32 too.
    fn accept(self) -> Option<f32>;

    /// Whether `rounded`, the result of [`accept`](Number::accept), differs from the value.
    fn differs(self, rounded: f32) -> bool;

    /// False only if it does not differ: quicker to say.
    fn may_differ(self, rounded: f32) -> bool;

    /// The value for messages.
    fn widen(self) -> f64;

    /// The value as an integer that includes all integer types. Floats lose their fraction.
    fn whole(self) -> i128;
}

macro_rules! integers {
    ($($T:ty),*) => {$(
        impl Number for $T {
            #[inline]
            fn accept(self) -> Option<f32> {
                #[allow(unused_comparisons, reason = "unsigned types are never below zero")]
                (self >= 0).then_some(self as f32)
            }
            #[inline]
            fn differs(self, rounded: f32) -> bool {
                // 24 bits are always exact. Beyond, f32 → i128 is exact for every value that an
                // integer rounds to.
                self.may_differ(rounded) && rounded as i128 != self as i128
            }
            #[inline]
            fn may_differ(self, rounded: f32) -> bool {
                size_of::<$T>() > 2 && rounded >= 16_777_216.0
            }
            fn widen(self) -> f64 {
                self as f64
            }
            #[inline]
            fn whole(self) -> i128 {
                i128::from(self)
            }
        }
    )*};
}
integers!(i8, i16, i32, i64, u8, u16, u32, u64);

impl Number for f32 {
    #[inline]
    fn accept(self) -> Option<f32> {
        // Adding zero turns -0 into 0.
        (0.0..f32::INFINITY).contains(&self).then_some(self + 0.0)
    }
    #[inline]
    fn differs(self, _: f32) -> bool {
        false
    }
    #[inline]
    fn may_differ(self, _: f32) -> bool {
        false
    }
    fn widen(self) -> f64 {
        f64::from(self)
    }
    fn whole(self) -> i128 {
        self as i128
    }
}

impl Number for f64 {
    #[inline]
    fn accept(self) -> Option<f32> {
        let rounded = self as f32;
        (self >= 0.0 && rounded < f32::INFINITY).then_some(rounded + 0.0)
    }
    #[inline]
    fn differs(self, rounded: f32) -> bool {
        f64::from(rounded) != self
    }
    #[inline]
    fn may_differ(self, rounded: f32) -> bool {
        self.differs(rounded)
    }
    fn widen(self) -> f64 {
        self
    }
    fn whole(self) -> i128 {
        self as i128
    }
}

/// Fills `out` with the values as f32 and counts the rounded ones.
///
/// # Errors
///
/// The position and value of the first number that is negative, NaN, infinite or beyond f32.
///
/// # Panics
///
/// When the lengths differ.
pub(crate) fn to_f32<T: Number>(values: &[T], out: &mut [f32], rounding: &mut Rounding) -> Result<(), (usize, f64)> {
    assert_eq!(values.len(), out.len(), "one f32 per value");
    // Without an early end, so that the compiler vectorises it.
    let (mut accepted, mut may_differ) = (true, false);
    for (&value, slot) in values.iter().zip(out.iter_mut()) {
        let kept = value.accept();
        accepted &= kept.is_some();
        *slot = kept.unwrap_or(0.0);
        may_differ |= value.may_differ(*slot);
    }
    if !accepted {
        let refused = values.iter().enumerate().find(|(_, value)| value.accept().is_none());
        return Err(refused.map(|(i, value)| (i, value.widen())).expect("one was refused"));
    }
    if may_differ {
        let mut changed = values.iter().zip(&*out).filter(|(value, kept)| value.differs(**kept)).peekable();
        if let Some(example) = changed.peek().map(|(value, _)| value.widen()) {
            rounding.add(Rounding { count: changed.count() as u64, example });
        }
    }
    Ok(())
}

/// A 16-bit float as f32, which is exact.
pub(crate) fn half_to_f32(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one<T: Number>(value: T) -> Result<(f32, u64), (usize, f64)> {
        let (mut out, mut rounding) = ([0.0], Rounding::default());
        to_f32(&[value], &mut out, &mut rounding).map(|()| (out[0], rounding.count))
    }

    #[test]
    fn integers_up_to_two_to_the_24_are_exact_and_larger_ones_are_counted_when_they_change() {
        assert_eq!(one(16_777_216_i64), Ok((16_777_216.0, 0)));
        assert_eq!(one(16_777_217_u32), Ok((16_777_216.0, 1)));
        assert_eq!(one(16_777_218_i32), Ok((16_777_218.0, 0)));
        assert_eq!(one(u64::MAX), Ok((18_446_744_073_709_551_615_u64 as f32, 1)));
        assert_eq!(one(255_u8), Ok((255.0, 0)));
    }

    #[test]
    fn floats_keep_what_f32_holds_and_count_the_rest() {
        assert_eq!(one(0.1_f64), Ok((0.1_f32, 1)));
        assert_eq!(one(0.5_f64), Ok((0.5, 0)));
        assert_eq!(one(1e-300_f64), Ok((0.0, 1)));
        assert!(one(-0.0_f32).is_ok_and(|(v, _)| v.to_bits() == 0));
    }

    #[test]
    fn what_nmf_cannot_take_is_refused_with_its_place() {
        assert_eq!(one(-1_i8), Err((0, -1.0)));
        assert_eq!(one(-1e-300_f64), Err((0, -1e-300)));
        assert!(one(f32::NAN).is_err_and(|(_, v)| v.is_nan()));
        assert_eq!(one(f64::INFINITY), Err((0, f64::INFINITY)));
        assert_eq!(one(1e39_f64), Err((0, 1e39)));
    }

    #[test]
    fn halves_are_what_ieee_says() {
        for (bits, value) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (1, 2_f32.powi(-24)), (0x0400, 2_f32.powi(-14))]
        {
            assert_eq!(half_to_f32(bits), value);
        }
        assert!(half_to_f32(0x7e00).is_nan() && half_to_f32(0x7c00).is_infinite());
    }
}
