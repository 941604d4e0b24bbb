//! Every reader of ours keeps the promises of a source.

use std::path::Path;

use hdf5::File;
use partwise_storage::source::conformance::{annotations_are_readable, check};
use partwise_storage::source::{self, Source};
use partwise_storage::store::Selection;

use super::files::{Csr, anndata, csr, read_all, selection};
use super::matrix_market::BANNER;
use super::npy::save;

/// Checks the promises on the matrix that `chosen` names in the file at `path`.
pub(crate) fn hold(path: &Path, chosen: &Selection) {
    let open = || source::open(path, chosen).unwrap() as Box<dyn Source>;
    check(&open);
    for (threads, memory) in [(1, 1 << 12), (3, 1 << 20)] {
        check(&|| {
            let mut source = open();
            source.read_ahead(threads, memory);
            source
        });
    }
    let folder = tempfile::tempdir().unwrap();
    annotations_are_readable(&open, folder.path());
}

/// 600 × 11 with rows of none to four entries, some of them beyond the f32 that are exact.
fn large() -> Csr<i64, i32, i64> {
    let mut matrix = Csr { shape: vec![600, 11], data: Vec::new(), indices: Vec::new(), indptr: vec![0] };
    for row in 0..600_i64 {
        for entry in 0..row * 7 % 5 {
            matrix.data.push(if row % 90 == 1 { 16_777_217 + 2 * row } else { row % 13 });
            matrix.indices.push(((row * 3 + entry * 4) % 11) as i32);
        }
        matrix.indptr.push(matrix.data.len() as i64);
    }
    matrix
}

#[test]
fn sparse_matrices_of_anndata_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    drop(csr().write(&path));
    hold(&path, &selection("X"));
    drop(large().write(&path));
    hold(&path, &selection("X"));
    let file = anndata(&path, 600, 11);
    let matrix = large();
    let layer = matrix.write_as(&file.create_group("layers").unwrap(), "counts", "csr_matrix");
    for name in ["data", "indices"] {
        layer.unlink(name).unwrap();
    }
    // Small compressed chunks, so that rows span several.
    layer.new_dataset_builder().with_data(&matrix.data).chunk(7).deflate(4).create("data").unwrap();
    layer.new_dataset_builder().with_data(&matrix.indices).chunk(5).deflate(4).create("indices").unwrap();
    drop(layer);
    file.close().unwrap();
    hold(&path, &selection("layers/counts"));
}

#[test]
fn matrices_stored_by_gene() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let file = anndata(&path, 600, 11);
    large().by_column().write_as(&file, "X", "csc_matrix");
    let layers = file.create_group("layers").unwrap();
    let mut negative = large().by_column();
    negative.data[300] = -1;
    negative.write_as(&layers, "negative", "csc_matrix");
    let mut outside = large().by_column();
    outside.indices[7] = 600;
    outside.write_as(&layers, "outside", "csc_matrix");
    drop(layers);
    file.close().unwrap();
    for what in ["X", "layers/negative", "layers/outside"] {
        hold(&path, &selection(what));
    }
    let read = |what: &str| read_all(&mut *source::open(&path, &selection(what)).unwrap(), 100);
    let by_cell = folder.path().join("by_cell.h5ad");
    drop(large().write(&by_cell));
    let expected = read_all(&mut *source::open(&by_cell, &selection("X")).unwrap(), 100).unwrap();
    assert_eq!(read("X").unwrap(), expected);
    let value = large().by_column();
    let (cell, gene) = (value.indices[300], value.indptr.partition_point(|&p| p <= 300) - 1);
    let said = read("layers/negative").unwrap_err().to_string();
    assert!(said.contains(&format!("-1 at row {cell}, column {gene}")), "{said}");
    let said = read("layers/outside").unwrap_err().to_string();
    assert!(said.contains("cell 600") && said.contains("only 600 cells"), "{said}");
}

#[test]
fn transposed_matrices_of_anndata_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let file = anndata(&path, 11, 600);
    let flipped = Csr { shape: vec![11, 600], ..large().by_column() };
    flipped.write_as(&file, "X", "csr_matrix");
    file.close().unwrap();
    hold(&path, &selection("transpose"));
    let source = source::open(&path, &selection("transpose")).unwrap();
    assert_eq!((source.cells(), source.genes()), (600, 11));
    drop(source);

    let values: Vec<f64> = (0..600 * 11).map(|i| f64::from(i * 7 % 23) / 10.0).collect();
    for chunk in [None, Some([4, 50]), Some([11, 600])] {
        let file = anndata(&path, 11, 600);
        let x = file.new_dataset::<f64>().shape([11, 600]);
        let x =
            chunk.map_or_else(|| x.clone().no_chunk(), |chunk| x.clone().chunk(chunk).deflate(1)).create("X").unwrap();
        x.write_raw(&values).unwrap();
        drop(x);
        file.close().unwrap();
        hold(&path, &selection("transpose"));
        let read = read_all(&mut *source::open(&path, &selection("transpose")).unwrap(), 100).unwrap();
        for (at, value) in read.iter().enumerate() {
            assert_eq!(*value, values[at % 11 * 600 + at / 11] as f32, "{chunk:?}");
        }
    }
}

#[test]
fn dense_matrices_of_anndata_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let values: Vec<f64> = (0..600 * 11).map(|i| f64::from(i * 7 % 23) / 10.0).collect();
    let file = anndata(&path, 600, 11);
    let x = file.new_dataset::<f64>().chunk((9, 4)).deflate(4).shape((600, 11)).create("X").unwrap();
    x.write_raw(&values).unwrap();
    let raw = file.create_group("raw").unwrap();
    let whole: Vec<u8> = (0..600 * 11).map(|i| (i % 3) as u8).collect();
    raw.new_dataset::<u8>().shape((600, 11)).create("X").unwrap().write_raw(&whole).unwrap();
    drop((x, raw));
    file.close().unwrap();
    hold(&path, &selection("X"));
    hold(&path, &selection("raw/X"));
}

#[test]
fn numpy_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let data: Vec<u8> = (0..600 * 11).flat_map(|i| (f64::from(i * 7 % 23) / 10.0).to_le_bytes()).collect();
    for fortran in [false, true] {
        save(&path, 1, "<f8", fortran, "(600, 11)", &data);
        hold(&path, &selection(""));
        hold(&path, &selection("transpose"));
    }
}

#[test]
fn files_with_values_that_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    for (at, value) in [(300, -1), (0, -7)] {
        let mut matrix = large();
        matrix.data[at] = value;
        drop(matrix.write(&path));
        hold(&path, &selection("X"));
        let mut matrix = large();
        matrix.indices[at] = 11;
        drop(matrix.write(&path));
        hold(&path, &selection("X"));
    }
    let file = File::create(&path).unwrap();
    let values: Vec<f32> = (0..600 * 11).map(|i| if i % 777 == 500 { f32::NAN } else { 1.0 }).collect();
    file.new_dataset::<f32>().shape((600, 11)).create("X").unwrap().write_raw(&values).unwrap();
    file.close().unwrap();
    hold(&path, &selection("X"));
    let path = folder.path().join("x.npy");
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    for fortran in [false, true] {
        save(&path, 1, "<f4", fortran, "(600, 11)", &data);
        hold(&path, &selection(""));
    }
}

#[test]
fn matrix_market_files() {
    let folder = tempfile::tempdir().unwrap();
    let lines = |bent: &str| {
        let entries = (0..2000).map(|at| match at {
            1234 => bent.to_owned(),
            _ => format!("{} {} {}\n", at * 7 % 11 + 1, at * 31 % 600 + 1, if at % 90 == 1 { "0.1" } else { "3" }),
        });
        format!("{BANNER}11 600 2000\n{}", entries.collect::<String>())
    };
    for name in ["x.mtx", "x.mtx.gz"] {
        for bent in ["5 5 5\n", "5 5 -5\n", "12 5 5\n", "5 5\n", ""] {
            let path = folder.path().join(name);
            super::matrix_market::save(&path, &lines(bent));
            hold(&path, &selection(""));
            hold(&path, &selection("transpose"));
        }
    }
}
