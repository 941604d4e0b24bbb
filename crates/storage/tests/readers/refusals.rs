use std::path::Path;

use hdf5::File;
use partwise_storage::{ErrorKind, source};

use super::files::{Csr, anndata, csr, refusal, selection, text};

/// Writes an altered matrix, and checks that the error has these words and names the file.
fn refused<T: hdf5::H5Type, I: hdf5::H5Type, P: hdf5::H5Type>(matrix: &Csr<T, I, P>, said: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bent.h5ad");
    drop(matrix.write(&path));
    let (kind, text) = refusal(&path, "X");
    assert_eq!(kind, ErrorKind::BadData, "{text}");
    for word in said.iter().chain(&["bent.h5ad"]) {
        assert!(text.contains(word), "expected {word:?} in: {text}");
    }
}

#[test]
fn values_that_nmf_cannot_take_are_named_with_row_and_column() {
    for (value, word) in [(-0.5, "negative value -0.5"), (f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let mut matrix = csr();
        matrix.data[4] = value;
        refused(&matrix, &["\"X\"", word, "row 3, column 2"]);
    }
    let Csr { shape, indices, indptr, .. } = csr();
    let data = vec![1.0, 2.0, 3.0, 1e39, 5.0, 6.0];
    refused(&Csr { shape, data, indices, indptr }, &["1e39", "row 2, column 1", "beyond 32-bit floats"]);
}

#[test]
fn row_pointers_that_contradict_themselves_are_refused() {
    let with = |indptr: [i32; 5]| Csr { indptr: indptr.to_vec(), ..csr() };
    refused(&with([1, 3, 3, 4, 6]), &["X/indptr", "begins with 1"]);
    refused(&with([0, 3, 2, 4, 6]), &["X/indptr", "falls from 3 to 2 at row 1"]);
    refused(&with([0, 3, 3, 4, 5]), &["ends with 5", "6 entries"]);
    refused(&with([0, 3, 3, 4, 9]), &["ends with 9", "6 entries"]);
    refused(&with([0, 3, 3, i32::MIN, 6]), &["wrapped at 2^31", "row 2"]);
    refused(&Csr { indptr: vec![0, 3, 6], ..csr() }, &["3 row pointers", "expected 5"]);
    let Csr { shape, data, indices, indptr } = csr();
    let floats = Csr { shape, data, indices, indptr: indptr.iter().map(|&p| p as f32).collect() };
    refused(&floats, &["X/indptr", "integers"]);
}

#[test]
fn row_pointers_that_the_file_cannot_hold_are_refused_before_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("claims.h5ad");
    let rows = 1_usize << 40;
    let file = csr().write(&path);
    let group = file.group("X").unwrap();
    group.unlink("indptr").unwrap();
    // Never written, so that it takes no room and reads as zeros, for hours.
    group.new_dataset::<i64>().chunk(1 << 16).shape(rows + 1).create("indptr").unwrap();
    group.attr("shape").unwrap().write_raw(&[rows as i64, 6]).unwrap();
    drop((group, file));
    let (kind, text) = refusal(&path, "X");
    assert_eq!(kind, ErrorKind::BadData, "{text}");
    assert!(text.contains("X/indptr") && text.contains("claims 1099511627777 entries"), "{text}");
}

#[test]
fn columns_outside_the_matrix_are_refused() {
    for (column, word) in [(6, "column 6 in row 0"), (-1, "column -1 in row 0")] {
        let mut matrix = csr();
        matrix.indices[1] = column;
        refused(&matrix, &[word, "6 columns"]);
        let Csr { shape, data, indices, indptr } = matrix;
        let wide = Csr { shape, data, indices: indices.iter().map(|&c| i64::from(c)).collect(), indptr };
        refused(&wide, &[word, "6 columns"]);
    }
    let Csr { shape, data, mut indices, indptr } = csr();
    indices[5] = 77;
    let narrow = Csr { shape, data, indices: indices.iter().map(|&c| c as u16).collect(), indptr };
    refused(&narrow, &["column 77 in row 3"]);
}

#[test]
fn lengths_and_shapes_that_disagree_are_refused() {
    refused(&Csr { data: vec![1.0; 5], ..csr() }, &["X/indices", "6 entries", "data has 5"]);
    refused(&Csr { shape: vec![4], ..csr() }, &["shape [4]"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let file = anndata(&path, 4, 9);
    csr().write_as(&file, "X", "csr_matrix");
    file.close().unwrap();
    let (_, said) = refusal(&path, "X");
    assert!(said.contains("6 genes") && said.contains("var names 9"), "{said}");
}

#[test]
fn what_is_missing_is_named_with_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let file = anndata(&path, 4, 6);
    file.close().unwrap();
    assert!(refusal(&path, "X").1.contains("no matrix at all"));
    assert!(refusal(&path, "layers/counts").1.contains("no layers"));
    let file = File::append(&path).unwrap();
    let layers = file.create_group("layers").unwrap();
    csr().write_as(&layers, "spliced", "csr_matrix");
    csr().write_as(&layers, "unspliced", "csr_matrix");
    let raw = file.create_group("raw").unwrap();
    csr().write_as(&raw, "X", "csr_matrix");
    drop((layers, raw));
    file.close().unwrap();
    let (kind, said) = refusal(&path, "X");
    assert_eq!(kind, ErrorKind::BadData);
    assert!(said.contains("layer spliced, layer unspliced, raw"), "{said}");
    assert!(refusal(&path, "layers/counts").1.contains("its layers are spliced, unspliced"));
    assert_eq!(refusal(&folder.path().join("none.h5ad"), "X").0, ErrorKind::NotFound);
}

#[test]
fn other_things_called_x_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let make = |what: &dyn Fn(&File)| {
        let file = anndata(&path, 4, 6);
        what(&file);
        file.close().unwrap();
        refusal(&path, "X").1
    };
    let list = make(&|file| drop(file.new_dataset_builder().with_data(&[1.0_f32; 6]).create("X").unwrap()));
    assert!(list.contains("shape [6], expected cells × genes"), "{list}");
    let bare = make(&|file| drop(file.create_group("X").unwrap()));
    assert!(bare.contains("without an encoding-type"), "{bare}");
    let odd = make(&|file| text(&file.create_group("X").unwrap(), "encoding-type", "coo_matrix"));
    assert!(odd.contains("coo_matrix"), "{odd}");
    let words = make(&|file| {
        let texts: [hdf5::types::VarLenUnicode; 1] = ["a".parse().unwrap()];
        let x = file.new_dataset::<hdf5::types::VarLenUnicode>().shape((1, 1)).create("X").unwrap();
        x.write_raw(&texts).unwrap();
    });
    assert!(words.contains("expected numbers"), "{words}");
}

#[test]
fn a_filter_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let file = anndata(&path, 4, 6);
    // Optional, so that the library accepts a filter that it does not have.
    let create = hdf5::plist::DatasetCreate::build().chunk((2, 6)).finish().unwrap();
    // SAFETY: the list is live, and a filter without parameters may have a null pointer for them.
    let code = unsafe { hdf5_sys::h5p::H5Pset_filter(create.id(), 32013, 1, 0, std::ptr::null()) };
    assert_eq!(code, 0);
    file.new_dataset::<f32>().shape((4, 6)).set_create_plist(&create).create("X").unwrap();
    file.close().unwrap();
    let (kind, said) = refusal(&path, "X");
    assert_eq!(kind, ErrorKind::BadData);
    assert!(said.contains("zfp (HDF5 filter 32013)") && said.contains("hdf5plugin"), "{said}");
}

#[test]
fn a_file_cut_anywhere_is_refused_or_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    drop(csr().write(&path));
    let whole = std::fs::read(&path).unwrap();
    let cut = folder.path().join("cut.h5ad");
    for len in (0..whole.len()).step_by(61) {
        std::fs::write(&cut, &whole[..len]).unwrap();
        assert_eq!(refusal(&cut, "X").0, ErrorKind::BadData, "{len} of {} bytes", whole.len());
    }
    assert!(source::open(Path::new(&path), &selection("X")).is_ok());
}
