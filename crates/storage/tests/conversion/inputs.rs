//! Matrices in memory that tests convert.

use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use partwise_storage::anndata::FrameWriter;
use partwise_storage::source::{Form, Rounding, RowChunk, Source};
use partwise_storage::store::SourceStamp;
use partwise_storage::{Axis, ConvertSpec, Monitor, Overwrite, StorageError, Warning};

/// A table in memory, given as sparse or dense rows.
#[derive(Clone, Default)]
pub(crate) struct Table {
    pub(crate) genes: usize,
    pub(crate) values: Vec<f32>,
    pub(crate) sparse: bool,
    /// Returns each sparse row backwards, with a zero and with its first entry in two halves.
    pub(crate) untidy: bool,
    /// Claims that reading it keeps this many bytes resident.
    pub(crate) resident: u64,
    /// Fails when this row is read.
    pub(crate) fails_at: Option<usize>,
    /// Panics when this row is read.
    pub(crate) panics_at: Option<usize>,
}

impl Table {
    /// Counts where about one in `one_in` values is not zero.
    pub(crate) fn counts(cells: usize, genes: usize, one_in: u64, sparse: bool) -> Table {
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 16
        };
        let mut value = || if next().is_multiple_of(one_in) { (1 + next() % 9) as f32 } else { 0.0 };
        let values = (0..cells * genes).map(|_| value()).collect();
        Table { genes, values, sparse, ..Table::default() }
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.genes..(row + 1) * self.genes]
    }

    fn entries(&self, row: usize) -> Vec<(u32, f32)> {
        let row = self.row(row).iter().enumerate();
        let mut entries: Vec<(u32, f32)> = row.filter(|(_, v)| **v != 0.0).map(|(c, &v)| (c as u32, v)).collect();
        if self.untidy && !entries.is_empty() {
            let (column, value) = entries[0];
            entries[0].1 = value / 2.0;
            entries.reverse();
            entries.push((column, value / 2.0));
            let free = (0..self.genes as u32).find(|c| entries.iter().all(|(taken, _)| taken != c));
            entries.extend(free.map(|c| (c, 0.0)));
        }
        entries
    }
}

impl Source for Table {
    fn path(&self) -> &Path {
        Path::new("table")
    }

    fn dataset(&self) -> &str {
        "X"
    }

    fn cells(&self) -> usize {
        self.values.len() / self.genes
    }

    fn genes(&self) -> usize {
        self.genes
    }

    fn form(&self) -> Form {
        if !self.sparse {
            return Form::Dense;
        }
        let counts: Vec<usize> = (0..self.cells()).map(|row| self.entries(row).len()).collect();
        let most_per_tile = counts.chunks(256).map(|c| c.iter().sum()).max().unwrap_or(0);
        Form::Sparse { entries: counts.iter().sum::<usize>() as u64, most_per_tile }
    }

    fn resident_bytes(&self) -> u64 {
        self.resident
    }

    fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        if let Some(row) = self.fails_at.filter(|row| rows.contains(row)) {
            return Err(StorageError::Usage { message: format!("row {row}") });
        }
        assert!(!self.panics_at.is_some_and(|row| rows.contains(&row)), "a defect of the source");
        if !self.sparse {
            let span = rows.start * self.genes..rows.end * self.genes;
            chunk.dense().extend_from_slice(&self.values[span]);
            return Ok(());
        }
        let (indptr, indices, values) = chunk.sparse();
        indptr.push(0);
        for row in rows {
            for (column, value) in self.entries(row) {
                indices.push(column);
                values.push(value);
            }
            indptr.push(values.len());
        }
        Ok(())
    }

    fn rounding(&self) -> Rounding {
        Rounding::default()
    }

    fn write_table(&self, axis: Axis, table: &mut FrameWriter, _: &dyn Monitor) -> Result<(), StorageError> {
        let rows = if axis == Axis::Cells { self.cells() } else { self.genes };
        table.names((0..rows).map(|i| format!("{axis}{}", i % 1000)))
    }

    fn stamp(&self) -> SourceStamp {
        SourceStamp::default()
    }
}

pub(crate) fn spec(memory: u64, threads: usize) -> ConvertSpec {
    ConvertSpec { block_rows: None, memory, threads, overwrite: Overwrite::Refuse }
}

/// Remembers warnings, counts rows, and cancels after some.
pub(crate) struct Watcher {
    heard: Mutex<Vec<Warning>>,
    rows: AtomicU64,
    cancel_after: u64,
}

impl Watcher {
    pub(crate) fn new() -> Watcher {
        Watcher::cancelling_after(u64::MAX)
    }

    pub(crate) fn cancelling_after(rows: u64) -> Watcher {
        Watcher { heard: Mutex::default(), rows: AtomicU64::new(0), cancel_after: rows }
    }

    pub(crate) fn heard(&self) -> Vec<Warning> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}

impl Monitor for Watcher {
    fn advance(&self, done: u64) {
        self.rows.fetch_add(done, Ordering::Relaxed);
    }

    fn warn(&self, warning: &Warning) {
        self.heard.lock().unwrap().push(warning.clone());
    }

    fn cancelled(&self) -> bool {
        self.rows() >= self.cancel_after
    }
}

/// The files of a folder with their bytes, in order.
pub(crate) fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap());
    let mut files: Vec<_> = entries
        .map(|e| (e.file_name().to_string_lossy().into_owned(), std::fs::read(e.path()).unwrap_or_default()))
        .collect();
    files.sort();
    files
}
