//! The promises of [`Source`], as functions that hold any implementation to them.
//!
//! Each function opens the source as often as it needs and panics with a message where a promise is
//! broken, so that it can be called from a test of any framework. Use small matrices: rows are read
//! many times, and kept.
//!
//! ```
//! use std::ops::Range;
//! use std::path::Path;
//!
//! use partwise_storage::source::{Form, Rounding, RowChunk, Source, conformance};
//! use partwise_storage::{Axis, FrameWriter, Monitor, SourceStamp, StorageError};
//!
//! /// The matrix of one cell and one gene.
//! struct One;
//!
//! impl Source for One {
//!     fn path(&self) -> &Path { Path::new("one") }
//!     fn dataset(&self) -> &str { "X" }
//!     fn cells(&self) -> usize { 1 }
//!     fn genes(&self) -> usize { 1 }
//!     fn form(&self) -> Form { Form::Dense }
//!     fn resident_bytes(&self) -> u64 { 0 }
//!     fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
//!         assert!(rows.end <= 1, "rows are inside the matrix");
//!         chunk.dense().resize(rows.len(), 1.0);
//!         Ok(())
//!     }
//!     fn rounding(&self) -> Rounding { Rounding::default() }
//!     fn write_table(&self, _: Axis, _: &mut FrameWriter, _: &dyn Monitor) -> Result<(), StorageError> { Ok(()) }
//!     fn stamp(&self) -> SourceStamp { SourceStamp::default() }
//! }
//!
//! conformance::check(&|| Box::new(One));
//! ```

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Entries, Form, RowChunk, Source};
use crate::StorageError;
use crate::number::Number;
use crate::tile::TILE_ROWS;

/// Opens the source under test: the same one each time, with nothing read yet.
pub type Open<'a> = &'a dyn Fn() -> Box<dyn Source>;

/// All promises but that of annotations, which need a folder: [`annotations_are_readable`].
///
/// # Panics
///
/// When one is broken; the message says which.
#[track_caller]
pub fn check(open: Open<'_>) {
    if let Form::Entries { .. } = open().form() {
        entries_are_sound(open);
        entries_begin_again(open);
        entries_keep_the_identity(open);
        return;
    }
    rows_are_sound(open);
    the_form_is_true(open);
    ranges_do_not_matter(open);
    chunks_are_reused(open);
    errors_repeat(open);
    rounding_is_counted(open);
    identity_is_stable(open);
    rows_outside_are_a_defect_of_the_caller(open);
}

/// Entries are inside the matrix, values at least zero and finite, and no more than the form
/// announces. They are the same, in the same order, however many are read at a time.
///
/// # Panics
///
/// When that is not so.
#[track_caller]
pub fn entries_are_sound(open: Open<'_>) {
    let (mut source, expected) = (open(), every_entry(&mut *open(), usize::MAX));
    let (cells, genes) = (source.cells(), source.genes());
    let Form::Entries { at_most } = source.form() else { panic!("a source of entries has their form") };
    if let Ok(entries) = &expected {
        assert!(entries.len() as u64 <= at_most, "{} entries, although at most {at_most} are announced", entries.len());
        for &(cell, gene, value) in entries {
            assert!((cell as usize) < cells && (gene as usize) < genes, "entry {cell}, {gene} is inside the matrix");
            assert!(f32::from_bits(value).accept().is_some(), "values are at least zero and finite");
        }
    }
    for most in [1, 7, 1000] {
        assert_eq!(every_entry(&mut *source, most), expected, "entries, {most} at a time");
    }
}

/// After the last entry, and after an error, reading begins again.
///
/// # Panics
///
/// When that is not so.
#[track_caller]
pub fn entries_begin_again(open: Open<'_>) {
    let mut source = open();
    let first = every_entry(&mut *source, 5);
    assert_eq!(every_entry(&mut *source, 5), first, "entries, read a second time");
}

/// What a source of entries says of itself does not change while they are read, and rounding is
/// counted alike in every way of reading.
///
/// # Panics
///
/// When that is not so.
#[track_caller]
pub fn entries_keep_the_identity(open: Open<'_>) {
    let mut source = open();
    let before = (source.cells(), source.genes(), source.form(), source.resident_bytes(), source.stamp());
    assert_eq!(source.rounding().count, 0, "nothing is rounded before entries are read");
    let whole = every_entry(&mut *source, usize::MAX);
    let after = (source.cells(), source.genes(), source.form(), source.resident_bytes(), source.stamp());
    assert_eq!(after, before, "reading does not change what the source says of itself");
    if whole.is_ok() {
        let mut again = open();
        let _ = every_entry(&mut *again, 3);
        assert_eq!(again.rounding().count, source.rounding().count, "values rounded in all entries");
    }
}

/// All entries, read `most` at a time: cell, gene, bits of the value. The message if one cannot be
/// read.
#[track_caller]
fn every_entry(source: &mut dyn Source, most: usize) -> Result<Vec<(u32, u32, u32)>, String> {
    let (mut all, mut entries) = (Vec::new(), Entries::default());
    loop {
        source.read_entries(most, &mut entries).map_err(|error| error.to_string())?;
        let Entries { cells, genes, values } = &entries;
        assert!(cells.len() == values.len() && genes.len() == values.len(), "an entry has a cell, a gene and a value");
        assert!(values.len() <= most, "{} entries are read, although {most} were asked for", values.len());
        if values.is_empty() {
            return Ok(all);
        }
        all.extend(cells.iter().zip(genes).zip(values).map(|((&cell, &gene), value)| (cell, gene, value.to_bits())));
    }
}

/// Chunks are of the source's form and their arrays agree; columns are inside the matrix, values at
/// least zero and finite.
///
/// # Panics
///
/// When that is not so.
#[track_caller]
pub fn rows_are_sound(open: Open<'_>) {
    let mut source = open();
    for rows in ranges(source.cells(), 7) {
        // `Rows::take` looks at each entry.
        let _ = Rows::read(&mut *source, rows);
    }
}

/// Once the source is prepared, a sparse form counts the entries that are read, in all and in the
/// fullest tile. That of a matrix of several files bounds all entries.
///
/// # Panics
///
/// When it counts others.
#[track_caller]
pub fn the_form_is_true(open: Open<'_>) {
    let mut source = open();
    if source.prepare().is_err() {
        return;
    }
    let form = source.form();
    let tiles: Result<Vec<Rows>, _> =
        ranges(source.cells(), TILE_ROWS).map(|rows| Rows::read(&mut *source, rows)).collect();
    let (Form::Sparse { entries, most_per_tile }, Ok(tiles)) = (form, tiles) else { return };
    let counts = tiles.iter().map(|tile| tile.0.iter().map(Vec::len).sum::<usize>());
    let all = counts.clone().sum::<usize>() as u64;
    if source.is_joined() {
        assert!(all <= entries, "the form bounds all entries: {all} are at most {entries}");
        return;
    }
    assert_eq!(entries, all, "the form counts all entries");
    assert_eq!(most_per_tile, counts.max().unwrap_or(0), "the form counts the entries of the fullest tile");
    assert_eq!(source.form(), form, "reading does not change the form");
}

/// A row is the same, entry by entry and bit by bit, in every range and order of reading.
///
/// # Panics
///
/// When that is not so.
#[track_caller]
pub fn ranges_do_not_matter(open: Open<'_>) {
    let expected = every_row(open);
    let cells = expected.len();
    let mut source = open();
    for step in [1, 2, 3, TILE_ROWS - 1, TILE_ROWS, cells.max(1)] {
        let forwards: Vec<_> = ranges(cells, step).collect();
        let inwards = forwards.iter().rev().zip(&forwards).flat_map(|(last, first)| [last.clone(), first.clone()]);
        for rows in forwards.iter().cloned().chain(forwards.iter().rev().cloned()).chain(inwards) {
            compare(&mut *source, rows, &expected);
        }
    }
    for at in [0, cells / 2, cells] {
        compare(&mut *source, at..at, &expected);
    }
}

/// A read replaces the previous content of a chunk of any form, and reading a range again does not
/// grow its buffers.
///
/// # Panics
///
/// When that is not so.
#[track_caller]
pub fn chunks_are_reused(open: Open<'_>) {
    let expected = every_row(open);
    let mut source = open();
    let rows = 0..expected.len().min(TILE_ROWS);
    let full = RowChunk::Sparse { indptr: vec![7; 9], indices: vec![u32::MAX; 500], values: vec![f32::NAN; 500] };
    for mut chunk in [full, RowChunk::Dense { values: vec![f32::NAN; 500] }, RowChunk::default()] {
        for rows in [rows.clone(), 0..rows.end.min(1), rows.clone()] {
            if source.read_rows(rows.clone(), &mut chunk).is_ok() {
                assert_rows(&Rows::take(&*source, &chunk, rows.len()), rows, &expected);
            }
        }
        let before = capacity(&chunk);
        if source.read_rows(rows.clone(), &mut chunk).is_ok() {
            assert_eq!(capacity(&chunk), before, "a chunk keeps its buffers");
        }
    }
}

/// A row that cannot be read gives the same error each time, and does not disturb those that can.
///
/// # Panics
///
/// When that is not so.
#[track_caller]
pub fn errors_repeat(open: Open<'_>) {
    let expected = every_row(open);
    let mut source = open();
    for _ in 0..2 {
        for (row, said) in expected.iter().enumerate() {
            if said.is_err() {
                compare(&mut *source, row..row + 1, &expected);
                compare(&mut *source, row..row + 1, &expected);
                compare(&mut *source, 0..1, &expected);
            }
        }
        for rows in ranges(expected.len(), 5) {
            compare(&mut *source, rows, &expected);
        }
    }
}

/// The count of rounded values starts at 0, and for all rows it does not depend on the ranges they
/// are read in.
///
/// # Panics
///
/// When that is not so.
#[track_caller]
pub fn rounding_is_counted(open: Open<'_>) {
    let count = |step: usize| {
        let mut source = open();
        assert_eq!(source.rounding().count, 0, "nothing is rounded before rows are read");
        let mut before = 0;
        for rows in ranges(source.cells(), step) {
            let read = source.read_rows(rows, &mut RowChunk::default());
            let now = source.rounding().count;
            assert!(now >= before, "the count of rounded values falls from {before} to {now}");
            before = now;
            read.ok()?;
        }
        Some(before)
    };
    let Some(whole) = count(usize::MAX) else { return };
    for step in [1, 3, TILE_ROWS] {
        let Some(found) = count(step) else { return };
        assert_eq!(found, whole, "values rounded in all rows, read {step} at a time");
    }
}

/// Path, dataset, shape, form and stamp are the same before and after reading, and whenever the
/// source is opened.
///
/// # Panics
///
/// When that is not so.
#[track_caller]
pub fn identity_is_stable(open: Open<'_>) {
    let of = |source: &dyn Source| {
        let names = (source.path().to_owned(), source.dataset().to_owned());
        (names, source.cells(), source.genes(), source.form(), source.resident_bytes(), source.stamp())
    };
    let mut source = open();
    let before = of(&*source);
    for rows in ranges(source.cells(), TILE_ROWS) {
        // Rows that cannot be read are no part of this promise.
        let _ = source.read_rows(rows, &mut RowChunk::default());
    }
    assert_eq!(of(&*source), before, "reading does not change what the source says of itself");
    assert_eq!(of(&*open()), before, "the source is the same when it is opened again");
}

/// Reading rows beyond the matrix panics: the caller has a defect, and no answer may hide it.
///
/// # Panics
///
/// When that is not so.
#[track_caller]
pub fn rows_outside_are_a_defect_of_the_caller(open: Open<'_>) {
    let mut source = open();
    let cells = source.cells();
    let asked = catch_unwind(AssertUnwindSafe(|| source.read_rows(cells..cells + 1, &mut RowChunk::default())));
    assert!(asked.is_err(), "rows beyond the matrix panic, but row {cells} was read");
}

/// Names and columns are written as an AnnData file with a name for each cell and gene, the same
/// bytes each time.
///
/// Writes into `folder`, which exists.
///
/// # Panics
///
/// When they are not, or `folder` cannot be written to.
#[cfg(feature = "hdf5")]
#[track_caller]
pub fn annotations_are_readable(open: Open<'_>, folder: &std::path::Path) {
    use crate::anndata::frame_name;
    use crate::hdf::{self, attribute};
    use crate::{Axis, Quiet};

    let source = open();
    let path = |time: usize| folder.join(format!("annotations-{time}.h5ad"));
    for time in 0..2 {
        if let Err(error) = source.write_annotations(&path(time), &Quiet) {
            panic!("annotations are written: {error}");
        }
        let file = hdf::file::open(&path(time)).unwrap_or_else(|error| panic!("annotations are an HDF5 file: {error}"));
        for (axis, expected) in [(Axis::Cells, source.cells()), (Axis::Genes, source.genes())] {
            let table = frame_name(axis);
            let Ok(group) = file.group(table) else { panic!("annotations have the table {table}") };
            let index = attribute::text(&group, "_index").unwrap_or_default();
            let names = ["", "/values", "/codes"].iter().find_map(|part| group.dataset(&format!("{index}{part}")).ok());
            let Some(names) = names else { panic!("{table} has names under its attribute \"_index\"") };
            assert_eq!(names.size(), expected, "{table} has a name for each of the {axis}");
        }
    }
    let bytes = [0, 1].map(|time| std::fs::read(path(time)).ok());
    assert!(bytes[0] == bytes[1], "annotations are the same bytes each time");
}

/// Entries of consecutive rows as they were read: column and bits of the value. Dense rows have an
/// entry for each column.
#[derive(Debug, PartialEq)]
struct Rows(Vec<Vec<(u32, u32)>>);

impl Rows {
    /// Reads rows and looks at each entry.
    #[track_caller]
    fn read(source: &mut dyn Source, rows: Range<usize>) -> Result<Rows, String> {
        let mut chunk = RowChunk::default();
        let count = rows.len();
        source.read_rows(rows, &mut chunk).map_err(|error: StorageError| error.to_string())?;
        Ok(Rows::take(source, &chunk, count))
    }

    #[track_caller]
    fn take(source: &dyn Source, chunk: &RowChunk, count: usize) -> Rows {
        let genes = source.genes();
        let sound = |value: f32| {
            assert!(value.accept().is_some(), "values are at least zero and finite, not {value}");
            value.to_bits()
        };
        match (chunk, source.form()) {
            (RowChunk::Dense { values }, Form::Dense) => {
                assert_eq!(values.len(), count * genes, "a dense chunk has a value for each row and column");
                let row = |row: usize| (0..).zip(&values[row * genes..(row + 1) * genes]);
                Rows((0..count).map(|at| row(at).map(|(column, &value)| (column, sound(value))).collect()).collect())
            }
            (RowChunk::Sparse { indptr, indices, values }, Form::Sparse { .. }) => {
                assert_eq!(indptr.len(), count + 1, "a sparse chunk has one row pointer more than rows");
                assert_eq!(indices.len(), values.len(), "a sparse chunk has a column for each value");
                assert_eq!(
                    (indptr[0], indptr[count]),
                    (0, values.len()),
                    "row pointers begin with 0 and end with the values"
                );
                assert!(indptr.is_sorted(), "row pointers do not fall");
                assert!(indices.iter().all(|&column| (column as usize) < genes), "columns are below {genes}");
                let entry = |at: usize| (indices[at], sound(values[at]));
                Rows(indptr.windows(2).map(|pair| (pair[0]..pair[1]).map(entry).collect()).collect())
            }
            (_, form) => panic!("chunks are of the form of the source, {form:?}"),
        }
    }
}

/// A row: its entries, or the message of the error that it gives.
type Row = Result<Vec<(u32, u32)>, String>;

/// Each row, read alone.
#[track_caller]
fn every_row(open: Open<'_>) -> Vec<Row> {
    let mut source = open();
    (0..source.cells()).map(|row| Rows::read(&mut *source, row..row + 1).map(|mut rows| rows.0.remove(0))).collect()
}

/// Reads rows and compares them with those read alone. A range with a row that cannot be read has
/// to fail.
#[track_caller]
fn compare(source: &mut dyn Source, rows: Range<usize>, expected: &[Row]) {
    let faults: Vec<_> = expected[rows.clone()].iter().filter_map(|row| row.as_ref().err()).collect();
    match Rows::read(source, rows.clone()) {
        Ok(found) => assert_rows(&found, rows, expected),
        Err(said) => {
            assert!(
                faults.contains(&&said),
                "rows {rows:?} fail as one of them does alone, expected {faults:?}, found {said}"
            );
        }
    }
}

#[track_caller]
fn assert_rows(found: &Rows, rows: Range<usize>, expected: &[Row]) {
    for (row, found) in rows.clone().zip(&found.0) {
        match &expected[row] {
            Ok(expected) => assert_eq!(found, expected, "row {row}, read among {rows:?}, is what it is alone"),
            Err(said) => panic!("row {row}, read among {rows:?}, fails as it does alone: {said}"),
        }
    }
}

/// The ranges of `step` rows that cover the matrix.
fn ranges(cells: usize, step: usize) -> impl Iterator<Item = Range<usize>> {
    (0..cells).step_by(step).map(move |first| first..first.saturating_add(step).min(cells))
}

/// Room in the buffers of a chunk.
fn capacity(chunk: &RowChunk) -> [usize; 3] {
    match chunk {
        RowChunk::Sparse { indptr, indices, values } => [indptr.capacity(), indices.capacity(), values.capacity()],
        RowChunk::Dense { values } => [0, 0, values.capacity()],
    }
}
