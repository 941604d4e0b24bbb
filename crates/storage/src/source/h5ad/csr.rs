//! Reads sparse rows: `data`, `indices`, `indptr`.

use std::ops::Range;

use hdf5::{Dataset, Group};

use super::pointers::RowPointers;
use super::values::{Fault, Values, numbers_of};
use super::{DAMAGED, Place};
use crate::StorageError;
use crate::hdf::cache::ChunkNeed;
use crate::hdf::number::NumberType;
use crate::hdf::raw;
use crate::number::{Number, Scalar, bytes_of, with_scalar};
use crate::source::{Form, Rounding, RowChunk};

/// Indices converted at a time.
const PIECE: usize = 1 << 16;

/// Bytes of chunks that are read to open a file, with any budget. Row pointers in larger ones are
/// checked when a budget is known.
const AT_ONCE: u64 = 16 << 20;

/// A matrix in compressed sparse rows.
pub(super) struct CsrReader {
    place: Place,
    pointers: RowPointers,
    indices: Indices,
    values: Values,
    genes: usize,
    entries: u64,
    /// The most entries of a tile, once the row pointers are checked.
    most_per_tile: Option<usize>,
    resident: u64,
}

impl CsrReader {
    /// Opens the group and validates lengths and row pointers, which costs one read of `indptr`,
    /// unless its chunks are large.
    ///
    /// `shape` comes from attributes or, without them, from the names.
    pub(super) fn open(group: &Group, shape: Option<(usize, usize)>, place: Place) -> Result<CsrReader, StorageError> {
        let pointers = RowPointers::open(group, place.clone())?;
        let Some((cells, genes)) = shape else {
            return Err(place.invalid(
                "",
                "has no shape, expected the attribute \"shape\"".into(),
                "save it again with anndata",
            ));
        };
        if pointers.rows() != cells {
            let problem = format!("has {} row pointers, expected {} for {cells} cells", pointers.rows() + 1, cells + 1);
            return Err(place.invalid("indptr", problem, DAMAGED));
        }
        let (data, data_need) = open_list(group, "data", &place)?;
        let (list, list_need) = open_list(group, "indices", &place)?;
        let entries = data.size();
        if list.size() != entries {
            let problem = format!("has {} entries, but data has {entries}", list.size());
            return Err(place.invalid("indices", problem, DAMAGED));
        }
        let values = Values::of(data, &place, "data")?;
        let indices = Indices { number: numbers_of(&list, &place, "indices")?, dataset: list, scratch: Vec::new() };
        if matches!(indices.number.scalar, Scalar::F32 | Scalar::F64) {
            return Err(place.invalid("indices", "holds floats, expected integers".into(), DAMAGED));
        }
        let resident = pointers.resident_bytes()
            + data_need.resident
            + list_need.resident
            + values.scratch_bytes(1)
            + (PIECE * indices.number.scalar.size()) as u64;
        let entries = entries as u64;
        let mut reader = CsrReader { place, pointers, indices, values, genes, entries, most_per_tile: None, resident };
        if reader.pointers.resident_bytes() <= AT_ONCE {
            reader.check()?;
        }
        Ok(reader)
    }

    /// Validates the row pointers, unless that was done.
    pub(super) fn check(&mut self) -> Result<(), StorageError> {
        if self.most_per_tile.is_none() {
            self.most_per_tile = Some(self.pointers.check(self.entries)?);
        }
        Ok(())
    }

    pub(super) fn shape(&self) -> (usize, usize) {
        (self.pointers.rows(), self.genes)
    }

    pub(super) fn form(&self) -> Form {
        let most_per_tile = self.most_per_tile.unwrap_or(usize::try_from(self.entries).unwrap_or(usize::MAX));
        Form::Sparse { entries: self.entries, most_per_tile }
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        self.resident
    }

    pub(super) fn rounding(&self) -> Rounding {
        self.values.rounding()
    }

    pub(super) fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        self.check()?;
        let (indptr, columns, values) = chunk.sparse();
        let pointers = self.pointers.of(rows.clone())?;
        let first = pointers[0];
        indptr.extend(pointers.iter().map(|&p| (p - first) as usize));
        let (first, count) = (first as usize, indptr[rows.len()]);
        let row_of = |at: usize| rows.start + indptr.partition_point(|&p| p <= at) - 1;

        columns.resize(count, 0);
        let outside = self.indices.read(first, columns, self.genes).map_err(|e| self.place.problem("indices", &e))?;
        if let Some((at, column)) = outside {
            return Err(StorageError::ColumnOutOfRange {
                path: self.place.path.clone(),
                dataset: self.place.dataset.clone(),
                row: row_of(at) as u64,
                column,
                columns: self.genes as u64,
            });
        }
        values.resize(count, 0.0);
        self.values.read(&[first], &[count], values).map_err(|fault| match fault {
            Fault::Library(e) => self.place.problem("data", &e),
            Fault::Value { at, value } => self.place.value(row_of(at), columns[at] as usize, value),
        })
    }
}

/// Opens a one-dimensional part of the matrix with the chunk cache for reading it in order.
fn open_list(group: &Group, name: &str, place: &Place) -> Result<(Dataset, ChunkNeed), StorageError> {
    let plain = group.dataset(name).map_err(|e| place.problem(name, &e))?;
    if plain.ndim() != 1 {
        return Err(place.invalid(name, format!("has shape {:?}, expected a list", plain.shape()), DAMAGED));
    }
    let need = ChunkNeed::of(&plain);
    // Closed first: a dataset that is opened twice shares its first chunk cache.
    drop(plain);
    let dataset = raw::open_dataset(group, name, need).map_err(|e| place.problem(name, &e))?;
    Ok((dataset, need))
}

/// The dataset `indices`.
struct Indices {
    dataset: Dataset,
    number: NumberType,
    scratch: Vec<u64>,
}

impl Indices {
    /// Reads columns from `first` on. Returns the position and value of the first that is not below
    /// `genes`.
    fn read(&mut self, first: usize, out: &mut [u32], genes: usize) -> hdf5::Result<Option<(usize, i128)>> {
        let limit = genes as u64;
        if matches!(self.number.scalar, Scalar::I32 | Scalar::U32) {
            raw::read(&self.dataset, &self.number.memory, &[first], &[out.len()], out)?;
            let signed = self.number.scalar == Scalar::I32;
            // A negative i32 is beyond any number of genes as u32.
            let at = out.iter().position(|&column| u64::from(column) >= limit || (signed && column > i32::MAX as u32));
            return Ok(at.map(|at| (at, if signed { i128::from(out[at] as i32) } else { i128::from(out[at]) })));
        }
        let mut done = 0;
        for piece in out.chunks_mut(PIECE) {
            let outside = with_scalar!(self.number.scalar, T => {
                self.scratch.resize(bytes_of::<T>(piece.len()).div_ceil(8), 0);
                let read = &mut bytemuck::cast_slice_mut::<u64, T>(&mut self.scratch)[..piece.len()];
                raw::read(&self.dataset, &self.number.memory, &[first + done], &[piece.len()], read)?;
                let mut outside = None;
                for (at, (&column, slot)) in read.iter().zip(piece.iter_mut()).enumerate() {
                    let wide = column.whole();
                    if wide < 0 || wide >= i128::from(limit) {
                        outside = Some((done + at, wide));
                        break;
                    }
                    *slot = wide as u32;
                }
                outside
            });
            if outside.is_some() {
                return Ok(outside);
            }
            done += piece.len();
        }
        Ok(None)
    }
}
