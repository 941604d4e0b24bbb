//! The conformance suite on sources in memory: it passes those that keep the promises and detects
//! those that do not.

use std::panic::{AssertUnwindSafe, catch_unwind};

use partwise_storage::source::conformance::{annotations_are_readable, check};
use partwise_storage::source::{Form, RowChunk, Source};

use super::hostile::Liar;
use super::inputs::Table;

#[test]
fn tables_in_memory_keep_the_promises() {
    for table in [
        Table::counts(600, 20, 3, true),
        Table::counts(600, 20, 1, false),
        Table { untidy: true, ..Table::counts(300, 20, 3, true) },
        Table { fails_at: Some(299), ..Table::counts(600, 20, 3, true) },
        Table { values: vec![0.0; 40], genes: 8, sparse: true, ..Table::default() },
    ] {
        let open = || Box::new(table.clone()) as Box<dyn Source>;
        check(&open);
        annotations_are_readable(&open, tempfile::tempdir().unwrap().path());
    }
}

/// The message of the suite for a source that breaks a promise.
fn found(liar: impl Fn() -> Liar) -> String {
    let held = catch_unwind(AssertUnwindSafe(|| check(&|| Box::new(liar()))));
    *held.expect_err("a lie is found").downcast::<String>().unwrap()
}

#[test]
fn lies_are_found() {
    let values = |chunk: &mut RowChunk, bend: fn(&mut Vec<f32>)| match chunk {
        RowChunk::Sparse { values, .. } | RowChunk::Dense { values } => bend(values),
    };
    let bent = |sparse: bool, bend: fn(&mut Vec<f32>)| move || Liar::new(sparse, move |_, chunk| values(chunk, bend));
    for sparse in [true, false] {
        let negative = found(bent(sparse, |values| values.iter_mut().for_each(|value| *value -= 3.0)));
        assert!(negative.contains("at least zero and finite"), "{negative}");
        assert!(found(bent(sparse, |values| values.push(1.0))).contains("chunk has"));
    }
    let form = || Liar::claiming(Form::Sparse { entries: 9, most_per_tile: 9 });
    assert!(found(form).contains("the form counts all entries"));
    assert!(found(|| Liar::claiming(Form::Dense)).contains("chunks are of the form"));
    // Rows depend on where a range begins.
    let moody = || {
        Liar::new(true, |first, chunk| {
            if let RowChunk::Sparse { values, .. } = chunk {
                values.iter_mut().for_each(|value| *value = first as f32);
            }
        })
    };
    assert!(found(moody).contains("is what it is alone"));
}
