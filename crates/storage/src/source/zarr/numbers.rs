//! Reads lists and tables of numbers.

use std::sync::Arc;

use super::array::{Array, Fill};
use super::node::Store;
use super::pieces::Pieces;
use crate::StorageError;
use crate::codec::DENSEST;
use crate::number::{Number, Scalar, with_scalar};
use crate::source::matrix::numbers::{Access, Numbers};

/// Bytes that any array may claim.
const SMALL: u64 = 1 << 20;

/// An array of numbers.
pub(super) struct ZarrNumbers {
    pieces: Pieces,
    scalar: Scalar,
    access: Access,
    /// The fill value, native.
    fill: Vec<u8>,
    stripe: Stripe,
}

/// Decoded pieces: those that share rows of the table or, for boxes, the last one.
#[derive(Default)]
struct Stripe {
    /// The row of pieces and, for boxes, the column.
    at: Option<(usize, usize)>,
    pieces: Vec<Slot>,
}

#[derive(Clone, Default)]
enum Slot {
    #[default]
    Empty,
    /// All values are the fill value.
    Filled,
    Values(Vec<u8>),
}

impl ZarrNumbers {
    /// Opens the array at `name`.
    ///
    /// # Errors
    ///
    /// - it does not hold numbers, or contradicts itself
    pub(super) fn open(store: &Arc<Store>, name: &str, access: Access) -> Result<ZarrNumbers, StorageError> {
        let array = store.array(name)?;
        ZarrNumbers::of(store, name, array, access)
    }

    /// Reads `array`, which is at `name`.
    ///
    /// # Errors
    ///
    /// - it does not hold numbers, or contradicts itself
    pub(super) fn of(
        store: &Arc<Store>,
        name: &str,
        array: Array,
        access: Access,
    ) -> Result<ZarrNumbers, StorageError> {
        let Some(scalar) = array.element.scalar() else {
            return Err(store.invalid(name, format!("holds {}, expected numbers", array.element.name())));
        };
        let fill = fill(&array.fill, scalar).map_err(|problem| store.invalid(name, problem))?;
        let pieces = Pieces::open(store, name, array)?;
        // Chunks that no file has read as the fill value, so a shape costs nothing to claim.
        let (len, stored) = (pieces.array().len(), pieces.sizes().total);
        let bytes = (len as u64).saturating_mul(scalar.size() as u64);
        if bytes > stored.saturating_mul(DENSEST).saturating_add(SMALL) {
            return Err(store.invalid(name, format!("claims {len} numbers, but has {stored} bytes in files")));
        }
        Ok(ZarrNumbers { pieces, scalar, access, fill, stripe: Stripe::default() })
    }

    /// Rows and columns of the table and of a piece. A list is a table of one column.
    fn table(&self) -> ((usize, usize), (usize, usize)) {
        let pair = |lengths: &[usize]| (lengths[0], lengths.get(1).copied().unwrap_or(1));
        (pair(&self.pieces.array().shape), pair(&self.pieces.array().piece))
    }

    /// Decodes the piece in this row and column of pieces, unless it is in memory. Returns its
    /// slot.
    fn load(&mut self, row: usize, column: usize) -> Result<usize, StorageError> {
        let ((_, columns), (_, width)) = self.table();
        let (at, slot, slots) = match self.access {
            Access::Rows => ((row, 0), column, columns.div_ceil(width)),
            Access::Boxes => ((row, column), 0, 1),
        };
        if self.stripe.at != Some(at) {
            self.stripe.at = Some(at);
            self.stripe.pieces.clear();
            self.stripe.pieces.resize(slots, Slot::Empty);
        }
        if let Slot::Empty = self.stripe.pieces[slot] {
            let position = &[row, column][..self.pieces.array().shape.len()];
            self.stripe.pieces[slot] = self.pieces.decode(position)?.map_or(Slot::Filled, Slot::Values);
        }
        Ok(slot)
    }
}

impl Numbers for ZarrNumbers {
    fn scalar(&self) -> Scalar {
        self.scalar
    }

    fn shape(&self) -> &[usize] {
        &self.pieces.array().shape
    }

    fn chunk(&self) -> Option<&[usize]> {
        Some(&self.pieces.array().piece)
    }

    fn stored_bytes(&self) -> u64 {
        self.pieces.sizes().total
    }

    fn resident_bytes(&self) -> u64 {
        let ((_, columns), (_, width)) = self.table();
        let across = if self.access == Access::Rows { columns.div_ceil(width).max(1) } else { 1 };
        let held = self.pieces.array().piece_bytes().saturating_mul(across as u64);
        held.saturating_add((across * size_of::<Slot>()) as u64).saturating_add(self.pieces.resident_bytes())
    }

    fn read(&mut self, first: &[usize], counts: &[usize], out: &mut [u8]) -> Result<(), StorageError> {
        let (_, (height, width)) = self.table();
        let size = self.scalar.size();
        let (top, left) = (first[0], first.get(1).copied().unwrap_or(0));
        let (down, across) = (counts[0], counts.get(1).copied().unwrap_or(1));
        assert_eq!(out.len(), down * across * size, "buffer and box have the same bytes");
        if out.is_empty() {
            return Ok(());
        }
        for row in top / height..=(top + down - 1) / height {
            let rows = top.max(row * height)..(top + down).min((row + 1) * height);
            for column in left / width..=(left + across - 1) / width {
                let columns = left.max(column * width)..(left + across).min((column + 1) * width);
                let slot = self.load(row, column)?;
                let wide = columns.len() * size;
                let to = ((rows.start - top) * across + columns.start - left) * size;
                let from = ((rows.start - row * height) * width + columns.start - column * width) * size;
                // Rows that are whole in both are copied at once.
                let (lines, line) =
                    if columns.len() == width && width == across { (1, wide * rows.len()) } else { (rows.len(), wide) };
                for at in 0..lines {
                    let out = &mut out[to + at * across * size..][..line];
                    match &self.stripe.pieces[slot] {
                        Slot::Values(values) => out.copy_from_slice(&values[from + at * width * size..][..line]),
                        _ => out.chunks_exact_mut(size).for_each(|value| value.copy_from_slice(&self.fill)),
                    }
                }
            }
        }
        Ok(())
    }
}

/// The bytes of a fill value.
fn fill(fill: &Fill, scalar: Scalar) -> Result<Vec<u8>, String> {
    let (number, whole) = match fill {
        Fill::Zero => (0.0, Some(0)),
        Fill::Number(number, whole) => (*number, *whole),
        Fill::Text(text) => return Err(format!("has the fill value {text:?}, expected a number")),
    };
    let outside = || format!("has the fill value {number}, which its type does not have");
    let bytes = match scalar {
        Scalar::F32 => (number as f32).to_le_bytes().to_vec(),
        Scalar::F64 => number.to_le_bytes().to_vec(),
        integer => {
            let float = Some(number as i128).filter(|&whole| whole as f64 == number);
            let whole = whole.or(float).ok_or_else(outside)?;
            let bytes = whole.to_le_bytes()[..integer.size()].to_vec();
            let back = with_scalar!(integer, T => bytemuck::pod_read_unaligned::<T>(&bytes).whole());
            if back != whole {
                return Err(outside());
            }
            bytes
        }
    };
    Ok(bytes)
}
