//! Reads dense rows: a table of cells × genes.

use std::ops::Range;

use hdf5::File;

use super::values::{Fault, Values};
use super::{DAMAGED, Place};
use crate::StorageError;
use crate::hdf::cache::ChunkNeed;
use crate::hdf::raw;
use crate::source::{Rounding, RowChunk};

/// A matrix stored with all its values.
pub(super) struct DenseReader {
    place: Place,
    values: Values,
    shape: (usize, usize),
    resident: u64,
}

impl DenseReader {
    /// Opens the table with a chunk cache for one stripe of chunks across all genes.
    pub(super) fn open(file: &File, place: Place) -> Result<DenseReader, StorageError> {
        let plain = file.dataset(&place.dataset).map_err(|e| place.problem("", &e))?;
        let shape = match plain.shape()[..] {
            [cells, genes] => (cells, genes),
            ref other => {
                return Err(place.invalid("", format!("has shape {other:?}, expected cells × genes"), DAMAGED));
            }
        };
        let need = ChunkNeed::of(&plain);
        // Closed first: a dataset that is opened twice shares its first chunk cache.
        drop(plain);
        let cached = raw::open_dataset(file, &place.dataset, need).map_err(|e| place.problem("", &e))?;
        let values = Values::of(cached, &place, "")?;
        let resident = need.resident + values.scratch_bytes(shape.1);
        Ok(DenseReader { place, values, shape, resident })
    }

    pub(super) fn shape(&self) -> (usize, usize) {
        self.shape
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
            Fault::Library(e) => self.place.problem("", &e),
            Fault::Value { at, value } => self.place.value(rows.start + at / genes, at % genes, value),
        })
    }
}
