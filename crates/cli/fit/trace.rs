//! The table of passes that `--trace` writes, as the fits run.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use partwise::driver::trace::COLUMNS;
use partwise::job::OutputKind;
use partwise::{FitId, StorageError, TraceRow};

use crate::failure::{Code, Failure};

/// The columns that name the fit, in the table of several.
const OF_A_SET: &str = "k,seed,";

/// The first line of the table.
fn header(is_set: bool) -> String {
    let columns: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
    format!("{}{}", if is_set { OF_A_SET } else { "" }, columns.join(","))
}

/// The kind of the file: a table of passes of any version.
pub(super) const KIND: OutputKind =
    OutputKind::Text { what: "a table of passes", begins: &["pass,loss,", "k,seed,pass,loss,"] };

/// A file that gets each pass when it ends, so that an interrupted run keeps its passes.
pub(super) struct Trace {
    file: File,
    path: PathBuf,
    is_set: bool,
    /// The rows that the file holds.
    rows: Vec<String>,
    failed: Option<io::Error>,
}

impl Trace {
    /// The file at `path`: a new one, or one whose rows stay until their fits [begin](Self::begin),
    /// if the fits are to be resumed.
    pub(super) fn open(path: &Path, is_set: bool, resume: bool) -> Result<Self, Failure> {
        let unwritable =
            |error: io::Error| Failure::new(Code::Io, format!("{}: cannot write: {error}", path.display()));
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(!resume).open(path).map_err(unwritable)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(unwritable)?;
        let mut lines = text.lines();
        let rows = match lines.next() == Some(&header(is_set)) {
            true => lines.map(str::to_owned).collect(),
            false => Vec::new(),
        };
        let mut trace = Trace { file, path: path.into(), is_set, rows, failed: None };
        // The header of a new file, and nothing but the rows of an old one.
        trace.write_all();
        Ok(trace)
    }

    /// A fit begins, with these passes made earlier: its other rows go.
    pub(super) fn begin(&mut self, fit: FitId, rows: &[TraceRow]) {
        let (of_fit, is_set) = (prefix(fit), self.is_set);
        self.rows.retain(|row| is_set && !row.starts_with(&of_fit));
        self.rows.extend(rows.iter().map(|row| record(self.is_set, fit, row)));
        self.write_all();
    }

    /// A pass of a fit has ended.
    pub(super) fn add(&mut self, fit: FitId, row: &TraceRow) {
        let row = record(self.is_set, fit, row);
        if let Err(error) = writeln!(self.file, "{row}") {
            self.failed.get_or_insert(error);
        }
        self.rows.push(row);
    }

    fn write_all(&mut self) {
        let mut text = header(self.is_set);
        self.rows.iter().for_each(|row| text.extend(["\n", row]));
        text.push('\n');
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        if let Err(error) = emptied.and_then(|()| self.file.write_all(text.as_bytes())) {
            self.failed.get_or_insert(error);
        }
    }

    /// Whether a row could not be written.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Why a row could not be written.
    pub(super) fn failure(&mut self) -> Option<Failure> {
        self.failed.take().map(|error| StorageError::io("write", &self.path, error).into())
    }
}

/// The fields that name a fit.
fn prefix(fit: FitId) -> String {
    format!("{},{},", fit.k, fit.seed)
}

/// A pass as a line of the file. Numbers have the digits that give the same bits back; unknown ones
/// are empty.
fn record(is_set: bool, fit: FitId, row: &TraceRow) -> String {
    let cells: Vec<String> = row.cells().iter().map(ToString::to_string).collect();
    format!("{}{}", if is_set { prefix(fit) } else { String::new() }, cells.join(","))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::fit) fn row() -> TraceRow {
        TraceRow {
            pass: 3,
            loss: 12.5,
            relative_error: 0.41528,
            relative_decrease: f64::NAN,
            kkt_residual: 1e-3,
            accepted: true,
            extrapolation: 0.5,
            usages_change: 0.1,
            spectra_change: 0.2,
            usages_nonzero: 0.75,
            spectra_nonzero: 0.25,
            bytes: 1024,
            seconds: 0.8,
            waiting_seconds: 0.25,
            joining_seconds: 0.0,
            summing_seconds: 0.0,
        }
    }

    #[test]
    fn the_file_has_a_field_for_every_column() {
        let fit = FitId { k: 5, seed: 7 };
        let alone = record(false, fit, &row());
        assert_eq!(alone, "3,12.5,0.41528,,0.001,true,0.5,0.1,0.2,0.75,0.25,1024,0.8,0.25,0,0");
        assert_eq!(alone.split(',').count(), header(false).split(',').count());
        assert_eq!(record(true, fit, &row()), format!("5,7,{alone}"));
        assert!(header(true).starts_with("k,seed,pass,loss,relative_error"));
    }

    #[test]
    fn the_kind_of_the_file_is_known_by_its_header() {
        let OutputKind::Text { begins, .. } = KIND else { panic!("{KIND:?}") };
        assert!(header(false).starts_with(begins[0]) && header(true).starts_with(begins[1]));
    }

    #[test]
    fn fits_that_resume_leave_the_rows_of_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.csv");
        let (a, b) = (FitId { k: 5, seed: 0 }, FitId { k: 5, seed: 1 });
        let open = |resume| Trace::open(&path, true, resume).unwrap_or_else(|_| panic!("{} opens", path.display()));
        let passes = |trace: &Trace| -> Vec<String> {
            let text = std::fs::read_to_string(&trace.path).expect("the table");
            text.lines().skip(1).map(|line| line.split(',').take(3).collect::<Vec<_>>().join(" ")).collect()
        };
        let mut trace = open(false);
        for pass in [1, 2] {
            [a, b].into_iter().for_each(|fit| trace.add(fit, &TraceRow { pass, ..row() }));
        }
        assert_eq!(passes(&trace), ["5 0 1", "5 1 1", "5 0 2", "5 1 2"]);
        let mut trace = open(true);
        trace.begin(b, &[TraceRow { pass: 1, ..row() }]);
        trace.add(b, &TraceRow { pass: 2, ..row() });
        assert_eq!(passes(&trace), ["5 0 1", "5 0 2", "5 1 1", "5 1 2"]);
        assert!(!trace.has_failed());
        assert_eq!(passes(&open(false)), [""; 0]);
    }
}
