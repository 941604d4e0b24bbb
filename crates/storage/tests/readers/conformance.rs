//! Every reader of ours keeps the promises of a source.

use std::path::Path;

use hdf5::File;
use partwise_storage::source::conformance::{annotations_are_readable, check};
use partwise_storage::source::{self, Source};

use super::files::{Csr, anndata, csr, selection};
use super::npy::save;

/// Checks the promises on the matrix `what` of the file at `path`.
fn hold(path: &Path, what: &str) {
    let open = || source::open(path, &selection(what)).unwrap() as Box<dyn Source>;
    check(&open);
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
    hold(&path, "X");
    drop(large().write(&path));
    hold(&path, "X");
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
    hold(&path, "layers/counts");
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
    hold(&path, "X");
    hold(&path, "raw/X");
}

#[test]
fn numpy_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let data: Vec<u8> = (0..600 * 11).flat_map(|i| (f64::from(i * 7 % 23) / 10.0).to_le_bytes()).collect();
    for fortran in [false, true] {
        save(&path, 1, "<f8", fortran, "(600, 11)", &data);
        hold(&path, "");
        hold(&path, "transpose");
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
        hold(&path, "X");
        let mut matrix = large();
        matrix.indices[at] = 11;
        drop(matrix.write(&path));
        hold(&path, "X");
    }
    let file = File::create(&path).unwrap();
    let values: Vec<f32> = (0..600 * 11).map(|i| if i % 777 == 500 { f32::NAN } else { 1.0 }).collect();
    file.new_dataset::<f32>().shape((600, 11)).create("X").unwrap().write_raw(&values).unwrap();
    file.close().unwrap();
    hold(&path, "X");
    let path = folder.path().join("x.npy");
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    for fortran in [false, true] {
        save(&path, 1, "<f4", fortran, "(600, 11)", &data);
        hold(&path, "");
    }
}
