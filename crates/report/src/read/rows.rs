//! Reads a table row by row, in pieces.

use std::path::Path;

use partwise_storage::StorageError;
use partwise_storage::anndata::Table;

use crate::error::ReportError;

/// Numbers that are read at once, unless one row has more.
const AT_ONCE: usize = 1 << 16;

/// The rows of a table, one after the other.
pub(crate) struct Rows {
    table: Table,
    columns: usize,
    piece: Vec<f32>,
    first: usize,
    next: usize,
}

impl Rows {
    /// Of the first `columns` numbers of each row; all if there are fewer.
    pub(crate) fn new(table: Table, columns: usize) -> Rows {
        let columns = columns.min(table.columns());
        Rows { table, columns, piece: Vec::new(), first: 0, next: 0 }
    }

    /// The next row; `None` after the last one.
    pub(crate) fn next(&mut self) -> Result<Option<&[f32]>, StorageError> {
        if self.next == self.table.rows() {
            return Ok(None);
        }
        if (self.next - self.first) * self.columns == self.piece.len() {
            self.first = self.next;
            let rows = (AT_ONCE / self.columns).max(1).min(self.table.rows() - self.first);
            self.piece.resize(rows * self.columns, 0.0);
            self.table.read(self.first..self.first + rows, self.columns, &mut self.piece)?;
        }
        self.next += 1;
        Ok(Some(&self.piece[(self.next - 1 - self.first) * self.columns..][..self.columns]))
    }
}

/// The whole table, row-major.
pub(crate) fn whole(path: &Path, group: &str, name: &str) -> Result<(Vec<f32>, usize), ReportError> {
    let table = Table::open(path, group, name)?;
    let (columns, mut all) = (table.columns(), Vec::new());
    let mut rows = Rows::new(table, columns);
    while let Some(row) = rows.next()? {
        all.extend_from_slice(row);
    }
    Ok((all, columns))
}
