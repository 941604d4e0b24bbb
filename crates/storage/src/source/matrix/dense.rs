//! Reads a table: cells × genes by rows, or genes × cells by entries.

use std::ops::Range;

use super::numbers::Numbers;
use super::values::{Fault, Values};
use super::{DAMAGED, Place};
use crate::source::{Entries, Rounding, RowChunk};
use crate::{Axis, StorageError};

/// Values of a box that is read at a time of a table by gene, unless one chunk has more.
const BOX: usize = 1 << 20;

/// A matrix stored with all its values.
pub(super) struct DenseReader {
    place: Place,
    values: Values,
    /// Rows and columns of the table.
    shape: (usize, usize),
    resident: u64,
    boxes: Boxes,
}

/// Boxes of a table that is read by entries: each covers whole chunks, and each chunk is read once.
#[derive(Default)]
struct Boxes {
    /// Rows and columns of a box.
    shape: (usize, usize),
    /// The first row and column of the box in memory.
    first: (usize, usize),
    /// Rows and columns of the box in memory, which has fewer at the edges of the table.
    counts: (usize, usize),
    values: Vec<f32>,
    /// The next value of the box.
    at: usize,
}

impl DenseReader {
    /// The table in `numbers`, which were opened for boxes by genes, and for rows by cells.
    pub(super) fn open(numbers: Box<dyn Numbers>, by: Axis, place: Place) -> Result<DenseReader, StorageError> {
        let &[rows, columns] = numbers.shape() else {
            let problem = format!("has shape {:?}, expected cells × genes", numbers.shape());
            return Err(place.invalid("", problem, DAMAGED));
        };
        let shape = (rows, columns);
        let chunk = match numbers.chunk() {
            Some(&[height, width]) => (height.max(1), width.max(1)),
            _ => (1, columns.clamp(1, BOX)),
        };
        if by == Axis::Genes && columns > u32::MAX as usize {
            return Err(place.invalid("", format!("has {columns} cells, which is not supported"), DAMAGED));
        }
        let mut boxes = Boxes::default();
        if by == Axis::Genes {
            boxes.shape = box_shape(shape, chunk);
        }
        let values = Values::of(numbers);
        let box_bytes = (size_of::<f32>() as u64) * (boxes.shape.0 as u64) * (boxes.shape.1 as u64);
        let width = if by == Axis::Genes { boxes.shape.1 } else { shape.1 };
        let resident = values.resident_bytes(width).saturating_add(box_bytes);
        Ok(DenseReader { place, values, shape, resident, boxes })
    }

    /// Rows and columns.
    pub(super) fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// The number of values.
    pub(super) fn values(&self) -> u64 {
        (self.shape.0 as u64).saturating_mul(self.shape.1 as u64)
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        self.resident
    }

    pub(super) fn rounding(&self) -> Rounding {
        self.values.rounding()
    }

    pub(super) fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        let genes = self.shape.1;
        let values = chunk.dense();
        values.resize(rows.len() * genes, 0.0);
        self.values.read(&[rows.start, 0], &[rows.len(), genes], values).map_err(|fault| match fault {
            Fault::Read(error) => error,
            Fault::Value { at, value } => self.place.value(rows.start + at / genes, at % genes, value),
        })
    }

    /// Reads on in a table of genes × cells. Zeros are no entries.
    pub(super) fn read_entries(&mut self, most: usize, entries: &mut Entries) -> Result<(), StorageError> {
        entries.clear();
        while entries.is_empty() {
            if self.boxes.at == self.boxes.values.len() && !self.load_box()? {
                return Ok(());
            }
            let Boxes { first: (row, column), counts: (_, width), values, at, .. } = &mut self.boxes;
            while *at < values.len() && entries.len() < most {
                if values[*at] != 0.0 {
                    entries.push((*column + *at % *width) as u32, (*row + *at / *width) as u32, values[*at]);
                }
                *at += 1;
            }
        }
        Ok(())
    }

    /// Reads the next box: down the table, then on to the right. Returns false after the last one.
    fn load_box(&mut self) -> Result<bool, StorageError> {
        // After an error, reading begins again.
        let Boxes { shape, first, counts, mut values, .. } = std::mem::take(&mut self.boxes);
        self.boxes.shape = shape;
        let first = match first {
            first if values.is_empty() => first,
            (row, column) if row + counts.0 < self.shape.0 => (row + counts.0, column),
            (_, column) => (0, column + counts.1),
        };
        if first.1 >= self.shape.1 || first.0 >= self.shape.0 {
            return Ok(false);
        }
        let counts = (shape.0.min(self.shape.0 - first.0), shape.1.min(self.shape.1 - first.1));
        values.resize(counts.0 * counts.1, 0.0);
        self.values.read(&[first.0, first.1], &[counts.0, counts.1], &mut values).map_err(|fault| match fault {
            Fault::Read(error) => error,
            Fault::Value { at, value } => self.place.value(first.1 + at % counts.1, first.0 + at / counts.1, value),
        })?;
        self.boxes = Boxes { shape, first, counts, values, at: 0 };
        Ok(true)
    }
}

/// Whole chunks, about [`BOX`] values: as wide as possible, then as tall as possible.
fn box_shape(table: (usize, usize), chunk: (usize, usize)) -> (usize, usize) {
    let chunk = (chunk.0.min(table.0.max(1)), chunk.1.min(table.1.max(1)));
    let across = (BOX / (chunk.0 * chunk.1).max(1)).clamp(1, table.1.div_ceil(chunk.1).max(1));
    let width = (across * chunk.1).min(table.1.max(1));
    let down = (BOX / (chunk.0 * width).max(1)).clamp(1, table.0.div_ceil(chunk.0).max(1));
    ((down * chunk.0).min(table.0.max(1)), width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_cover_whole_chunks_and_stay_small() {
        assert_eq!(box_shape((20_000, 50_000), (64, 64)), (64, 16_384));
        assert_eq!(box_shape((20_000, 3_000), (1, 3_000)), (349, 3_000));
        assert_eq!(box_shape((10, 5), (64, 64)), (10, 5));
        assert_eq!(box_shape((20_000, 10_000_000), (1, 10_000_000)), (1, 10_000_000));
        assert_eq!(box_shape((0, 0), (1, 1)), (1, 1));
    }
}
