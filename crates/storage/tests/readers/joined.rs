//! Several files as one matrix, as a source.

use std::path::{Path, PathBuf};

use partwise_storage::convert::{ConvertSpec, convert};
use partwise_storage::source::conformance::{annotations_are_readable, check};
use partwise_storage::source::{self, Form};
use partwise_storage::{Inputs, Join, Joining, Overwrite, Quiet, Selection};

use super::matrix_market::BANNER;
use super::npy::save;

const GENES: usize = 11;

/// A table of numbers from 0 to 4, most of them 0.
fn table(path: &Path, cells: usize) {
    let values = (0..cells * GENES).map(|at| if at % 7 < 2 { (at % 5) as f64 } else { 0.0 });
    let bytes: Vec<u8> = values.flat_map(f64::to_le_bytes).collect();
    save(path, 1, "<f8", false, &format!("({cells}, {GENES})"), &bytes);
}

/// A table, a list of entries in no order, and a store, whose genes are called 0, 1, 2, …
fn files(folder: &Path) -> [PathBuf; 3] {
    let at = ["a.npy", "b.mtx", "c.pw"].map(|name| folder.join(name));
    table(&at[0], 300);
    let lines: String = (0..400).map(|i| format!("{} {} {}\n", i * 7 % GENES + 1, i * 3 % 40 + 1, i % 9)).collect();
    std::fs::write(&at[1], format!("{BANNER}{GENES} 40 400\n{lines}")).unwrap();
    let whole = folder.join("c.npy");
    table(&whole, 700);
    let spec = ConvertSpec { block_rows: None, memory: 1 << 30, threads: 1, overwrite: Overwrite::Refuse };
    convert(source::open(&whole, &Selection::default()).unwrap(), &at[2], &spec, &Quiet).unwrap();
    at
}

fn inputs(paths: &[PathBuf], join: Join) -> Inputs {
    let named = paths.iter().map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path));
    Inputs::files(named, Joining { join, ..Joining::default() })
}

#[test]
fn files_of_any_form_are_one_source() {
    let folder = tempfile::tempdir().unwrap();
    let [table, entries, store] = files(folder.path());
    for paths in [
        vec![table.clone(), entries.clone(), store.clone()],
        vec![store, table.clone()],
        vec![entries, table.clone()],
        vec![table],
    ] {
        let open = || inputs(&paths, Join::Outer).open(&Selection::default()).unwrap();
        let is_dense = paths.iter().all(|path| path.extension().is_some_and(|ending| ending == "npy"));
        assert_eq!(matches!(open().form(), Form::Dense), is_dense, "{paths:?}");
        check(&open);
        annotations_are_readable(&open, folder.path());
    }
}
