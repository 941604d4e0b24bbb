//! One value of an array.

use crate::number::{Scalar, half_to_f32};

/// The type of the values of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    /// A number in this type.
    Number(Scalar, Endian),
    /// A float of 16 bits.
    Half(Endian),
    /// True or false, in a byte.
    Bool,
    /// UTF-8 of any length.
    Text,
    /// Code points of four bytes each, padded with zeros. The number is that of bytes.
    Unicode(usize, Endian),
    /// Bytes, padded with zeros.
    Bytes(usize),
    /// Values of several types, by name, each at its byte. The number is that of bytes.
    Record(Vec<Field>, usize),
}

/// A part of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) element: Element,
    /// Its first byte in the record.
    pub(super) at: usize,
}

/// The order of the bytes of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endian {
    Little,
    Big,
}

impl Element {
    /// Bytes of a value; `None` if they differ.
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Element::Number(scalar, _) => Some(scalar.size()),
            Element::Half(_) => Some(2),
            Element::Bool => Some(1),
            Element::Text => None,
            Element::Unicode(bytes, _) | Element::Bytes(bytes) | Element::Record(_, bytes) => Some(*bytes),
        }
    }

    /// The type in memory, if values are numbers.
    pub(super) fn scalar(&self) -> Option<Scalar> {
        match self {
            Element::Number(scalar, _) => Some(*scalar),
            Element::Half(_) => Some(Scalar::F32),
            Element::Bool => Some(Scalar::U8),
            _ => None,
        }
    }

    /// Whether values are strings.
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Element::Text | Element::Unicode(..) | Element::Bytes(_))
    }

    /// The type with another order of bytes.
    pub(super) fn in_order(self, endian: Endian) -> Element {
        match self {
            Element::Number(scalar, _) => Element::Number(scalar, endian),
            Element::Half(_) => Element::Half(endian),
            Element::Unicode(bytes, _) => Element::Unicode(bytes, endian),
            other => other,
        }
    }

    /// Turns numbers in the order of the file into native ones, in place or, if they become wider,
    /// in a new buffer.
    pub(super) fn to_native(&self, bytes: &mut Vec<u8>) {
        match self {
            Element::Number(scalar, Endian::Big) => bytes.chunks_exact_mut(scalar.size()).for_each(<[u8]>::reverse),
            Element::Half(endian) => {
                let wide = bytes.chunks_exact(2).flat_map(|half| {
                    let half = [half[0], half[1]];
                    let bits = if *endian == Endian::Big { u16::from_be_bytes(half) } else { u16::from_le_bytes(half) };
                    half_to_f32(bits).to_le_bytes()
                });
                *bytes = wide.collect();
            }
            Element::Bool => bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0)),
            _ => (),
        }
    }

    /// The UTF-8 of a string in the form of the file, without its padding.
    pub(super) fn text(&self, bytes: &[u8]) -> Vec<u8> {
        let padding = |&b: &u8| b != 0;
        match self {
            Element::Unicode(_, endian) => {
                let points = bytes.chunks_exact(4).map(|four| {
                    let four = [four[0], four[1], four[2], four[3]];
                    if *endian == Endian::Big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
                });
                let text: String =
                    points.map(|point| char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
                text.trim_end_matches('\0').as_bytes().to_vec()
            }
            Element::Bytes(_) => bytes[..bytes.iter().rposition(padding).map_or(0, |last| last + 1)].to_vec(),
            _ => bytes.to_vec(),
        }
    }

    /// Its name in messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Element::Number(..) | Element::Half(_) => "numbers",
            Element::Bool => "booleans",
            Element::Text | Element::Unicode(..) | Element::Bytes(_) => "strings",
            Element::Record(..) => "records",
        }
    }
}
