//! A file of several while its rows are read, with the columns of the whole matrix.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::genes::NONE;
use crate::StorageError;
use crate::convert::{Gather, Place, gather, sparse_rows};
use crate::source::{Form, Rounding, RowChunk, Source};

/// Memory for entries that are put into rows.
pub(super) const TRANSPOSING: u64 = 8 << 20;

/// Values of a table read at a time.
const PIECE: usize = 1 << 17;

/// An open file.
pub(super) struct Member {
    pub(super) at: usize,
    source: Box<dyn Source>,
    /// Its rows, if it is read by entries.
    rows: Option<Gather>,
    columns: Arc<[u32]>,
    /// Whether these are the genes of the matrix, in their order.
    alike: bool,
    /// Rows as the file has them.
    chunk: RowChunk,
    dense: RowChunk,
}

impl Member {
    /// The file `at`, opened as `source`, with the columns of its genes. Entries are put into rows now, in a temporary file in `folder`.
    pub(super) fn new(
        at: usize,
        mut source: Box<dyn Source>,
        columns: Arc<[u32]>,
        (threads, memory): (usize, u64),
        folder: &Path,
    ) -> Result<Self, StorageError> {
        source.prepare()?;
        source.read_ahead(threads, memory);
        let rows = match source.form() {
            Form::Entries { .. } => {
                let rows = gather(source.as_mut(), folder, (threads, TRANSPOSING))?;
                source.read_ahead(1, 0);
                Some(rows)
            }
            _ => None,
        };
        let (chunk, dense) = (RowChunk::default(), RowChunk::default());
        let alike = columns.iter().enumerate().all(|(gene, &column)| gene == column as usize);
        Ok(Member { at, source, rows, columns, alike, chunk, dense })
    }

    /// Values rounded so far.
    pub(super) fn rounding(&self) -> Rounding {
        self.source.rounding()
    }

    /// Adds the rows `rows` of the file to `out`, which is sparse and holds the rows before them.
    pub(super) fn add_sparse(&mut self, rows: Range<usize>, out: &mut RowChunk) -> Result<(), StorageError> {
        let place = Place::of(self.source.as_ref(), self.columns.len());
        match (&mut self.rows, self.source.form()) {
            (Some(gathered), _) => gathered.read_rows(rows.clone(), &mut self.chunk)?,
            (None, Form::Dense) => {
                let genes = self.columns.len();
                let source = self.source.as_mut();
                sparse_rows(source, &place, genes, rows.clone(), &mut self.dense, &mut self.chunk)?;
            }
            (None, form) => {
                self.source.read_rows(rows.clone(), &mut self.chunk)?;
                place.check_lengths(&self.chunk, form, &rows)?;
            }
        }
        let (RowChunk::Sparse { indptr, indices, values }, RowChunk::Sparse { indptr: ends, indices: to, values: put }) =
            (&self.chunk, out)
        else {
            unreachable!("rows were read into sparse chunks")
        };
        if self.alike && indices.iter().fold(true, |inside, &gene| inside & ((gene as usize) < self.columns.len())) {
            let before = to.len();
            to.extend_from_slice(indices);
            put.extend_from_slice(values);
            ends.extend(indptr[1..].iter().map(|end| before + end));
            return Ok(());
        }
        for (row, pair) in indptr.windows(2).enumerate() {
            for at in pair[0]..pair[1] {
                let Some(&column) = self.columns.get(indices[at] as usize) else {
                    return Err(place.column(rows.start + row, indices[at]));
                };
                if column != NONE {
                    to.push(column);
                    put.push(values[at]);
                }
            }
            ends.push(to.len());
        }
        Ok(())
    }

    /// Adds the rows `rows` of a table to `out`, rows of `genes` values.
    pub(super) fn add_dense(
        &mut self,
        rows: Range<usize>,
        genes: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), StorageError> {
        let own = self.columns.len();
        let step = (PIECE / own.max(1)).max(1);
        for first in rows.clone().step_by(step) {
            let piece = first..rows.end.min(first + step);
            self.source.read_rows(piece.clone(), &mut self.dense)?;
            Place::of(self.source.as_ref(), own).check_lengths(&self.dense, Form::Dense, &piece)?;
            let RowChunk::Dense { values } = &self.dense else { continue };
            for row in values.chunks_exact(own) {
                let start = out.len();
                out.resize(start + genes, 0.0);
                for (&value, &column) in row.iter().zip(&*self.columns) {
                    if column != NONE {
                        out[start + column as usize] = value;
                    }
                }
            }
        }
        Ok(())
    }
}
