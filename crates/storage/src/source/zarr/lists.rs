//! Reads lists of strings, and the parts of lists of records.

use super::array::Fill;
use super::element::Element;
use super::pieces::Pieces;
use crate::StorageError;

/// Calls `each` with the bytes of every entry of a list in order: UTF-8 of strings, and numbers and
/// records as they are in a decoded piece.
///
/// # Errors
///
/// - the list cannot be read; or `each` fails
pub(super) fn visit(
    name: &str,
    pieces: &mut Pieces,
    mut each: impl FnMut(&[u8]) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let (len, piece) = (pieces.array().len(), pieces.array().piece[0]);
    let element = pieces.array().element.clone();
    let fill = match (&pieces.array().fill, &element) {
        (Fill::Text(text), Element::Text) => text.clone().into_bytes(),
        (_, element) => vec![0; element.size().unwrap_or(0)],
    };
    for at in 0..len.div_ceil(piece) {
        let count = piece.min(len - at * piece);
        let Some(bytes) = pieces.decode(&[at])? else {
            let fill = if element.is_text() { element.text(&fill) } else { fill.clone() };
            (0..count).try_for_each(|_| each(&fill))?;
            continue;
        };
        match element.size() {
            Some(0) => (0..count).try_for_each(|_| each(&[]))?,
            Some(size) if element.is_text() => {
                bytes.chunks_exact(size).take(count).try_for_each(|value| each(&element.text(value)))?;
            }
            Some(size) => bytes.chunks_exact(size).take(count).try_for_each(&mut each)?,
            None => {
                let mut texts = Texts::of(&bytes);
                for row in at * piece..at * piece + count {
                    let text = texts.next().ok_or_else(|| {
                        let problem = format!("has strings of a wrong length at row {row}");
                        pieces.store().invalid(name, problem)
                    })?;
                    each(text)?;
                }
            }
        }
    }
    Ok(())
}

/// Strings after their number, each after its length. Numbers have four bytes.
struct Texts<'a> {
    left: u32,
    rest: &'a [u8],
}

impl<'a> Texts<'a> {
    fn of(mut bytes: &'a [u8]) -> Texts<'a> {
        let left = number(&mut bytes).unwrap_or(0);
        Texts { left, rest: bytes }
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let len = number(&mut self.rest)?;
        let text = self.rest.get(..len as usize)?;
        self.rest = &self.rest[len as usize..];
        Some(text)
    }
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    let (four, rest) = bytes.split_at_checked(4)?;
    *bytes = rest;
    Some(u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}
