//! The header of a NumPy array file: the type, order and shape of its numbers.
//!
//! A file is `\x93NUMPY`, two version bytes, the length of a text (2 bytes in version 1, 4 since)
//! and that text, a Python dictionary of three entries:
//! `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }`.

use std::io::Read;

use crate::number::Scalar;

/// The type of the numbers in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum Element {
    /// A type that Rust has.
    Plain(Scalar),
    /// 16-bit floats.
    Half,
}

impl Element {
    /// Bytes of a number.
    pub(in crate::source) fn size(self) -> usize {
        match self {
            Element::Plain(scalar) => scalar.size(),
            Element::Half => 2,
        }
    }
}

/// The content of the header of an array of any shape and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct Array {
    /// The type as NumPy calls it, `<f4`; empty for records.
    pub(in crate::source) descr: String,
    /// The numbers are stored by columns instead of rows.
    pub(in crate::source) by_column: bool,
    pub(in crate::source) shape: Vec<usize>,
    /// The position of the first number in the file.
    pub(in crate::source) data_start: u64,
}

/// The content of the header of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) struct Header {
    pub(in crate::source) element: Element,
    pub(in crate::source) big_endian: bool,
    /// The numbers are stored by columns instead of rows.
    pub(in crate::source) by_column: bool,
    pub(in crate::source) rows: usize,
    pub(in crate::source) columns: usize,
    /// The position of the first number in the file.
    pub(in crate::source) data_start: u64,
}

/// Longer headers are refused. Real ones have about a hundred bytes.
const LONGEST: u32 = 1 << 20;

impl Array {
    /// Reads the header from the beginning of a file.
    ///
    /// # Errors
    ///
    /// The fault, as the rest of a sentence that begins with the array.
    pub(in crate::source) fn read(mut file: impl Read) -> Result<Array, String> {
        let cut = |_| "ends within its header".to_owned();
        let mut magic = [0; 8];
        file.read_exact(&mut magic).map_err(cut)?;
        let (len, len_bytes) = match magic[6] {
            1 => {
                let mut len = [0; 2];
                file.read_exact(&mut len).map_err(cut)?;
                (u32::from(u16::from_le_bytes(len)), 2)
            }
            2 | 3 => {
                let mut len = [0; 4];
                file.read_exact(&mut len).map_err(cut)?;
                (u32::from_le_bytes(len), 4)
            }
            other => return Err(format!("has the format version {other}, expected 1, 2 or 3")),
        };
        if len > LONGEST {
            return Err(format!("has a header of {len} bytes"));
        }
        let mut text = vec![0; len as usize];
        file.read_exact(&mut text).map_err(cut)?;
        let text = String::from_utf8_lossy(&text);
        Array::parse(&text, 8 + len_bytes + u64::from(len))
    }

    fn parse(text: &str, data_start: u64) -> Result<Array, String> {
        let unclear = |what: &str| format!("has a header without {what}: {}", text.trim());
        let descr = entry(text, "descr").ok_or_else(|| unclear("'descr'"))?;
        let quoted = descr.strip_prefix('\'').or_else(|| descr.strip_prefix('"'));
        let descr = quoted.and_then(|text| text.split(['\'', '"']).next()).unwrap_or_default().to_owned();
        let by_column = match entry(text, "fortran_order") {
            Some(value) if value.starts_with("True") => true,
            Some(value) if value.starts_with("False") => false,
            _ => return Err(unclear("'fortran_order'")),
        };
        let shape = entry(text, "shape").and_then(|s| s.strip_prefix('(')).and_then(|s| s.split(')').next());
        let shape = shape.ok_or_else(|| unclear("'shape'"))?;
        let sides: Result<Vec<usize>, _> =
            shape.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::parse).collect();
        let shape = sides.map_err(|_| format!("has the shape ({shape}), expected numbers"))?;
        Ok(Array { descr, by_column, shape, data_start })
    }

    /// The type of the numbers, and whether they are big-endian.
    ///
    /// # Errors
    ///
    /// The fault, as the rest of a sentence that begins with the array.
    pub(in crate::source) fn element(&self) -> Result<(Element, bool), String> {
        element(&self.descr)
    }

    /// The header of a matrix.
    ///
    /// # Errors
    ///
    /// The fault, as the rest of a sentence that begins with the array.
    pub(in crate::source) fn matrix(&self) -> Result<Header, String> {
        let (element, big_endian) = self.element()?;
        let &Array { by_column, data_start, .. } = self;
        match self.shape[..] {
            [rows, columns] => Ok(Header { element, big_endian, by_column, rows, columns, data_start }),
            ref other => Err(format!("has {} dimensions, expected 2 (cells × genes)", other.len())),
        }
    }
}

impl Header {
    /// Reads the header of a matrix from the beginning of a file.
    ///
    /// # Errors
    ///
    /// The fault, as the rest of a sentence that begins with the array.
    pub(super) fn read(file: impl Read) -> Result<Header, String> {
        Array::read(file)?.matrix()
    }

    /// Bytes of all numbers; `None` where that is beyond 64 bits.
    pub(in crate::source) fn data_bytes(&self) -> Option<u64> {
        (self.rows as u64).checked_mul(self.columns as u64)?.checked_mul(self.element.size() as u64)
    }
}

/// The text after `'key':`.
fn entry<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let after = ['\'', '"'].iter().find_map(|q| text.split_once(&format!("{q}{key}{q}")).map(|(_, after)| after))?;
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}

/// The type that NumPy calls `descr`.
fn element(name: &str) -> Result<(Element, bool), String> {
    if name.is_empty() {
        return Err("holds records, expected plain numbers".into());
    }
    let (order, kind) = name.split_at_checked(1).unwrap_or(("", name));
    let plain = |scalar: Option<Scalar>| scalar.map(Element::Plain);
    let element = match kind {
        "b1" => Some(Element::Plain(Scalar::U8)),
        "f2" => Some(Element::Half),
        "f4" => Some(Element::Plain(Scalar::F32)),
        "f8" => Some(Element::Plain(Scalar::F64)),
        "i1" | "i2" | "i4" | "i8" => plain(Scalar::integer(kind[1..].parse().unwrap_or(0), true)),
        "u1" | "u2" | "u4" | "u8" => plain(Scalar::integer(kind[1..].parse().unwrap_or(0), false)),
        _ => None,
    };
    match (element, order) {
        (Some(element), "<" | "|" | "=" | ">") => Ok((element, order == ">")),
        _ => Err(format!("holds values of type '{name}', expected integers, floats or booleans of up to 8 bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Header, String> {
        Array::parse(text, 128)?.matrix()
    }

    #[test]
    fn what_numpy_writes_is_understood() {
        let header = parse("{'descr': '<f8', 'fortran_order': False, 'shape': (38, 5000), }   \n").unwrap();
        assert_eq!(header.element, Element::Plain(Scalar::F64));
        assert_eq!((header.rows, header.columns, header.by_column, header.big_endian), (38, 5000, false, false));
        let header = parse("{'descr': '>i2', 'fortran_order': True, 'shape': (3, 0), }").unwrap();
        assert_eq!(header.element, Element::Plain(Scalar::I16));
        assert!(header.by_column && header.big_endian);
        assert_eq!(parse("{'descr': '|b1', 'fortran_order': False, 'shape': (1, 1), }").unwrap().element.size(), 1);
        assert_eq!(
            parse("{\"descr\": \"<f2\", \"fortran_order\": False, \"shape\": (1, 1)}").unwrap().element,
            Element::Half
        );
    }

    #[test]
    fn what_is_no_matrix_is_named() {
        let said = |text: &str| parse(text).unwrap_err();
        assert!(said("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }").contains("1 dimensions"));
        assert!(said("{'descr': '<c16', 'fortran_order': False, 'shape': (3, 1), }").contains("'<c16'"));
        assert!(said("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3, 1), }").contains("records"));
        assert!(said("{'descr': '|O', 'fortran_order': False, 'shape': (3, 1), }").contains("'|O'"));
        assert!(said("{'descr': '<f8', 'shape': (3, 1), }").contains("fortran_order"));
        assert!(said("{'descr': '<f8', 'fortran_order': False, 'shape': (3, x), }").contains("(3, x)"));
    }

    #[test]
    fn any_bytes_after_the_magic_are_an_error_not_a_panic() {
        for version in 0..5 {
            for len in 0..40 {
                let mut bytes = b"\x93NUMPY".to_vec();
                bytes.extend([version, 0, len, 0]);
                bytes.extend(std::iter::repeat_n(b'{', 20));
                assert!(Header::read(&bytes[..]).is_err());
            }
        }
    }
}
