//! Tables of text (`.csv`, `.tsv`), plain or packed with gzip: a line of gene names, then a line for
//! each cell with its name and its values.
//!
//! | file     | question                                        |
//! |----------|-------------------------------------------------|
//! | `fields` | how is a text split into fields?                |
//! | `table`  | which shape has it, and where is which value?   |

mod fields;
mod table;

use std::ops::Range;
use std::path::Path;

use self::table::{DATASET, Table, Values};
use super::{Entries, Form, Rounding, RowChunk, Source, SourceStamp, stamp};
use crate::StorageError;
use crate::remedy::Choice;
use crate::store::Selection;
#[cfg(feature = "hdf5")]
use crate::{Axis, FrameWriter, Monitor};

/// A table of text, or its transposed one.
struct CsvSource {
    table: Table,
    transposed: bool,
    /// The text from the next value on.
    values: Option<Values>,
    rounding: Rounding,
    stamp: SourceStamp,
}

/// Opens the table, which costs one read of the text.
///
/// # Errors
///
/// - lines have different numbers of fields, or there are no names
pub(super) fn open(path: &Path, selection: &Selection) -> Result<Box<dyn Source>, StorageError> {
    selection.check(path, "a table of text", &[Choice::Transpose])?;
    let (table, stamp) = (Table::scan(path)?, stamp(path, selection)?);
    let transposed = selection.transpose;
    Ok(Box::new(CsvSource { table, transposed, values: None, rounding: Rounding::default(), stamp }))
}

impl Source for CsvSource {
    fn path(&self) -> &Path {
        &self.table.path
    }

    fn dataset(&self) -> &str {
        DATASET
    }

    fn cells(&self) -> usize {
        if self.transposed { self.table.columns } else { self.table.rows }
    }

    fn genes(&self) -> usize {
        if self.transposed { self.table.rows } else { self.table.columns }
    }

    fn form(&self) -> Form {
        match self.transposed {
            true => Form::Entries { at_most: (self.table.rows as u64).saturating_mul(self.table.columns as u64) },
            false => Form::Dense,
        }
    }

    fn resident_bytes(&self) -> u64 {
        fields::RESIDENT
    }

    fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        assert!(rows.start <= rows.end && rows.end <= self.cells(), "rows {rows:?} are inside the matrix");
        assert!(!self.transposed, "{} is read by entries", self.table.path.display());
        let out = chunk.dense();
        // Rows further back are read from the beginning; after an error, too.
        let mut values = match self.values.take().filter(|values| values.row() <= rows.start) {
            Some(values) => values,
            None => self.table.values()?,
        };
        values.skip_to(rows.start)?;
        while values.row() < rows.end {
            let Some((.., value)) = values.next(&mut self.rounding)? else { break };
            out.push(value);
        }
        self.values = Some(values);
        Ok(())
    }

    fn read_entries(&mut self, most: usize, entries: &mut Entries) -> Result<(), StorageError> {
        assert!(self.transposed, "{} is read by rows", self.table.path.display());
        entries.clear();
        let mut values = match self.values.take() {
            Some(values) => values,
            None => self.table.values()?,
        };
        while entries.len() < most {
            let Some((gene, cell, value)) = values.next(&mut self.rounding)? else { break };
            // Zeros are no entries.
            if value != 0.0 {
                entries.push(cell as u32, gene as u32, value);
            }
        }
        // After the last entry, reading begins again.
        self.values = (!entries.is_empty()).then_some(values);
        Ok(())
    }

    fn rounding(&self) -> Rounding {
        self.rounding
    }

    #[cfg(feature = "hdf5")]
    fn write_table(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        let by_row = (axis == Axis::Cells) != self.transposed;
        // The text from the next name on.
        let mut text = if by_row { self.table.values()? } else { self.table.names()? };
        let mut failed = Ok(());
        table.names((0..table.rows()).map(|_| {
            let name = match (&failed, monitor.cancelled()) {
                (Err(_), _) => return String::new(),
                (_, true) => Err(StorageError::Cancelled),
                _ if by_row => text.row_name(),
                _ => text.column_name(),
            };
            name.unwrap_or_else(|error| {
                failed = Err(error);
                String::new()
            })
        }))?;
        failed
    }

    fn stamp(&self) -> SourceStamp {
        self.stamp.clone()
    }
}
