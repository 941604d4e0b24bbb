//! Writes names and columns as an AnnData file.
//!
//! The tables go into an HDF5 file first, with the same groups and lists. That file is then copied
//! as the tables of any `.h5ad` are: the checks of columns, and their current encodings, are in one
//! place for both formats.
//!
//! | file      | question                                                                 |
//! |-----------|--------------------------------------------------------------------------|
//! | `column`  | how is a column copied that is a list or several (anndata since 0.7)?    |
//! | `records` | how are columns copied that are parts of records (anndata before 0.7)?   |
//! | `numbers` | how is a list of numbers written?                                        |

mod column;
mod numbers;
mod records;

use std::path::{Path, PathBuf};

use super::array::Array;
use super::element::Element;
use super::node::{Kind, Node, Store};
use super::tables::{Table, Tables, index_name};
use crate::anndata::{AnnDataWriter, FrameWriter, frame_name};
use crate::error::ErrorKind;
use crate::hdf::problem::problem;
use crate::hdf::{self, attribute};
use crate::monitor::Warning;
use crate::source::annotations;
use crate::store::Overwrite;
use crate::{Axis, Monitor, StorageError};

/// A column was copied, or left out for this reason.
type Copied = Result<Option<String>, StorageError>;

/// Writes the table of `axis`.
pub(super) fn write(
    tables: &Tables,
    axis: Axis,
    frame: &mut FrameWriter,
    monitor: &dyn Monitor,
) -> Result<(), StorageError> {
    let table = if axis == Axis::Cells { &tables.cells } else { &tables.genes };
    let name = frame_name(axis);
    let transcript = Transcript(frame.scratch("tables"));
    let mut writer = AnnDataWriter::create(&transcript.0, Overwrite::Replace)?;
    let mut copied = writer.dataframe(axis, frame.rows())?;
    let copy = Copy { tables, table: table.name, rows: frame.rows(), dest: &transcript.0, monitor };
    copy.table(table, &mut copied)?;
    copied.finish()?;
    writer.finish()?;
    let file = hdf::file::open(&transcript.0)?;
    let table = annotations::Table::of_anndata(axis, &file, "", name, None);
    let table = table.unwrap_or_else(|| annotations::Table::absent(axis));
    table.write(tables.store.path(), frame, monitor)
}

/// The HDF5 file between store and result, removed in the end.
struct Transcript(PathBuf);

impl Drop for Transcript {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The context of copying a table.
struct Copy<'a> {
    tables: &'a Tables,
    table: &'a str,
    rows: usize,
    dest: &'a Path,
    monitor: &'a dyn Monitor,
}

impl Copy<'_> {
    fn store(&self) -> &Store {
        &self.tables.store
    }

    fn table(&self, table: &Table, frame: &mut FrameWriter) -> Result<(), StorageError> {
        let Some(node) = &table.node else { return Ok(()) };
        match &node.kind {
            Kind::Group => self.frame(node, frame),
            Kind::Array(Ok(Array { element: Element::Record(fields, _), .. })) => self.records(fields, frame),
            Kind::Array(Ok(_)) => Err(self.store().invalid(self.table, "is an array, expected a table".into())),
            Kind::Array(Err(problem)) => Err(self.store().invalid(self.table, problem.clone())),
        }
    }

    /// Copies a table that is a group of columns: anndata since 0.7.
    fn frame(&self, group: &Node, frame: &mut FrameWriter) -> Result<(), StorageError> {
        let index = index_name(self.store(), self.table, group)?;
        if let Some(index) = &index {
            if let Some(reason) = self.column(index, frame.group())? {
                return Err(self
                    .store()
                    .invalid(&format!("{}/{index}", self.table), format!("cannot be used: {reason}")));
            }
            attribute::set_text(frame.group(), "_index", index).map_err(|e| self.problem(index, &e))?;
        }
        let order = group.attributes.get("column-order").and_then(|order| {
            order.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        let columns = order.unwrap_or_else(|| {
            let mut names = self.store().container().children(self.table);
            names.retain(|name| {
                !name.starts_with('.') && name != "zarr.json" && name != "__categories" && Some(name) != index.as_ref()
            });
            names
        });
        for name in columns {
            if frame.group().link_exists(&name) {
                // The copy of this file refuses a name that is there twice.
                frame.announce(&name);
                continue;
            }
            let copied = self.column(&name, frame.group());
            self.settle(&name, copied, frame)?;
        }
        Ok(())
    }

    /// Announces a column that was copied, and warns of one that was not.
    fn settle(&self, name: &str, copied: Copied, frame: &mut FrameWriter) -> Result<(), StorageError> {
        if self.monitor.cancelled() {
            return Err(StorageError::Cancelled);
        }
        let reason = match copied {
            Ok(None) => {
                frame.announce(name);
                return Ok(());
            }
            Ok(Some(reason)) => reason,
            Err(error) if error.kind() == ErrorKind::BadData => error.to_string(),
            Err(error) => return Err(error),
        };
        if frame.group().link_exists(name) {
            // The order of columns leaves it out, whether this works or not.
            let _ = frame.group().unlink(name);
        }
        self.monitor.warn(&Warning::SkippedAnnotation { dataset: format!("{}/{name}", self.table), reason });
        Ok(())
    }

    /// An error of the HDF5 library while writing `column`.
    fn problem(&self, column: &str, error: &hdf5::Error) -> StorageError {
        problem("write", self.dest, &format!("{}/{column}", self.table), error)
    }
}
