//! Writes the names of cells and genes and the columns of `obs` and `var` in current encodings.
//!
//! | file      | question                                                              |
//! |-----------|-----------------------------------------------------------------------|
//! | `frame`   | how is a table copied that is a group of columns (anndata since 0.7)? |
//! | `records` | how is one copied that is a list of records (anndata before 0.7)?     |
//! | `column`  | how is a column of any version written in a current encoding?         |
//! | `list`    | can anndata read a list again, and how is it copied?                  |
//! | `shown`   | how are names shown that are stored as numbers?                       |

mod column;
mod frame;
mod list;
mod records;
mod shown;

use std::path::{Path, PathBuf};

use hdf5::{Dataset, File, Group};

use super::Place;
use crate::anndata::{AnnDataWriter, FrameWriter};
use crate::hdf::cache::ChunkNeed;
use crate::hdf::problem::problem;
use crate::monitor::Warning;
use crate::store::Overwrite;
use crate::{Axis, Monitor, StorageError};

/// The annotations of one file.
pub(super) struct Annotations {
    path: PathBuf,
    file: File,
    obs: Table,
    var: Table,
}

/// The table of the names and columns of one axis.
struct Table {
    axis: Axis,
    /// `obs`, `var`, `raw/var`.
    name: &'static str,
    kind: Kind,
}

enum Kind {
    /// The file has none.
    Absent,
    /// A group with a dataset or group for each column.
    Frame(Group),
    /// A dataset of records. Their first field is the name.
    Records(Dataset),
}

impl Annotations {
    /// Finds the tables. With `raw`, the genes are those of the raw matrix.
    pub(super) fn locate(file: &File, path: &Path, raw: bool) -> Annotations {
        let var: &[&'static str] = if raw { &["raw/var", "raw.var"] } else { &["var"] };
        Annotations {
            path: path.into(),
            file: file.clone(),
            obs: Table::locate(file, Axis::Cells, &["obs"]),
            var: Table::locate(file, Axis::Genes, var),
        }
    }

    /// The number of names of cells and of genes, if both are known.
    pub(super) fn lens(&self) -> Option<(usize, usize)> {
        Some((self.obs.len()?, self.var.len()?))
    }

    /// The most bytes in memory for chunks of one column while it is copied, beyond those of small
    /// chunks.
    pub(super) fn resident_bytes(&self) -> u64 {
        let largest = self.obs.largest_chunk().max(self.var.largest_chunk());
        if largest <= SMALL_CHUNKS { 0 } else { largest }
    }

    /// Checks that there are as many names as rows and columns.
    pub(super) fn check_lens(&self, (cells, genes): (usize, usize), place: &Place) -> Result<(), StorageError> {
        for (table, expected, what) in [(&self.obs, cells, "cells"), (&self.var, genes, "genes")] {
            if let Some(found) = table.len().filter(|&found| found != expected) {
                let problem = format!("has {expected} {what}, but {} names {found}", table.name);
                return Err(place.invalid(
                    "",
                    problem,
                    "matrix and names do not belong together; create the file again",
                ));
            }
        }
        Ok(())
    }

    /// Writes them as an AnnData file without a matrix.
    pub(super) fn write(
        &self,
        dest: &Path,
        (cells, genes): (usize, usize),
        monitor: &dyn Monitor,
    ) -> Result<(), StorageError> {
        let mut writer = AnnDataWriter::create(dest, Overwrite::Replace)?;
        for (table, rows) in [(&self.obs, cells), (&self.var, genes)] {
            let mut frame = writer.dataframe(table.axis, rows)?;
            let folder = dest.parent().unwrap_or(Path::new("."));
            let copy = Copy { path: &self.path, table: table.name, rows, folder, monitor };
            match &table.kind {
                Kind::Absent => copy.number(table.axis, &mut frame)?,
                Kind::Frame(group) => frame::copy(group, &copy, table.axis, &mut frame)?,
                Kind::Records(records) => {
                    // Old files store the categories in `uns`, for the tables of the main matrix
                    // only.
                    let uns = self.file.group("uns").ok().filter(|_| !table.name.starts_with("raw"));
                    records::copy(records, uns.as_ref(), &copy, &mut frame)?;
                }
            }
            frame.finish()?;
        }
        writer.finish()
    }
}

/// Bytes of chunks that the memory for names and columns always has room for.
const SMALL_CHUNKS: u64 = 2 << 20;

impl Table {
    /// The most bytes for chunks of one list of the table.
    fn largest_chunk(&self) -> u64 {
        match &self.kind {
            Kind::Absent => 0,
            Kind::Frame(group) => frame::largest_chunk(group, true),
            Kind::Records(records) => ChunkNeed::of(records).resident,
        }
    }

    fn locate(file: &File, axis: Axis, names: &[&'static str]) -> Table {
        let found = names.iter().find_map(|&name| {
            let group = file.group(name).ok().map(Kind::Frame);
            group.or_else(|| file.dataset(name).ok().map(Kind::Records)).map(|kind| (name, kind))
        });
        let (name, kind) = found.unwrap_or((names[0], Kind::Absent));
        Table { axis, name, kind }
    }

    /// The number of names, if it is known.
    fn len(&self) -> Option<usize> {
        match &self.kind {
            Kind::Absent => None,
            Kind::Frame(group) => frame::len(group),
            Kind::Records(records) => Some(records.size()),
        }
    }
}

/// The context of copying a table.
struct Copy<'a> {
    path: &'a Path,
    table: &'a str,
    rows: usize,
    /// For temporary files.
    folder: &'a Path,
    monitor: &'a dyn Monitor,
}

impl Copy<'_> {
    /// Names the rows 0, 1, 2, … as anndata does.
    fn number(&self, axis: Axis, frame: &mut FrameWriter) -> Result<(), StorageError> {
        self.monitor.warn(&Warning::MissingNames { axis });
        frame.names((0..self.rows).map(|row| row.to_string()))
    }

    /// Returns an error if the monitor cancels.
    fn go_on(&self) -> Result<(), StorageError> {
        if self.monitor.cancelled() { Err(StorageError::Cancelled) } else { Ok(()) }
    }

    /// Warns that `column` is skipped, with the reason.
    fn skip(&self, column: &str, reason: impl Into<String>) {
        let dataset = format!("{}/{column}", self.table);
        self.monitor.warn(&Warning::SkippedAnnotation { dataset, reason: reason.into() });
    }

    /// An error of the library while copying `column`.
    fn problem(&self, column: &str, error: &hdf5::Error) -> StorageError {
        problem("copy", self.path, &format!("{}/{column}", self.table), error)
    }

    /// The error of names in `column` that cannot be copied.
    fn unusable(&self, column: &str, reason: &str) -> StorageError {
        StorageError::InvalidDataset {
            path: self.path.into(),
            dataset: format!("{}/{column}", self.table),
            problem: format!("holds the names and is unusable: {reason}"),
            remedy: "save the file again with anndata".into(),
        }
    }

    /// Handles an error of copying `column`: a failing disk ends the work, an unreadable column is
    /// skipped.
    fn fault(&self, column: &str, error: &hdf5::Error) -> Result<(), StorageError> {
        match self.problem(column, error) {
            StorageError::Hdf5 { message, .. } => {
                self.skip(column, message);
                Ok(())
            }
            StorageError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                self.skip(column, "its values lie in a file that is missing");
                Ok(())
            }
            other => Err(other),
        }
    }
}
