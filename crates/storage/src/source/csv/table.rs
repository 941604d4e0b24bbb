//! The shape of a table of text: a line of names, and lines of a name and numbers.

use std::collections::HashSet;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::fields::{self, Fault, Fields};
use crate::number::{Rounding, to_f32};
use crate::{Matrices, Remedy, StorageError};

/// The name of the table in messages.
pub(super) const DATASET: &str = "table";

/// Numbers in the first line that are looked at.
const LOOKED_AT: usize = 1 << 16;

/// What one read of a text tells of it.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) path: PathBuf,
    separator: u8,
    /// Whether the first line has a field above the names of rows.
    has_corner: bool,
    /// Lines after the first.
    pub(super) rows: usize,
    /// Numbers in a line.
    pub(super) columns: usize,
}

impl Table {
    /// Reads the text once, and checks that all lines have the same number of fields.
    ///
    /// # Errors
    ///
    /// - a line has more or fewer fields than others; a quote is missing
    /// - there are no names of columns, or no numbers
    pub(super) fn scan(path: &Path) -> Result<Table, StorageError> {
        let mut table = Table { path: path.into(), separator: b',', has_corner: true, rows: 0, columns: 0 };
        let separator = separator_of(path).map_err(|e| table.fault(e))?;
        table.separator = separator;
        let mut fields = Fields::open(path, separator).map_err(|e| StorageError::io("read", path, e))?;
        let header = table.header(&mut fields)?;
        let mut expected = header;
        let (mut count, mut row) = (0_usize, 0);
        while let Some(last) = fields.next().map_err(|e| table.fault(e))? {
            count += 1;
            if !last {
                continue;
            }
            if row == 0 && count == header + 1 {
                // R leaves out the field above the names of rows.
                (table.has_corner, expected) = (false, count);
            }
            if count != expected {
                let line = fields.line();
                return Err(table.invalid(
                    format!("has {count} fields at line {line}, expected {expected}"),
                    "check that line; names with a separator in them need quotes",
                ));
            }
            (count, row) = (0, row + 1);
        }
        table.rows = row;
        table.columns = expected - 1;
        if row == 0 || table.columns == 0 {
            return Err(table.invalid(
                format!("has {row} lines of {} numbers after the line of names", table.columns),
                "save a table of cells × genes with a line of gene names and a first column of cell names",
            ));
        }
        Ok(table)
    }

    /// The number of fields in the first line, which has names.
    fn header(&self, fields: &mut Fields) -> Result<usize, StorageError> {
        let (mut count, mut numbers, mut repeats, mut seen) = (0, true, false, HashSet::new());
        while let Some(last) = fields.next().map_err(|e| self.fault(e))? {
            count += 1;
            if count > 1 {
                match number(fields.field()) {
                    None => numbers = false,
                    Some(value) if seen.len() < LOOKED_AT => repeats |= !seen.insert(value.to_bits()),
                    Some(_) => {}
                }
            }
            if last {
                break;
            }
        }
        if count > 1 && numbers && repeats {
            let remedy = "write the names of genes into the first line, and those of cells into the first column";
            return Err(self.invalid("has numbers at line 1, expected names".into(), remedy));
        }
        Ok(count)
    }

    /// Opens the text after its first line.
    pub(super) fn values(&self) -> Result<Values, StorageError> {
        let mut values = self.names()?;
        while let Some(false) = values.fields.next().map_err(|e| self.fault(e))? {}
        Ok(values)
    }

    /// Opens the text at its first line.
    pub(super) fn names(&self) -> Result<Values, StorageError> {
        let fields = Fields::open(&self.path, self.separator);
        let fields = fields.map_err(|e| StorageError::io("read", &self.path, e))?;
        Ok(Values { fields, table: self.clone(), row: 0, column: 0 })
    }

    fn fault(&self, fault: Fault) -> StorageError {
        match fault {
            Fault::Text(problem) => self.invalid(problem, "copy or create the file again"),
            Fault::System(error) => StorageError::io("read", &self.path, error),
        }
    }

    fn invalid(&self, problem: String, remedy: &str) -> StorageError {
        let (path, dataset) = (self.path.clone(), DATASET.to_owned());
        StorageError::InvalidDataset { path, dataset, problem, remedy: remedy.into() }
    }
}

/// The values of a table, in the order of the text.
pub(super) struct Values {
    fields: Fields,
    table: Table,
    /// The row and column of the next value.
    row: usize,
    column: usize,
}

impl Values {
    /// The row of the next value.
    pub(super) fn row(&self) -> usize {
        self.row
    }

    /// Goes on to a row further on.
    pub(super) fn skip_to(&mut self, row: usize) -> Result<(), StorageError> {
        while self.row < row {
            while let Some(false) = self.fields.next().map_err(|e| self.table.fault(e))? {}
            self.row += 1;
        }
        Ok(())
    }

    /// The next value, with its row and column. Adds it to `rounding`.
    pub(super) fn next(&mut self, rounding: &mut Rounding) -> Result<Option<(usize, usize, f32)>, StorageError> {
        if self.row == self.table.rows {
            return Ok(None);
        }
        if self.column == 0 {
            self.field(false)?;
        }
        let (row, column) = (self.row, self.column);
        let last = column + 1 == self.table.columns;
        self.field(last)?;
        let shown = || String::from_utf8_lossy(&self.fields.field()[..self.fields.field().len().min(40)]).into_owned();
        // The names are column 1 of the text.
        let place = || format!("at line {}, column {}", self.fields.line(), column + 2);
        let Some(value) = number(self.fields.field()) else {
            let problem = format!("has \"{}\" {}, expected a number", shown(), place());
            return Err(self.table.invalid(problem, "write 0 for missing values, and decimals with a point"));
        };
        let mut rounded = [0.0];
        if to_f32(&[value], &mut rounded, rounding).is_err() {
            let (path, dataset) = (self.table.path.clone(), DATASET.to_owned());
            let (problem, remedy) = match value.is_finite() && value > 0.0 {
                true => ("which is beyond 32-bit floats", "scale the values down".into()),
                false => ("which NMF cannot use", Remedy::ChooseValues(Matrices::default()).into()),
            };
            let problem = format!("has the value {} {}, {problem}", shown().trim(), place());
            return Err(StorageError::InvalidDataset { path, dataset, problem, remedy });
        }
        (self.row, self.column) = if last { (row + 1, 0) } else { (row, column + 1) };
        Ok(Some((row, column, rounded[0])))
    }

    /// The name of the next row.
    #[cfg_attr(not(feature = "hdf5"), expect(dead_code, reason = "no names are written without the library"))]
    pub(super) fn row_name(&mut self) -> Result<String, StorageError> {
        self.field(false)?;
        let name = String::from_utf8_lossy(self.fields.field()).into_owned();
        while let Some(false) = self.fields.next().map_err(|e| self.table.fault(e))? {}
        Ok(name)
    }

    /// The name of the next column, in a text that was opened at its first line.
    #[cfg_attr(not(feature = "hdf5"), expect(dead_code, reason = "no names are written without the library"))]
    pub(super) fn column_name(&mut self) -> Result<String, StorageError> {
        if self.column == 0 && self.table.has_corner {
            self.field(false)?;
        }
        self.column += 1;
        self.field(self.column == self.table.columns)?;
        Ok(String::from_utf8_lossy(self.fields.field()).into_owned())
    }

    /// Reads a field that is the `last` one of its line, or not.
    fn field(&mut self, last: bool) -> Result<(), StorageError> {
        match self.fields.next().map_err(|e| self.table.fault(e))? {
            Some(found) if found == last => Ok(()),
            _ => Err(self.table.invalid(
                format!("has other fields at line {} than before", self.fields.line()),
                "it was changed while it was read; start again",
            )),
        }
    }
}

/// A number of a field.
fn number(field: &[u8]) -> Option<f64> {
    std::str::from_utf8(field).ok()?.trim().parse().ok()
}

/// The separator: the one of tab, comma and semicolon that the first line has most of.
fn separator_of(path: &Path) -> Result<u8, Fault> {
    let mut text = fields::open(path).map_err(Fault::System)?;
    let (mut quoted, mut counts) = (false, [(b'\t', 0_u64), (b',', 0), (b';', 0)]);
    'line: loop {
        let piece = text.fill_buf().map_err(fields::unpacking)?;
        if piece.is_empty() {
            break;
        }
        for &byte in piece {
            match byte {
                b'"' => quoted = !quoted,
                b'\n' if !quoted => break 'line,
                _ if quoted => {}
                _ => counts.iter_mut().filter(|(separator, _)| *separator == byte).for_each(|(_, count)| *count += 1),
            }
        }
        let read = piece.len();
        text.consume(read);
    }
    // Of equal counts, the first.
    let most = counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(separator, _)| *separator);
    Ok(most)
}
