use hdf5::File;
use partwise_storage::source;
use partwise_storage::store::Selection;
use partwise_storage::{Choice, ErrorKind, Remedy};

use super::conformance::hold;
use super::files::{Csr, csr, read_all};

fn at(dataset: &str) -> Selection {
    Selection { dataset: Some(dataset.into()), ..Selection::default() }
}

/// 4 × 6 as a table and in both sparse forms, with its shape as an attribute or a list.
fn write(path: &std::path::Path) {
    let file = File::create(path).unwrap();
    let values: Vec<f32> = (0..24).map(|v| v as f32).collect();
    let group = file.create_group("deep/inside").unwrap();
    let table = group.new_dataset::<f32>().shape((4, 6)).create("table").unwrap();
    table.write_raw(&values).unwrap();
    let x = group.new_dataset::<f32>().shape([6]).create("list").unwrap();
    x.write_raw(&values[..6]).unwrap();
    drop((csr().write_as(&file, "csr", "csr_matrix"), csr().by_column().write_as(&file, "csc", "csc_matrix")));
    for (name, matrix) in [("plain_csr", csr()), ("plain_csc", csr().by_column())] {
        let sparse = matrix.write_as(&file, name, "");
        for attribute in ["encoding-type", "encoding-version", "shape"] {
            sparse.delete_attr(attribute).unwrap();
        }
        sparse.new_dataset_builder().with_data(&[4_u32, 6]).create("shape").unwrap();
    }
    file.close().unwrap();
}

#[test]
fn tables_and_sparse_matrices_are_read_at_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5");
    write(&path);
    let read = |name: &str| read_all(&mut *source::open(&path, &at(name)).unwrap(), 2).unwrap();
    let expected = read("csr");
    assert_eq!(expected[..6], [1.0, 0.0, 0.0, 2.5, 0.0, 3.0]);
    for name in ["csc", "plain_csr", "/plain_csc", "deep/inside/table"] {
        hold(&path, &at(name));
        hold(&path, &Selection { transpose: true, ..at(name) });
        if !name.contains("table") {
            assert_eq!(read(name), expected, "{name}");
        }
    }
    assert_eq!(read("/deep/inside/table/"), (0..24).map(|v| v as f32).collect::<Vec<_>>());
}

#[test]
fn what_is_missing_is_named_with_the_matrices_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5");
    write(&path);
    // Groups of sparse matrices are taken for those of Cell Ranger unless a path is chosen.
    let error = source::open(&path, &Selection::default()).err().unwrap();
    assert!(error.to_string().contains("genome plain_csc"), "{error}");
    for (chosen, said) in
        [(at("none"), "no \"none\""), (at("deep"), "\"deep\" is a group without data"), (at("/"), "no \"\"")]
    {
        let error = source::open(&path, &chosen).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::BadData, "{error}");
        assert!(error.to_string().contains(said), "{error}");
        let Some(remedy) = error.remedy() else { continue };
        let Remedy::ChooseOne { choice: Choice::Dataset, names } = remedy else { panic!("{error}") };
        assert_eq!(names[..2], ["csc (sparse)", "csr (sparse)"]);
        assert_eq!(names[2], "deep/inside/table (4 × 6)");
        for name in names {
            source::open(&path, &at(name.split(' ').next().unwrap())).unwrap();
        }
    }
    let file = File::create(&path).unwrap();
    file.new_dataset::<f32>().shape((3, 2)).create("counts").unwrap();
    file.close().unwrap();
    let said = source::open(&path, &Selection::default()).err().unwrap().to_string();
    assert!(said.contains("no \"X\"") && said.ends_with("counts (3 × 2)"), "{said}");
}

#[test]
fn lists_and_lengths_that_disagree_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5");
    write(&path);
    let refused = |name: &str| source::open(&path, &at(name)).err().unwrap().to_string();
    assert!(refused("deep/inside/list").contains("shape [6], expected cells × genes"));
    let file = File::append(&path).unwrap();
    let bent = Csr { indptr: vec![0, 3, 3, 6], ..csr() };
    drop(bent.write_as(&file, "bent", "csr_matrix"));
    let bare = file.group("plain_csr").unwrap();
    bare.unlink("shape").unwrap();
    drop(bare);
    file.close().unwrap();
    assert!(refused("bent").contains("4 row pointers, expected 5"));
    assert!(refused("plain_csr").contains("has no shape"));
}
