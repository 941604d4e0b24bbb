//! What the metadata of an array say, whatever the version of zarr.

use super::element::Element;
use super::steps::Step;

/// Bytes of a chunk beyond which metadata are nonsense.
const LARGEST: u64 = 1 << 40;

/// A list, or a table by rows, in regular chunks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    /// The length of each axis: one or two.
    pub(super) shape: Vec<usize>,
    /// The lengths of the part of the array that a file holds. Parts at the edges are whole, too.
    pub(super) chunk: Vec<usize>,
    /// The lengths of the part that is decoded at once: the chunk, or an inner chunk of a shard.
    pub(super) piece: Vec<usize>,
    /// How the pieces of a file are found, if there are several.
    pub(super) shard: Option<Shard>,
    pub(super) element: Element,
    /// Whether a piece of a table is stored column after column.
    pub(super) by_column: bool,
    pub(super) steps: Vec<Step>,
    pub(super) fill: Fill,
    pub(super) keys: Keys,
}

/// The value of entries that no file has.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fill {
    /// Zero, or an empty string.
    Zero,
    /// A number, and its value if it is an integer.
    Number(f64, Option<i128>),
    /// A string.
    Text(String),
}

/// The index of a file with several pieces: position and length of each, 8 bytes each. Pieces that
/// are not there have ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard {
    /// Whether it is at the end of the file.
    pub(super) at_end: bool,
    /// Whether a checksum follows it.
    pub(super) checked: bool,
}

/// How the files of an array are named after the positions of their chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    /// A folder for them.
    pub(super) folder: bool,
    pub(super) separator: char,
}

impl Array {
    /// Checks lengths that the rest of the reader relies on.
    ///
    /// # Errors
    ///
    /// The fault as a predicate.
    pub(super) fn check(self) -> Result<Array, String> {
        let Array { shape, chunk, piece, .. } = &self;
        if !(1..=2).contains(&shape.len()) {
            return Err(format!("has {} axes, expected a list or a table", shape.len()));
        }
        if chunk.len() != shape.len() || piece.len() != shape.len() || chunk.contains(&0) || piece.contains(&0) {
            return Err(format!("has chunks of {chunk:?} and {piece:?} for a shape of {shape:?}"));
        }
        if chunk.iter().zip(piece).any(|(chunk, piece)| chunk % piece != 0) {
            return Err(format!("has shards of {chunk:?} that are no multiple of their chunks of {piece:?}"));
        }
        let size = self.element.size().unwrap_or(1).max(1);
        for part in [chunk, piece] {
            let bytes = part.iter().try_fold(size as u64, |bytes, &len| bytes.checked_mul(len as u64));
            if bytes.is_none_or(|bytes| bytes > LARGEST) {
                return Err(format!("has chunks of {part:?}, which no file holds"));
            }
        }
        if shape.iter().try_fold(size, |bytes, &len| bytes.checked_mul(len)).is_none() {
            return Err(format!("has the shape {shape:?}, which no file holds"));
        }
        Ok(self)
    }

    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The number of entries of a piece.
    pub(super) fn piece_len(&self) -> usize {
        self.piece.iter().product()
    }

    /// Bytes of a piece in memory, decoded and native; for strings of any length those of none.
    pub(super) fn piece_bytes(&self) -> u64 {
        let size = self.element.scalar().map_or(self.element.size().unwrap_or(0), crate::number::Scalar::size);
        (self.piece_len() as u64).saturating_mul(size as u64)
    }

    /// The number of pieces in a file.
    pub(super) fn pieces_of_chunk(&self) -> usize {
        self.chunk.iter().zip(&self.piece).map(|(chunk, piece)| chunk / piece).product()
    }

    /// The key of the file with the chunk at `position`, below that of the array.
    pub(super) fn key(&self, position: &[usize]) -> String {
        let mut key = String::new();
        if self.keys.folder {
            key.push('c');
        }
        for (axis, at) in position.iter().enumerate() {
            if axis > 0 || self.keys.folder {
                key.push(self.keys.separator);
            }
            key.push_str(&at.to_string());
        }
        key
    }
}
