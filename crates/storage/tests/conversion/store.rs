use partwise_storage::convert::excerpt;
use partwise_storage::source::{self, RowChunk, Source};
use partwise_storage::store::{Layout, SegmentBuf, Selection};
use partwise_storage::{Axis, ErrorKind, Overwrite, Quiet, StorageError, Store, Warning, convert, export};

use super::inputs::{Table, Watcher, contents, spec};

const PLENTY: u64 = 1 << 30;

/// The values of an AnnData file, row-major.
fn read_back(path: &std::path::Path) -> Vec<f32> {
    let mut source = source::open(path, &Selection::default()).unwrap();
    let genes = source.genes();
    let mut all = vec![0.0; source.cells() * genes];
    let mut chunk = RowChunk::default();
    source.read_rows(0..source.cells(), &mut chunk).unwrap();
    match chunk {
        RowChunk::Dense { values } => all = values,
        RowChunk::Sparse { indptr, indices, values } => {
            for row in 0..indptr.len() - 1 {
                assert!(indices[indptr[row]..indptr[row + 1]].is_sorted_by(|a, b| a < b));
                for at in indptr[row]..indptr[row + 1] {
                    all[row * genes + indices[at] as usize] = values[at];
                }
            }
        }
    }
    all
}

#[test]
fn threads_and_budget_do_not_change_a_byte() {
    for (table, layout) in [
        (Table::counts(3_000, 97, 4, true), Layout::Sparse),
        (Table::counts(3_000, 97, 4, false), Layout::Sparse),
        (Table::counts(1_500, 600, 1, false), Layout::Dense),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut seen: Option<Vec<(String, Vec<u8>)>> = None;
        for (threads, memory) in [(1, 36 << 20), (1, PLENTY), (2, 40 << 20), (7, PLENTY)] {
            let dest = folder.path().join(format!("{threads}-{memory}.pw"));
            let store = convert(Box::new(table.clone()), &dest, &spec(memory, threads), &Quiet).unwrap();
            assert_eq!(store.layout(), layout);
            let found = contents(&dest);
            match &seen {
                Some(first) => assert!(first == &found, "{threads} threads, {memory} bytes"),
                None => seen = Some(found),
            }
        }
    }
}

#[test]
fn an_excerpt_tells_what_the_store_will_be() {
    for (table, layout, whole) in [
        (Table::counts(1_700, 97, 4, true), Layout::Sparse, true),
        (Table::counts(1_700, 97, 4, false), Layout::Sparse, true),
        (Table { untidy: true, ..Table::counts(9_000, 97, 4, true) }, Layout::Sparse, false),
        (Table::counts(1_500, 600, 1, false), Layout::Dense, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let excerpt = excerpt(&mut table.clone(), &spec(PLENTY, 2)).unwrap();
        let store = convert(Box::new(table.clone()), &folder.path().join("x.pw"), &spec(PLENTY, 2), &Quiet).unwrap();
        let found = (excerpt.cells, excerpt.genes, excerpt.layout, excerpt.block_rows, excerpt.tile_rows);
        assert_eq!(found, (store.cells(), store.genes(), layout, store.block_rows(), store.tile_rows()));
        let packed: u64 = (0..store.blocks())
            .flat_map(|block| (0..store.block(block).tiles).map(move |tile| (block, tile)))
            .map(|(block, tile)| store.tile_bytes(block, tile) as u64)
            .sum();
        let told = [(excerpt.nonzeros, store.nonzeros()), (excerpt.packed_bytes, packed)];
        for (told, is) in told {
            // A few tiles give an estimate; all of them give the exact figure, except for the
            // padding between them.
            let off = (told as f64 / is as f64 - 1.0).abs();
            assert!(off < if whole { 0.01 } else { 0.05 }, "{told} and {is}");
        }
        assert!(excerpt.tiles.len() <= 8 && excerpt.max_tile_bytes <= store.max_tile_bytes() as u64 * 11 / 10);
        let mut buf = SegmentBuf::new();
        let segment = store.read(0, 0..1, &mut buf).unwrap();
        let (bytes, rows, nonzeros) = segment.packed(0);
        let first = &excerpt.tiles[0];
        assert_eq!((&first.bytes[..], first.rows, first.nonzeros), (bytes, rows, nonzeros));
    }
}

#[test]
fn a_store_goes_back_to_the_same_values_and_names() {
    let folder = tempfile::tempdir().unwrap();
    for (i, table) in [
        Table::counts(1_100, 83, 5, true),
        Table::counts(700, 300, 1, false),
        Table::counts(300, 40, 9, false),
        Table { values: vec![0.0; 120], genes: 12, sparse: true, ..Table::default() },
        Table { values: vec![0.25], genes: 1, ..Table::default() },
    ]
    .into_iter()
    .enumerate()
    {
        let dest = folder.path().join(format!("{i}.pw"));
        let watcher = Watcher::new();
        let store = convert(Box::new(table.clone()), &dest, &spec(PLENTY, 2), &watcher).unwrap();
        assert_eq!(watcher.rows(), table.cells() as u64);
        assert_eq!(store.nonzeros(), table.values.iter().filter(|&&v| v > 0.0).count() as u64);
        let back = folder.path().join(format!("{i}.h5ad"));
        export(&store, &back, Overwrite::Refuse, &Quiet).unwrap();
        assert!(read_back(&back) == table.values, "table {i}");
        let names = hdf5::File::open(&back).unwrap().dataset("obs/_index").unwrap();
        assert_eq!(names.read_raw::<hdf5::types::VarLenUnicode>().unwrap()[0].as_str(), "cells0");
    }
}

#[test]
fn untidy_rows_are_put_in_order_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = Table::counts(600, 50, 3, true);
    table.values.iter_mut().for_each(|v| *v *= 2.0);
    let tidy = convert(Box::new(table.clone()), &folder.path().join("a.pw"), &spec(PLENTY, 2), &Quiet).unwrap();
    let untidy = Table { untidy: true, ..table };
    let watcher = Watcher::new();
    let store = convert(Box::new(untidy), &folder.path().join("b.pw"), &spec(PLENTY, 2), &watcher).unwrap();
    assert_eq!(store.fingerprint(), tidy.fingerprint());
    assert_eq!(
        watcher.heard(),
        [
            Warning::SortedRows { count: 600 },
            Warning::MergedDuplicates { count: 600 },
            Warning::DroppedZeros { count: 600 },
        ]
    );
}

#[test]
fn duplicate_names_are_kept_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let watcher = Watcher::new();
    // The table's names repeat after a thousand.
    convert(Box::new(Table::counts(1_234, 20, 2, true)), &folder.path().join("a.pw"), &spec(PLENTY, 1), &watcher)
        .unwrap();
    let heard = watcher.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    let Warning::DuplicateNames { axis: Axis::Cells, count: 234, example } = &heard[0] else { panic!("{heard:?}") };
    assert!(example.strip_prefix("cells").is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n < 234)), "{example}");
}

#[test]
fn empty_cells_and_genes_are_said() {
    let folder = tempfile::tempdir().unwrap();
    for sparse in [true, false] {
        let mut table = Table::counts(300, 20, 1, sparse);
        table.values[..5 * 20].fill(0.0);
        table.values.iter_mut().skip(7).step_by(20).for_each(|v| *v = 0.0);
        let watcher = Watcher::new();
        convert(Box::new(table), &folder.path().join(format!("{sparse}.pw")), &spec(PLENTY, 2), &watcher).unwrap();
        let want = [Warning::Empty { axis: Axis::Cells, count: 5 }, Warning::Empty { axis: Axis::Genes, count: 1 }];
        assert_eq!(watcher.heard(), want);
    }
}

#[test]
fn nothing_is_left_when_cancelled_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::counts(2_000, 30, 3, true);
    for rows in [0, 1, 256, 1_000, 2_000] {
        let watcher = Watcher::cancelling_after(rows);
        let error =
            convert(Box::new(table.clone()), &folder.path().join("a.pw"), &spec(PLENTY, 3), &watcher).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert_eq!(contents(folder.path()), [], "after {rows} rows");
    }
}

#[test]
fn nothing_is_left_when_a_row_is_bad_and_an_older_store_stays() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("a.pw");
    for row in [0, 700, 1_999] {
        let source = Table { fails_at: Some(row), ..Table::counts(2_000, 30, 3, true) };
        let error = convert(Box::new(source), &dest, &spec(PLENTY, 3), &Quiet).unwrap_err();
        assert_eq!(error.to_string(), format!("row {row}"));
        assert_eq!(contents(folder.path()), []);
    }
    let old = convert(Box::new(Table::counts(300, 30, 3, true)), &dest, &spec(PLENTY, 1), &Quiet).unwrap();
    let exists = convert(Box::new(Table::counts(400, 30, 3, true)), &dest, &spec(PLENTY, 1), &Quiet).unwrap_err();
    assert_eq!(exists.kind(), ErrorKind::Exists);
    let mut replace = spec(PLENTY, 1);
    replace.overwrite = Overwrite::Replace;
    let failing = Table { fails_at: Some(399), ..Table::counts(400, 30, 3, true) };
    convert(Box::new(failing), &dest, &replace, &Quiet).unwrap_err();
    assert_eq!(Store::open(&dest).unwrap().fingerprint(), old.fingerprint());
    convert(Box::new(Table::counts(400, 30, 3, true)), &dest, &replace, &Quiet).unwrap();
    assert_eq!(Store::open(&dest).unwrap().cells(), 400);
}

#[test]
fn a_budget_that_is_named_will_do_whatever_the_one_given() {
    let folder = tempfile::tempdir().unwrap();
    for (mut table, resident) in [
        (Table::counts(300, 400, 4, false), 8 << 20),
        (Table::counts(300, 400, 4, false), 64 << 20),
        (Table::counts(300, 400, 1, false), 64 << 20),
    ] {
        table.resident = resident;
        let mut named = Vec::new();
        for given in [1_u64, 40 << 20, 48 << 20, (96 << 20) - 1, 96 << 20] {
            let dest = folder.path().join(format!("{resident}-{given}.pw"));
            let Err(error) = convert(Box::new(table.clone()), &dest, &spec(given, 2), &Quiet) else { continue };
            let StorageError::MemoryBudget { smallest, .. } = error else { panic!("{error}") };
            assert!(smallest > given);
            convert(Box::new(table.clone()), &dest, &spec(smallest, 2), &Quiet).unwrap();
            std::fs::remove_dir_all(&dest).unwrap();
            named.push(smallest);
        }
        assert!(!named.is_empty());
        if resident == 8 << 20 {
            assert!(named.iter().all(|&smallest| smallest == named[0]), "{named:?}");
        }
    }
}

#[test]
fn a_budget_that_is_too_small_names_the_smallest_that_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::counts(2_000, 3_000, 2, true);
    let error = convert(Box::new(table.clone()), &folder.path().join("a.pw"), &spec(1 << 20, 4), &Quiet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Memory);
    let StorageError::MemoryBudget { smallest, .. } = error else { panic!("{error}") };
    convert(Box::new(table.clone()), &folder.path().join("a.pw"), &spec(smallest, 4), &Quiet).unwrap();
    let less = convert(Box::new(table.clone()), &folder.path().join("b.pw"), &spec(smallest - 1, 4), &Quiet);
    assert_eq!(less.unwrap_err().kind(), ErrorKind::Memory);
}

#[test]
fn rows_that_are_fuller_than_the_sample_are_converted_too() {
    let folder = tempfile::tempdir().unwrap();
    // A million leading values decide: with 2,000 genes, the first 524 rows.
    let mut table = Table::counts(1_600, 2_000, 500, false);
    for row in [600, 601, 1_300] {
        table.values[row * 2_000..][..200 * 2_000].fill(3.0);
    }
    let store = convert(Box::new(table.clone()), &folder.path().join("a.pw"), &spec(PLENTY, 3), &Quiet).unwrap();
    assert_eq!(store.layout(), Layout::Sparse);
    let back = folder.path().join("a.h5ad");
    export(&store, &back, Overwrite::Refuse, &Quiet).unwrap();
    assert!(read_back(&back) == table.values);
    // Alone in flight, the tile needs more memory than the sample suggests, and the error states
    // how much.
    let error = convert(Box::new(table.clone()), &folder.path().join("b.pw"), &spec(38 << 20, 3), &Quiet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Memory, "{error}");
}

#[test]
fn block_heights_are_multiples_of_a_tile() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::counts(1_000, 30, 3, true);
    let with = |rows| partwise_storage::ConvertSpec { block_rows: Some(rows), ..spec(PLENTY, 1) };
    for rows in [0, 100, 300] {
        let error = convert(Box::new(table.clone()), &folder.path().join("a.pw"), &with(rows), &Quiet).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
    let store = convert(Box::new(table.clone()), &folder.path().join("a.pw"), &with(512), &Quiet).unwrap();
    assert_eq!((store.block_rows(), store.blocks()), (512, 2));
}

#[test]
fn a_matrix_without_rows_or_columns_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table { values: Vec::new(), genes: 5, sparse: true, ..Table::default() };
    let error = convert(Box::new(table), &folder.path().join("a.pw"), &spec(PLENTY, 1), &Quiet).unwrap_err();
    assert!(error.kind() == ErrorKind::BadData && error.to_string().contains("0 cells × 5 genes"), "{error}");
}

#[test]
fn a_panic_in_a_thread_is_passed_on_instead_of_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("a.pw");
    let table = Table { panics_at: Some(700), ..Table::counts(2_000, 30, 3, true) };
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        convert(Box::new(table), &dest, &spec(PLENTY, 2), &Quiet).map(drop)
    }));
    assert!(broken.is_err());
    assert_eq!(contents(folder.path()), []);
}
