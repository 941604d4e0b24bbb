//! Decodes the bytes of a NumPy array to f32.

use super::header::Element;
use crate::number::Rounding;
use crate::number::{Number, half_to_f32, to_f32, with_scalar};

/// Decodes numbers of one type to f32.
pub(in crate::source) struct Decoder {
    element: Element,
    swap: bool,
    aligned: Vec<u64>,
    rounding: Rounding,
}

impl Decoder {
    pub(in crate::source) fn new(element: Element, big_endian: bool) -> Decoder {
        Decoder { element, swap: big_endian, aligned: Vec::new(), rounding: Rounding::default() }
    }

    /// The values rounded so far.
    pub(in crate::source) fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// Decodes one number for each of `out`.
    ///
    /// # Errors
    ///
    /// The position and value of the first number that NMF does not accept.
    pub(in crate::source) fn decode(&mut self, bytes: &[u8], out: &mut [f32]) -> Result<(), (usize, f64)> {
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

/// Decodes integers of one type.
///
/// # Panics
///
/// When the type is a float.
pub(in crate::source) fn decode_integers(bytes: &[u8], element: Element, big_endian: bool, out: &mut Vec<i128>) {
    let Element::Plain(scalar) = element else { panic!("integers have a plain type") };
    with_scalar!(scalar, T => out.extend(bytes.chunks_exact(scalar.size()).map(|bytes| {
        let mut number = [0; 8];
        let number = &mut number[..bytes.len()];
        number.copy_from_slice(bytes);
        if big_endian {
            number.reverse();
        }
        bytemuck::pod_read_unaligned::<T>(number).whole()
    })));
}
