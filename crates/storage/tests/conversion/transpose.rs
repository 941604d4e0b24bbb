//! Entries in any order become the store that their rows become, byte for byte.

use std::ops::Range;
use std::path::Path;

use partwise_storage::convert::excerpt;
use partwise_storage::source::{Entries, Form, Rounding, RowChunk, Source};
use partwise_storage::{Axis, ErrorKind, FrameWriter, Monitor, Quiet, SourceStamp, StorageError, convert};

use super::inputs::{Table, Watcher, contents, spec};

/// A table, read by entries in another order.
#[derive(Clone)]
struct Scattered {
    table: Table,
    entries: Vec<(u32, u32, f32)>,
    next: usize,
    at_most: u64,
}

impl Scattered {
    /// By gene, or in an order without a pattern. Entries of one place keep their order.
    fn of(table: &Table, by_gene: bool) -> Scattered {
        let mut entries = Vec::new();
        let mut chunk = RowChunk::default();
        table.clone().read_rows(0..table.cells(), &mut chunk).unwrap();
        let RowChunk::Sparse { indptr, indices, values } = chunk else { panic!("a sparse table") };
        for row in 0..table.cells() {
            entries.extend((indptr[row]..indptr[row + 1]).map(|at| (row as u32, indices[at], values[at])));
        }
        let place =
            |cell: u32, gene: u32| (u64::from(cell) * 1_000_003 + u64::from(gene)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        entries.sort_by_key(
            |&(cell, gene, _)| if by_gene { u64::from(gene) << 32 | u64::from(cell) } else { place(cell, gene) },
        );
        let at_most = entries.len() as u64;
        Scattered { table: table.clone(), entries, next: 0, at_most }
    }
}

impl Source for Scattered {
    fn path(&self) -> &Path {
        self.table.path()
    }

    fn dataset(&self) -> &str {
        self.table.dataset()
    }

    fn cells(&self) -> usize {
        self.table.cells()
    }

    fn genes(&self) -> usize {
        self.table.genes()
    }

    fn form(&self) -> Form {
        Form::Entries { at_most: self.at_most }
    }

    fn resident_bytes(&self) -> u64 {
        0
    }

    fn read_rows(&mut self, _: Range<usize>, _: &mut RowChunk) -> Result<(), StorageError> {
        panic!("entries are read in their order");
    }

    fn read_entries(&mut self, most: usize, entries: &mut Entries) -> Result<(), StorageError> {
        entries.clear();
        let end = self.entries.len().min(self.next.saturating_add(most));
        self.entries[self.next..end].iter().for_each(|&(cell, gene, value)| entries.push(cell, gene, value));
        self.next = if end == self.next { 0 } else { end };
        Ok(())
    }

    fn rounding(&self) -> Rounding {
        self.table.rounding()
    }

    fn write_table(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        self.table.write_table(axis, table, monitor)
    }

    fn stamp(&self) -> SourceStamp {
        self.table.stamp()
    }
}

#[test]
fn the_store_is_that_of_the_rows_for_any_order_threads_and_budget() {
    for table in [
        Table::counts(30_000, 97, 4, true),
        Table { untidy: true, ..Table::counts(3_000, 97, 4, true) },
        Table::counts(1, 5, 1, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let by_rows = folder.path().join("rows.pw");
        convert(Box::new(table.clone()), &by_rows, &spec(1 << 30, 2), &Quiet).unwrap();
        for by_gene in [true, false] {
            for (threads, memory) in [(1, 44 << 20), (3, 60 << 20), (2, 1 << 30)] {
                let dest = folder.path().join(format!("{by_gene}-{memory}.pw"));
                convert(Box::new(Scattered::of(&table, by_gene)), &dest, &spec(memory, threads), &Quiet).unwrap();
                assert!(contents(&dest) == contents(&by_rows), "by gene {by_gene}, {memory} bytes");
            }
        }
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.into_iter().all(|name| name.to_string_lossy().ends_with(".pw")), "no temporary file is left");
    }
}

#[test]
fn an_excerpt_of_entries_is_that_of_the_rows() {
    let table = Table::counts(3_000, 97, 4, true);
    let rows = excerpt(&mut table.clone(), &spec(1 << 30, 2)).unwrap();
    let entries = excerpt(&mut Scattered::of(&table, true), &spec(1 << 30, 2)).unwrap();
    assert_eq!(
        (entries.nonzeros, entries.packed_bytes, entries.block_rows),
        (rows.nonzeros, rows.packed_bytes, rows.block_rows)
    );
}

#[test]
fn entries_that_no_store_may_hold_are_refused_with_their_place() {
    let table = Table::counts(600, 20, 3, true);
    let refused = |bend: &dyn Fn(&mut Scattered), words: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let mut bent = Scattered::of(&table, true);
        bend(&mut bent);
        let error = convert(Box::new(bent), &folder.path().join("x.pw"), &spec(1 << 28, 2), &Quiet).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadData, "{error}");
        words.iter().for_each(|word| assert!(error.to_string().contains(word), "expected {word:?} in {error}"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    };
    refused(&|s| s.entries[40].0 = 600, &["row 600", "only 600 rows"]);
    refused(&|s| s.entries[40].1 = 20, &["column 20", "20 columns"]);
    refused(&|s| s.entries[40].2 = -1.0, &["negative value -1"]);
    refused(&|s| s.entries[40].2 = f32::NAN, &["NaN"]);
    refused(&|s| s.at_most -= 1, &["more than the"]);
}

#[test]
fn a_budget_below_the_least_is_refused_and_the_least_works() {
    let table = Table::counts(600, 20, 3, true);
    let folder = tempfile::tempdir().unwrap();
    let mut memory = 1 << 20;
    for _ in 0..4 {
        match convert(Box::new(Scattered::of(&table, true)), &folder.path().join("x.pw"), &spec(memory, 2), &Quiet) {
            Ok(_) => return,
            Err(StorageError::MemoryBudget { smallest, .. }) => {
                assert!(smallest > memory);
                memory = smallest;
            }
            Err(other) => panic!("{other}"),
        }
    }
    panic!("no budget of those that were named works");
}

#[test]
fn a_transposition_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let watcher = Watcher::cancelling_after(1);
    let table = Table::counts(30_000, 97, 4, true);
    let error =
        convert(Box::new(Scattered::of(&table, true)), &folder.path().join("x.pw"), &spec(1 << 28, 2), &watcher);
    assert!(matches!(error, Err(StorageError::Cancelled)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
}
