//! A matrix with its tables of names and columns, as a source: the same for all formats whose matrices are
//! lists or tables of numbers.

use std::ops::Range;
use std::path::Path;

use super::{Matrix, Place};
use crate::Matrices;
use crate::StorageError;
use crate::source::{Entries, Form, Rounding, RowChunk, Source, SourceStamp};
#[cfg(feature = "hdf5")]
use crate::{Axis, FrameWriter, Monitor};

/// The tables of a format, and what has to stay open for them and for the matrix.
pub(in crate::source) trait Tables: Send {
    /// Bytes that are in memory while rows are read, beyond those of the matrix.
    fn resident_bytes(&self) -> u64 {
        0
    }

    /// As [`Source::annotation_bytes`].
    fn annotation_bytes(&self) -> u64;

    /// As [`Source::gene_ids`].
    fn gene_ids(&self) -> Option<&'static str> {
        None
    }

    /// As [`Source::write_table`].
    #[cfg(feature = "hdf5")]
    fn write(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError>;

    /// As [`Source::texts`].
    #[cfg(feature = "hdf5")]
    fn texts(&self, axis: Axis, column: Option<&str>) -> Option<Vec<String>> {
        let _ = (axis, column);
        None
    }
}

/// A matrix with its tables.
pub(in crate::source) struct MatrixSource<T> {
    pub(in crate::source) place: Place,
    pub(in crate::source) matrix: Matrix,
    /// Behind the matrix, so that files are closed last.
    pub(in crate::source) tables: T,
    pub(in crate::source) stamp: SourceStamp,
}

impl<T: Tables> Source for MatrixSource<T> {
    fn path(&self) -> &Path {
        &self.place.path
    }

    fn dataset(&self) -> &str {
        &self.place.dataset
    }

    fn cells(&self) -> usize {
        self.matrix.shape().0
    }

    fn genes(&self) -> usize {
        self.matrix.shape().1
    }

    fn form(&self) -> Form {
        self.matrix.form()
    }

    fn resident_bytes(&self) -> u64 {
        self.matrix.resident_bytes().saturating_add(self.tables.resident_bytes())
    }

    fn annotation_bytes(&self) -> u64 {
        self.tables.annotation_bytes()
    }

    fn prepare(&mut self) -> Result<(), StorageError> {
        self.matrix.prepare()
    }

    fn read_ahead(&mut self, threads: usize, memory: u64) {
        self.matrix.read_ahead(threads, memory);
    }

    fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        self.matrix.read_rows(rows, chunk)
    }

    fn read_entries(&mut self, most: usize, entries: &mut Entries) -> Result<(), StorageError> {
        self.matrix.read_entries(most, entries)
    }

    fn other_matrices(&self) -> Matrices {
        self.place.others.clone()
    }

    fn gene_ids(&self) -> Option<&'static str> {
        self.tables.gene_ids()
    }

    fn rounding(&self) -> Rounding {
        self.matrix.rounding()
    }

    #[cfg(feature = "hdf5")]
    fn write_table(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        self.tables.write(axis, table, monitor)
    }

    #[cfg(feature = "hdf5")]
    fn texts(&self, axis: Axis, column: Option<&str>) -> Option<Vec<String>> {
        self.tables.texts(axis, column)
    }

    fn stamp(&self) -> SourceStamp {
        self.stamp.clone()
    }
}
