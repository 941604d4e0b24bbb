//! Writes the names of cells and genes and the columns of `obs` and `var` in current encodings,
//! whichever format based on HDF5 has them.
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

use hdf5::{Dataset, Group};

use self::list::List;
use super::matrix::Place;
use crate::anndata::FrameWriter;
use crate::hdf::cache::ChunkNeed;
use crate::hdf::problem::problem;
use crate::hdf::text::TextColumn;
use crate::monitor::Warning;
use crate::source::numbered;
use crate::{Axis, Monitor, StorageError};

/// The annotations of one matrix.
pub(super) struct Annotations {
    path: PathBuf,
    obs: Table,
    var: Table,
}

/// The table of the names and columns of one axis.
pub(crate) struct Table {
    axis: Axis,
    /// Its place in the file: `obs`, `mod/rna/raw/var`, `col_attrs`.
    name: String,
    kind: Kind,
}

enum Kind {
    /// The file has none.
    Absent,
    /// A group with a dataset or group for each column.
    Frame {
        group: Group,
        /// The member that holds the names.
        index: Option<String>,
    },
    /// A dataset of records. Their first field is the name.
    Records {
        records: Dataset,
        /// The group of the categories of columns.
        categories: Option<Group>,
    },
}

impl Annotations {
    /// The tables of the matrix of the file at `path`.
    pub(super) fn new(path: &Path, obs: Table, var: Table) -> Annotations {
        Annotations { path: path.into(), obs, var }
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

    /// The texts of a plain column, or the names; `None` for other encodings, and where something is wrong
    /// with them.
    pub(super) fn texts(&self, axis: Axis, column: Option<&str>) -> Option<Vec<String>> {
        let table = if axis == Axis::Cells { &self.obs } else { &self.var };
        let Kind::Frame { group, index } = &table.kind else { return None };
        let name = column.or(index.as_deref())?;
        group.dataset(name).ok()?;
        let list = List::open(group, name).ok()?.ok()?;
        let texts = TextColumn::of(list.dataset(), None).ok()??;
        let mut all = Vec::with_capacity(texts.len());
        texts.visit_all(|text| all.push(String::from_utf8_lossy(text).into_owned())).ok()?;
        Some(all)
    }

    /// Writes the table of `axis`.
    pub(super) fn write(&self, axis: Axis, frame: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        let table = if axis == Axis::Cells { &self.obs } else { &self.var };
        table.write(&self.path, frame, monitor)
    }
}

/// Bytes of chunks that the memory for names and columns always has room for.
const SMALL_CHUNKS: u64 = 2 << 20;

impl Table {
    /// No table: rows are called 0, 1, 2, …
    pub(crate) fn absent(axis: Axis) -> Table {
        Table { axis, name: String::new(), kind: Kind::Absent }
    }

    /// The table of AnnData at `name` in `parent`, which is at `prefix` in the file (empty, or with
    /// a slash at its end). `categories` is the group of the categories of records.
    pub(crate) fn of_anndata(
        axis: Axis,
        parent: &Group,
        prefix: &str,
        name: &str,
        categories: Option<Group>,
    ) -> Option<Table> {
        let kind = match parent.group(name) {
            Ok(group) => Kind::Frame { index: frame::index_name(&group), group },
            Err(_) => Kind::Records { records: parent.dataset(name).ok()?, categories },
        };
        Some(Table { axis, name: format!("{prefix}{name}"), kind })
    }

    /// The table of the lists in the group `name` of `parent`. The first of `indices` that is there
    /// has the names.
    pub(super) fn of_lists(axis: Axis, parent: &Group, name: &str, indices: &[&str]) -> Table {
        let Ok(group) = parent.group(name) else { return Table::absent(axis) };
        let index = indices.iter().find(|index| group.dataset(index).is_ok()).map(|&index| index.to_owned());
        Table { axis, name: name.to_owned(), kind: Kind::Frame { group, index } }
    }

    /// Writes the table, which is in the file at `path`.
    pub(crate) fn write(
        &self,
        path: &Path,
        frame: &mut FrameWriter,
        monitor: &dyn Monitor,
    ) -> Result<(), StorageError> {
        let folder = frame.folder().to_path_buf();
        let copy = Copy { path, table: &self.name, rows: frame.rows(), folder: &folder, monitor };
        match &self.kind {
            Kind::Absent => numbered::names(self.axis, frame, monitor),
            Kind::Frame { group, index } => frame::copy(group, index.as_deref(), &copy, self.axis, frame),
            Kind::Records { records, categories } => records::copy(records, categories.as_ref(), &copy, frame),
        }
    }

    /// The most bytes for chunks of one list of the table.
    fn largest_chunk(&self) -> u64 {
        match &self.kind {
            Kind::Absent => 0,
            Kind::Frame { group, .. } => frame::largest_chunk(group, true),
            Kind::Records { records, .. } => ChunkNeed::of(records).resident,
        }
    }

    /// The number of names, if it is known.
    fn len(&self) -> Option<usize> {
        match &self.kind {
            Kind::Absent => None,
            Kind::Frame { group, index } => frame::len(group, index.as_deref()?),
            Kind::Records { records, .. } => Some(records.size()),
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
        numbered::names(axis, frame, self.monitor)
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
            remedy: "create the file again, with a list of names".into(),
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
