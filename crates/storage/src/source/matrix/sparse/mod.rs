//! Reads compressed rows: `data`, `indices`, `indptr`. A row is a cell or, by genes, a gene.

mod indices;
mod kept;

use std::ops::Range;

use self::indices::{Indices, PIECE};
use self::kept::Kept;
use super::numbers::{Numbers, ReadAhead, len};
use super::pointers::RowPointers;
use super::values::{Fault, Values};
use super::{DAMAGED, Place};
use crate::number::Scalar;
use crate::source::{Entries, Rounding, RowChunk};
use crate::{Axis, StorageError};

/// Bytes of chunks that are read to open a file, with any budget. Row pointers in larger ones are
/// checked when a budget is known.
const AT_ONCE: u64 = 16 << 20;

/// The three lists of a matrix in compressed rows.
pub(in crate::source) struct Parts {
    /// Where each row begins, and the number of entries.
    pub(in crate::source) indptr: Box<dyn Numbers>,
    /// The column of each entry.
    pub(in crate::source) indices: Box<dyn Numbers>,
    /// The value of each entry.
    pub(in crate::source) data: Box<dyn Numbers>,
}

/// A matrix in compressed rows.
pub(super) struct SparseReader {
    place: Place,
    pointers: RowPointers,
    indices: Indices,
    values: Values,
    /// What the rows are.
    by: Axis,
    columns: usize,
    entries: u64,
    /// The columns that are read; all without it.
    kept: Option<Kept>,
    /// The most entries of a tile, once the row pointers are checked.
    most_per_tile: Option<usize>,
    resident: u64,
    /// The next entry to be read in order, and its row.
    next: (u64, usize),
    /// Columns and values, unpacked ahead.
    ahead: Option<Ahead>,
}

/// The lists of columns and of values.
type Ahead = (Box<dyn ReadAhead<u32>>, Box<dyn ReadAhead<f32>>);

impl SparseReader {
    /// Validates lengths and row pointers. `shape` is cells and genes.
    pub(super) fn open(
        parts: Parts,
        shape: Option<(usize, usize)>,
        by: Axis,
        place: Place,
    ) -> Result<SparseReader, StorageError> {
        let Parts { indptr, indices, data } = parts;
        let pointers = RowPointers::of_list(indptr, place.clone())?;
        let Some((cells, genes)) = shape else {
            return Err(place.invalid(
                "",
                "has no shape, expected the attribute \"shape\"".into(),
                "save it again with anndata",
            ));
        };
        let (rows, columns) = if by == Axis::Cells { (cells, genes) } else { (genes, cells) };
        if columns > u32::MAX as usize {
            return Err(place.invalid(
                "",
                format!("is {cells} cells × {genes} genes, which is not supported"),
                DAMAGED,
            ));
        }
        if pointers.rows() != rows {
            let problem = format!("has {} row pointers, expected {} for {rows} {by}", pointers.rows() + 1, rows + 1);
            return Err(place.invalid("indptr", problem, DAMAGED));
        }
        for (part, list) in [("data", &data), ("indices", &indices)] {
            if list.shape().len() != 1 {
                return Err(place.invalid(part, format!("has shape {:?}, expected a list", list.shape()), DAMAGED));
            }
        }
        let entries = len(&*data);
        if len(&*indices) != entries {
            let problem = format!("has {} entries, but data has {entries}", len(&*indices));
            return Err(place.invalid("indices", problem, DAMAGED));
        }
        if matches!(indices.scalar(), Scalar::F32 | Scalar::F64) {
            return Err(place.invalid("indices", "holds floats, expected integers".into(), DAMAGED));
        }
        let (indices, values) = (Indices::of(indices), Values::of(data));
        let lists = [pointers.resident_bytes(), values.resident_bytes(1), indices.resident_bytes()];
        let resident = lists.into_iter().fold(0, u64::saturating_add);
        let entries = entries as u64;
        let mut reader = SparseReader {
            place,
            pointers,
            indices,
            values,
            by,
            columns,
            entries,
            kept: None,
            most_per_tile: None,
            resident,
            next: (0, 0),
            ahead: None,
        };
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

    /// Rows and columns.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.pointers.rows(), self.kept.as_ref().map_or(self.columns, Kept::columns))
    }

    /// Stored entries; an upper bound before [`prepare`](Self::prepare).
    pub(super) fn entries(&self) -> u64 {
        self.counted().map_or(self.entries, |counted| counted.entries)
    }

    /// The most entries in rows `256·t .. 256·(t + 1)`; an upper bound before [`prepare`](Self::prepare).
    pub(super) fn most_per_tile(&self) -> usize {
        let all = self.most_per_tile.unwrap_or(usize::try_from(self.entries).unwrap_or(usize::MAX));
        self.counted().map_or(all, |counted| counted.most_per_tile)
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        let ahead =
            self.ahead.as_ref().map_or(0, |(columns, values)| columns.resident_bytes() + values.resident_bytes());
        self.resident + ahead + self.kept.as_ref().map_or(0, Kept::resident_bytes)
    }

    pub(super) fn rounding(&self) -> Rounding {
        let mut rounding = self.values.rounding();
        if let Some((_, values)) = &self.ahead
            && values.rounding().count > 0
        {
            rounding.add(values.rounding());
        }
        rounding
    }

    /// Reads columns and values ahead from now on, on `threads` threads and in at most `memory` bytes
    /// more, where that is possible.
    pub(super) fn read_ahead(&mut self, threads: usize, memory: u64) {
        if let Some((_, values)) = self.ahead.take() {
            self.values.add_rounding(values.rounding());
        }
        let columns = self.indices.ahead(self.columns, threads, memory / 2);
        self.ahead = columns.zip(self.values.ahead(threads, memory / 2));
    }

    pub(super) fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        self.check()?;
        let (indptr, columns, values) = chunk.sparse();
        let pointers = self.pointers.of(rows.clone())?;
        let first = pointers[0];
        indptr.extend(pointers.iter().map(|&p| (p - first) as usize));
        let count = indptr[rows.len()];
        let row_of = |at: usize| rows.start + indptr.partition_point(|&p| p <= at) - 1;
        columns.resize(count, 0);
        values.resize(count, 0.0);
        if let Err(fault) = self.read_span(first, columns, values) {
            return Err(self.error(fault, columns, row_of));
        }
        if let Some(kept) = &self.kept {
            kept.subset().filter(indptr, columns, values);
        }
        Ok(())
    }

    /// Reads the next entries in order.
    pub(super) fn read_entries(&mut self, most: usize, entries: &mut Entries) -> Result<(), StorageError> {
        // After an error, reading begins again.
        let (first, mut row) = std::mem::take(&mut self.next);
        self.check()?;
        entries.clear();
        let count = usize::try_from(self.entries - first).unwrap_or(usize::MAX).min(most);
        if count == 0 {
            return Ok(());
        }
        let Entries { cells: columns, genes: rows, values } = entries;
        while rows.len() < count {
            let end = self.pointers.of(row..row + 1)?[1];
            let here = usize::try_from(end.saturating_sub(first)).unwrap_or(usize::MAX).min(count);
            rows.resize(here.max(rows.len()), row as u32);
            if here < count {
                row += 1;
            }
        }
        columns.resize(count, 0);
        values.resize(count, 0.0);
        if let Err(fault) = self.read_span(first, columns, values) {
            return Err(self.error(fault, columns, |at| rows[at] as usize));
        }
        self.next = (first + count as u64, row);
        Ok(())
    }

    /// Reads consecutive entries from `first` on.
    fn read_span(&mut self, first: u64, columns: &mut [u32], values: &mut [f32]) -> Result<(), SpanFault> {
        let first = first as usize;
        if let Some((ahead_columns, ahead_values)) = &mut self.ahead
            && ahead_columns.read(first, columns)
            && ahead_values.read(first, values)
        {
            return Ok(());
        }
        if let Some((at, column)) = self.indices.read(first, columns, self.columns).map_err(SpanFault::Indices)? {
            return Err(SpanFault::Column { at, column });
        }
        self.values.read(&[first], &[values.len()], values).map_err(SpanFault::Values)
    }

    /// The error of a span of `columns`, whose rows are `row_of` positions in it.
    fn error(&self, fault: SpanFault, columns: &[u32], row_of: impl Fn(usize) -> usize) -> StorageError {
        let place = &self.place;
        match (fault, self.by) {
            (SpanFault::Indices(error) | SpanFault::Values(Fault::Read(error)), _) => error,
            (SpanFault::Values(Fault::Value { at, value }), Axis::Cells) => {
                place.value(row_of(at), columns[at] as usize, value)
            }
            (SpanFault::Values(Fault::Value { at, value }), Axis::Genes) => {
                place.value(columns[at] as usize, row_of(at), value)
            }
            (SpanFault::Column { at, column }, Axis::Cells) => StorageError::ColumnOutOfRange {
                path: place.path.clone(),
                dataset: place.dataset.clone(),
                row: row_of(at) as u64,
                column,
                columns: self.columns as u64,
            },
            (SpanFault::Column { at, column }, Axis::Genes) => {
                let (gene, cells) = (row_of(at), self.columns);
                let problem = format!("has an entry of gene {gene} in cell {column}, but only {cells} cells");
                place.invalid("", problem, DAMAGED)
            }
        }
    }
}

/// The reason why entries cannot be read.
enum SpanFault {
    /// The columns cannot be read.
    Indices(StorageError),
    /// The column at this position does not exist.
    Column { at: usize, column: i128 },
    /// The values.
    Values(Fault),
}
