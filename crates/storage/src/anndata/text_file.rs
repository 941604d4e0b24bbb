//! A table as text that appears whole or not at all.

use std::fs::File;
use std::io::{BufWriter, ErrorKind};
use std::path::Path;

use super::part::Part;
use crate::{Overwrite, StorageError};

/// How the values of a row are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// By commas.
    Csv,
    /// By tabs.
    Tsv,
}

/// What `write` writes, at `dest`: whole or not at all. The caller has looked at what `dest` replaces.
pub(super) fn written(
    dest: &Path,
    kind: Kind,
    overwrite: Overwrite,
    write: impl FnOnce(&mut TextFile<'_>) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let part = Part::claim(dest)?;
    let file = File::create(part.path()).map_err(|e| StorageError::io("create", dest, e))?;
    let delimiter = if kind == Kind::Csv { b',' } else { b'\t' };
    let writer = csv::WriterBuilder::new().delimiter(delimiter).has_headers(false).from_writer(BufWriter::new(file));
    let mut text = TextFile { writer, dest };
    write(&mut text)?;
    let file = text.writer.into_inner().map_err(|e| StorageError::io("write", dest, e.into_error()));
    let file = file?.into_inner().map_err(|e| StorageError::io("write", dest, e.into_error()))?;
    file.sync_all().map_err(|e| StorageError::io("write", dest, e))?;
    part.place(dest, overwrite == Overwrite::Replace).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => StorageError::Exists { path: dest.into() },
        _ => StorageError::io("create", dest, error),
    })
}

/// A file of text that is being written.
pub(super) struct TextFile<'d> {
    writer: csv::Writer<BufWriter<File>>,
    dest: &'d Path,
}

impl TextFile<'_> {
    /// Writes a whole row.
    pub(super) fn row(&mut self, row: impl serde::Serialize) -> Result<(), StorageError> {
        let written = self.writer.serialize(row);
        written.map_err(|error| self.problem(error))
    }

    /// Writes the next value of a row that is too long for the memory. [`end`](Self::end) ends it.
    pub(super) fn field(&mut self, value: &str) -> Result<(), StorageError> {
        let written = self.writer.write_field(value);
        written.map_err(|error| self.problem(error))
    }

    /// Ends a row that was written by its values.
    pub(super) fn end(&mut self) -> Result<(), StorageError> {
        let written = self.writer.write_record(None::<&[u8]>);
        written.map_err(|error| self.problem(error))
    }

    fn problem(&self, error: csv::Error) -> StorageError {
        match error.into_kind() {
            csv::ErrorKind::Io(error) => StorageError::io("write", self.dest, error),
            other => StorageError::io("write", self.dest, std::io::Error::other(format!("{other:?}"))),
        }
    }
}
