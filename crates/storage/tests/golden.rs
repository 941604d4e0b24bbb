//! Stores of every released format stay readable: `golden/format-N` was written when format N was
//! new.

mod planted;

use std::path::{Path, PathBuf};

use partwise_storage::{Quiet, Store};

fn golden(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format)
}

#[test]
fn format_1_is_read() {
    for planted in [planted::sparse(), planted::dense()] {
        let store = Store::open(&golden("format-1").join(planted.name)).unwrap();
        assert!(planted::values(&store).unwrap() == planted.values);
        assert_eq!(store.source(), &planted.header.source);
        assert_eq!(store.summary().nonzeros, planted.values.iter().filter(|&&value| value > 0.0).count() as u64);
        assert_eq!(store.summary().block_rows, planted.header.block_rows);
        assert_eq!(std::fs::read(store.annotations().unwrap()).unwrap(), b"names and columns");
        store.verify(&Quiet).unwrap();
    }
}

/// Writes the golden stores of a new format:
/// `cargo test -p partwise-storage --test golden -- --ignored`.
#[test]
#[ignore = "only when a format is new"]
fn write_golden_stores() {
    let folder = golden("format-1");
    std::fs::create_dir_all(&folder).unwrap();
    for planted in [planted::sparse(), planted::dense()] {
        planted.store(&folder);
    }
}
