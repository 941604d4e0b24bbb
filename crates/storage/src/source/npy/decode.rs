//! Decodes the bytes of a NumPy array to f32.

use super::header::Element;
use crate::number::Rounding;
use crate::number::{to_f32, with_scalar};

/// Decodes numbers of one type to f32.
pub(super) struct Decoder {
    element: Element,
    swap: bool,
    aligned: Vec<u64>,
    rounding: Rounding,
}

impl Decoder {
    pub(super) fn new(element: Element, big_endian: bool) -> Decoder {
        Decoder { element, swap: big_endian, aligned: Vec::new(), rounding: Rounding::default() }
    }

    /// The values rounded so far.
    pub(super) fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// Decodes one number for each of `out`.
    ///
    /// # Errors
    ///
    /// The position and value of the first number that NMF does not accept.
    pub(super) fn decode(&mut self, bytes: &[u8], out: &mut [f32]) -> Result<(), (usize, f64)> {
        let size = self.element.size();
        assert_eq!(bytes.len(), out.len() * size, "one number for each f32");
        match self.element {
            Element::Half => {
                for (at, (half, slot)) in bytes.chunks_exact(2).zip(out.iter_mut()).enumerate() {
                    let half = [half[0], half[1]];
                    let bits = if self.swap { u16::from_be_bytes(half) } else { u16::from_le_bytes(half) };
                    let value = half_to_f32(bits);
                    to_f32(&[value], std::slice::from_mut(slot), &mut self.rounding).map_err(|(_, v)| (at, v))?;
                }
                Ok(())
            }
            Element::Plain(scalar) => with_scalar!(scalar, T => {
                self.aligned.resize(bytes.len().div_ceil(8), 0);
                let aligned = &mut bytemuck::cast_slice_mut::<u64, u8>(&mut self.aligned)[..bytes.len()];
                aligned.copy_from_slice(bytes);
                if self.swap {
                    aligned.chunks_exact_mut(size).for_each(<[u8]>::reverse);
                }
                let values = &bytemuck::cast_slice::<u64, T>(&self.aligned)[..out.len()];
                to_f32(values, out, &mut self.rounding)
            }),
        }
    }
}

/// A 16-bit float as f32, which is exact.
fn half_to_f32(bits: u16) -> f32 {
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
