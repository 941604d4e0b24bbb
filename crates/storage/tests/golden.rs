//! Stores of every released format stay readable: `golden/format-N` was written when format N was
//! new.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod planted;

use std::path::{Path, PathBuf};

use partwise_storage::{Quiet, Store};
use planted::Planted;

fn golden(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format)
}

#[test]
fn format_1_is_read() {
    is_read("format-1", false, false);
}

#[test]
fn format_1_1_is_read() {
    is_read("format-1.1", true, false);
}

#[test]
fn format_1_2_is_read() {
    is_read("format-1.2", true, true);
}

#[test]
fn format_1_3_is_read() {
    is_read("format-1.3", true, true);
    is_as_planted("format-1.3", &planted::shallow(), true, 57);
    for (name, packs_rows) in [("shallow", true), ("sparse", false), ("dense", false)] {
        let manifest = std::fs::read_to_string(golden("format-1.3").join(name).join("manifest.json")).unwrap();
        assert_eq!(manifest.contains("\"packed rows\""), packs_rows, "{name}");
    }
}

fn is_read(format: &str, has_per_million: bool, has_sample: bool) {
    is_as_planted(format, &planted::sparse(), has_per_million, if has_sample { 49 } else { 0 });
    // Dense stores keep no sample.
    is_as_planted(format, &planted::dense(), has_per_million, 0);
}

fn is_as_planted(format: &str, planted: &Planted, has_per_million: bool, sampled: usize) {
    let store = Store::open(&golden(format).join(planted.name)).unwrap();
    assert_eq!(store.gene_per_million().unwrap().is_some(), has_per_million);
    assert!(planted::values(&store).unwrap() == planted.values);
    let sample = planted::sample(&store).unwrap();
    assert_eq!(sample.len(), sampled);
    for (row, values) in sample {
        assert!(values == planted.values[row.cell * store.genes()..][..store.genes()], "row {}", row.cell);
    }
    assert_eq!(store.source(), &planted.header.source);
    assert_eq!(store.summary().nonzeros, planted.values.iter().filter(|&&value| value > 0.0).count() as u64);
    assert_eq!(store.summary().block_rows, planted.header.block_rows);
    assert_eq!(std::fs::read(store.annotations().unwrap()).unwrap(), b"names and columns");
    store.verify(&Quiet).unwrap();
}

/// Writes the golden stores of a new format:
/// `cargo test -p partwise-storage --test golden -- --ignored`.
#[test]
#[ignore = "only when a format is new"]
fn write_golden_stores() {
    let folder = golden("format-1.3");
    std::fs::create_dir_all(&folder).unwrap();
    for planted in [planted::sparse(), planted::shallow(), planted::dense()] {
        planted.store(&folder);
    }
}
