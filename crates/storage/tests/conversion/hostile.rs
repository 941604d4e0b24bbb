//! Any crate may implement a source. One that breaks its promises is refused, and leaves no store.

use std::ops::Range;
use std::path::Path;

use partwise_storage::convert::excerpt;
use partwise_storage::source::{Form, Rounding, RowChunk, Source};
use partwise_storage::store::SourceStamp;
use partwise_storage::{Axis, ErrorKind, FrameWriter, Monitor, Quiet, StorageError, convert};

use super::inputs::{Table, contents, spec};

const CELLS: usize = 600;
const GENES: usize = 40;

/// Alters the chunk that begins at this row.
type Bend = dyn Fn(usize, &mut RowChunk) + Send;

/// A table with altered chunks, and a form and numbers that may be wrong.
pub(crate) struct Liar {
    table: Table,
    /// Alters a chunk.
    bend: Box<Bend>,
    form: Option<Form>,
    resident: u64,
}

impl Liar {
    pub(crate) fn new(sparse: bool, bend: impl Fn(usize, &mut RowChunk) + Send + 'static) -> Liar {
        // Every third value is above zero, so that the store is sparse.
        let table = Table::counts(CELLS, GENES, 3, sparse);
        Liar { table, bend: Box::new(bend), form: None, resident: 0 }
    }

    fn full(bend: impl Fn(usize, &mut RowChunk) + Send + 'static) -> Liar {
        Liar { table: Table::counts(CELLS, GENES, 1, false), bend: Box::new(bend), form: None, resident: 0 }
    }

    pub(crate) fn claiming(form: Form) -> Liar {
        Liar { form: Some(form), ..Liar::new(true, |_, _| ()) }
    }
}

impl Source for Liar {
    fn path(&self) -> &Path {
        Path::new("liar")
    }

    fn dataset(&self) -> &str {
        "X"
    }

    fn cells(&self) -> usize {
        self.table.cells()
    }

    fn genes(&self) -> usize {
        self.table.genes()
    }

    fn form(&self) -> Form {
        self.form.unwrap_or_else(|| self.table.form())
    }

    fn resident_bytes(&self) -> u64 {
        self.resident
    }

    fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        self.table.read_rows(rows.clone(), chunk)?;
        (self.bend)(rows.start, chunk);
        Ok(())
    }

    fn rounding(&self) -> Rounding {
        Rounding::default()
    }

    fn write_table(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        self.table.write_table(axis, table, monitor)
    }

    fn stamp(&self) -> SourceStamp {
        SourceStamp::default()
    }
}

/// Converts it and packs an excerpt. Both fail with these words and leave no file.
fn refused(mut liar: Liar, words: &[&str]) -> StorageError {
    let folder = tempfile::tempdir().unwrap();
    let looked_at = excerpt(&mut liar, &spec(1 << 30, 2)).unwrap_err();
    let error = convert(Box::new(liar), &folder.path().join("x.pw"), &spec(1 << 30, 2), &Quiet).unwrap_err();
    for error in [&looked_at, &error] {
        let line = error.to_string();
        for word in words.iter().chain(&["liar"]) {
            assert!(line.contains(word), "expected {word:?} in: {line}");
        }
    }
    assert_eq!(contents(folder.path()), []);
    error
}

fn values(chunk: &mut RowChunk) -> &mut Vec<f32> {
    match chunk {
        RowChunk::Sparse { values, .. } | RowChunk::Dense { values } => values,
    }
}

type Arrays<'a> = (&'a mut Vec<usize>, &'a mut Vec<u32>, &'a mut Vec<f32>);

fn arrays(chunk: &mut RowChunk) -> Arrays<'_> {
    match chunk {
        RowChunk::Sparse { indptr, indices, values } => (indptr, indices, values),
        RowChunk::Dense { .. } => panic!("a sparse table"),
    }
}

#[test]
fn values_that_no_factorization_can_use_are_refused_with_their_place() {
    for bad in [-1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        // The first value of row 256, wherever the chunk begins that holds it.
        let bend = move |first: usize, chunk: &mut RowChunk| {
            let at = match chunk {
                RowChunk::Sparse { indptr, .. } if first <= 256 => indptr.get(256 - first).copied(),
                RowChunk::Dense { .. } if first <= 256 => Some((256 - first) * GENES),
                _ => None,
            };
            if let Some(value) = at.and_then(|at| values(chunk).get_mut(at)) {
                *value = bad;
            }
        };
        for liar in [Liar::new(true, bend), Liar::new(false, bend), Liar::full(bend)] {
            let error = refused(liar, &["\"X\"", "at row 256"]);
            let StorageError::InvalidValue { row, value, .. } = error else { panic!("{error}") };
            assert_eq!((row, value.to_bits()), (256, f64::from(bad).to_bits()));
        }
    }
}

#[test]
fn a_duplicate_does_not_hide_a_negative_value() {
    let error = refused(
        Liar::new(true, |first, chunk| {
            if first == 0 {
                let (indptr, indices, values) = arrays(chunk);
                indices[indptr[1] + 1] = indices[indptr[1]];
                (values[indptr[1]], values[indptr[1] + 1]) = (5.0, -4.0);
            }
        }),
        &["negative value -4 at row 1"],
    );
    assert_eq!(error.kind(), ErrorKind::BadData);
}

#[test]
fn columns_outside_the_matrix_are_refused_with_their_place() {
    for column in [GENES as u32, u32::MAX] {
        for untidy in [false, true] {
            let mut liar = Liar::new(true, move |first, chunk| {
                if first == 256 {
                    let (indptr, indices, _) = arrays(chunk);
                    let at = indptr[4] - 1;
                    indices[at] = column;
                }
            });
            liar.table.untidy = untidy;
            let error = refused(liar, &["in row 259"]);
            let StorageError::ColumnOutOfRange { column: found, columns, .. } = error else { panic!("{error}") };
            assert_eq!((found, columns), (column.into(), GENES as u64));
        }
    }
}

#[test]
fn arrays_that_disagree_in_length_are_refused() {
    let sparse = |bend: fn(Arrays<'_>)| Liar::new(true, move |_, chunk| bend(arrays(chunk)));
    type Lie = (fn(Arrays<'_>), &'static str);
    let lies: [Lie; 8] = [
        (|(indptr, ..)| indptr.clear(), "0 row pointers, expected 257"),
        (|(indptr, ..)| indptr.truncate(256), "256 row pointers, expected 257"),
        (|(indptr, ..)| indptr.push(indptr[256]), "258 row pointers, expected 257"),
        (|(indptr, ..)| indptr[0] = 1, "row pointers from 1"),
        (|(indptr, ..)| indptr[256] += 1, "row pointers from 0"),
        (|(indptr, ..)| indptr[3] = usize::MAX, "row pointers that fall from 18446744073709551615"),
        (|(_, indices, _)| indices.push(0), "row pointers from 0"),
        (|(.., values)| values.push(1.0), "row pointers from 0"),
    ];
    for (bend, words) in lies {
        refused(sparse(bend), &[words, "rows 0 to 256", "defect"]);
    }
    for change in [-1_isize, 1, GENES as isize, -(GENES as isize)] {
        let bend = move |_, chunk: &mut RowChunk| {
            let length = values(chunk).len().saturating_add_signed(change);
            values(chunk).resize(length, 1.0);
        };
        refused(Liar::new(false, bend), &["values for 40 columns", "defect"]);
        refused(Liar::full(bend), &["values for 40 columns", "defect"]);
    }
    refused(Liar::new(false, |_, chunk| *chunk = RowChunk::default()), &["0 values for 40 columns"]);
}

#[test]
fn a_form_that_is_not_true_is_refused() {
    let Form::Sparse { entries, most_per_tile } = Liar::new(true, |_, _| ()).form() else { panic!("a sparse table") };
    let sparse = |entries, most_per_tile| Liar::claiming(Form::Sparse { entries, most_per_tile });
    refused(sparse(entries, most_per_tile - 1), &["rows", "was announced to have"]);
    refused(sparse(entries, 0), &["rows 0 to 256", "was announced to have 0"]);
    refused(sparse(entries - 1, most_per_tile), &[&format!("has {entries} entries, but was announced to have")]);
    refused(sparse(entries + 1, most_per_tile), &[&format!("has {entries} entries, but was announced to have")]);
    refused(sparse(10, 11), &["11 entries in a tile, but 10 in all"]);
    refused(Liar::claiming(Form::Dense), &["sparse rows, although the matrix is dense"]);
    let tabular = Liar { form: Some(Form::Sparse { entries: 9, most_per_tile: 9 }), ..Liar::new(false, |_, _| ()) };
    refused(tabular, &["a table, although the matrix is sparse"]);
}

#[test]
fn claims_beyond_any_memory_are_refused_as_too_large() {
    let huge = Form::Sparse { entries: u64::MAX, most_per_tile: usize::MAX };
    assert_eq!(refused(Liar::claiming(huge), &[]).kind(), ErrorKind::Memory);
    for form in [None, Some(Form::Sparse { entries: 1, most_per_tile: 1 })] {
        let liar = Liar { resident: u64::MAX, form, ..Liar::new(form.is_some(), |_, _| ()) };
        assert_eq!(refused(liar, &[]).kind(), ErrorKind::Memory);
    }
}

#[test]
fn a_negative_zero_is_a_zero() {
    let folder = tempfile::tempdir().unwrap();
    let store = |name: &str, liar: Liar| {
        convert(Box::new(liar), &folder.path().join(name), &spec(1 << 30, 2), &Quiet).unwrap();
        contents(&folder.path().join(name))
    };
    let bend = |zero: f32| {
        move |_, chunk: &mut RowChunk| {
            values(chunk).iter_mut().for_each(|v| {
                if *v < 3.0 {
                    *v = zero
                }
            })
        }
    };
    assert!(store("a", Liar::full(bend(-0.0))) == store("b", Liar::full(bend(0.0))));
    assert!(store("c", Liar::new(true, bend(-0.0))) == store("d", Liar::new(true, bend(0.0))));
}
