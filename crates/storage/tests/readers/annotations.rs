use std::path::Path;

use hdf5::types::{FixedAscii, VarLenUnicode};
use hdf5::{File, Group, H5Type};
use partwise_storage::source;

use super::files::{Listener, anndata, csr, selection, shared, strings, text};

/// Writes the annotations of `path` and opens them.
fn annotations(path: &Path, what: &str) -> (File, Vec<String>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("annotations.h5ad");
    let listener = Listener::default();
    source::open(path, &selection(what)).unwrap().write_annotations(&dest, &listener).unwrap();
    (File::open(&dest).unwrap(), listener.heard(), folder)
}

fn texts(group: &Group, name: &str) -> Vec<String> {
    let dataset = group.dataset(name).unwrap();
    assert_eq!(attr(&dataset, "encoding-type"), "string-array", "{name}");
    dataset.read_raw::<VarLenUnicode>().unwrap().iter().map(|s| s.to_string()).collect()
}

fn attr(at: &hdf5::Location, name: &str) -> String {
    at.attr(name).unwrap().read_scalar::<VarLenUnicode>().unwrap().to_string()
}

fn columns(group: &Group) -> Vec<String> {
    assert_eq!(attr(group, "encoding-type"), "dataframe");
    assert_eq!(attr(group, "encoding-version"), "0.2.0");
    group.attr("column-order").unwrap().read_raw::<VarLenUnicode>().unwrap().iter().map(|s| s.to_string()).collect()
}

#[test]
fn names_and_columns_of_today_are_copied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let file = csr().write(&path);
    let obs = file.group("obs").unwrap();
    let order = ["depth", "kind", "odd"].map(|s| s.parse::<VarLenUnicode>().unwrap());
    obs.new_attr::<VarLenUnicode>().shape(3).create("column-order").unwrap().write_raw(&order).unwrap();
    let depth = obs.new_dataset_builder().with_data(&[1.5, 2.5, 3.5, 4.5]).create("depth").unwrap();
    text(&depth, "encoding-type", "array");
    let kind = obs.create_group("kind").unwrap();
    // Attributes as strings of one length, as Julia writes them.
    let bytes = FixedAscii::<11>::from_ascii(b"categorical").unwrap();
    kind.new_attr::<FixedAscii<11>>().create("encoding-type").unwrap().write_scalar(&bytes).unwrap();
    text(&kind, "encoding-version", "0.2.0");
    kind.new_attr::<bool>().create("ordered").unwrap().write_scalar(&true).unwrap();
    kind.new_dataset_builder().with_data(&[0_i8, 1, -1, 0]).create("codes").unwrap();
    strings(&kind, "categories", &["T".into(), "B".into()]);
    obs.new_dataset_builder().with_data(&[1, 2]).create("odd").unwrap();
    drop((obs, depth, kind));
    file.close().unwrap();

    let (copy, heard, _folder) = annotations(&path, "X");
    assert_eq!(attr(&copy, "encoding-type"), "anndata");
    let obs = copy.group("obs").unwrap();
    assert_eq!(texts(&obs, "_index"), ["c0", "c1", "c2", "c3"]);
    assert_eq!(columns(&obs), ["depth", "kind"]);
    assert_eq!(obs.dataset("depth").unwrap().read_raw::<f64>().unwrap(), [1.5, 2.5, 3.5, 4.5]);
    let kind = obs.group("kind").unwrap();
    assert_eq!(attr(&kind, "encoding-type"), "categorical");
    assert_eq!(kind.dataset("codes").unwrap().read_raw::<i8>().unwrap(), [0, 1, -1, 0]);
    assert_eq!(texts(&kind, "categories"), ["T", "B"]);
    assert!(kind.attr("ordered").unwrap().read_scalar::<bool>().unwrap());
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("obs/odd") && heard[0].contains("2 entries for 4 rows"), "{heard:?}");
    assert_eq!(texts(&copy.group("var").unwrap(), "_index").len(), 6);
    assert!(!copy.link_exists("X"));
}

#[test]
fn copied_columns_carry_no_times_and_are_the_same_bytes_at_any_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let file = csr().write(&path);
    let obs = file.group("obs").unwrap();
    let words = ["a", "µ", "", "d"].map(|s| s.parse::<VarLenUnicode>().unwrap());
    let packed = obs
        .new_dataset_builder()
        .with_data(&words)
        .obj_track_times(true)
        .chunk(3)
        .deflate(4)
        .create("packed words")
        .unwrap();
    text(&packed, "encoding-type", "string-array");
    let fixed = [b"x", b"y", b"z", b"w"].map(|s| FixedAscii::<3>::from_ascii(s).unwrap());
    obs.new_dataset_builder().with_data(&fixed).create("fixed words").unwrap();
    let numbers = obs
        .new_dataset_builder()
        .with_data(&[1.5, -2.5, f64::NAN, 4.5])
        .obj_track_times(true)
        .chunk(3)
        .shuffle()
        .deflate(4);
    let numbers = numbers.create("numbers").unwrap();
    text(&numbers, "a note", "kept");
    let nullable = obs.create_group("nullable").unwrap();
    text(&nullable, "encoding-type", "nullable-integer");
    nullable.new_dataset_builder().with_data(&[1_i64, 2, 3, 4]).obj_track_times(true).create("values").unwrap();
    nullable.new_dataset_builder().with_data(&[true, false, false, true]).create("mask").unwrap();
    drop((obs, packed, numbers, nullable));
    file.close().unwrap();

    let (first, heard, _first) = annotations(&path, "X");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let (second, _, _second) = annotations(&path, "X");
    assert_eq!(heard, Vec::<String>::new());
    let bytes = |file: &File| std::fs::read(file.filename()).unwrap();
    assert!(bytes(&first) == bytes(&second));
    // Old object headers store one time, which the library reports as that of the last change.
    let time = |file: &File, name: &str| file.dataset(&format!("obs/{name}")).unwrap().loc_info().unwrap().ctime;
    assert_ne!(time(&File::open(&path).unwrap(), "numbers"), 0, "the input carries times");
    let obs = first.group("obs").unwrap();
    assert_eq!(texts(&obs, "packed words"), ["a", "µ", "", "d"]);
    assert_eq!(texts(&obs, "fixed words"), ["x", "y", "z", "w"]);
    let numbers = obs.dataset("numbers").unwrap();
    let bits = numbers.read_raw::<f64>().unwrap().into_iter().map(f64::to_bits).collect::<Vec<_>>();
    assert_eq!(bits, [1.5, -2.5, f64::NAN, 4.5].map(f64::to_bits));
    assert_eq!((numbers.chunk(), numbers.filters().len()), (Some(vec![3]), 2));
    assert_eq!(attr(&numbers, "a note"), "kept");
    assert_eq!(obs.dataset("nullable/mask").unwrap().read_raw::<bool>().unwrap(), [true, false, false, true]);
    for name in ["_index", "packed words", "fixed words", "numbers", "nullable/values"] {
        assert_eq!(time(&first, name), 0, "{name}");
    }
}

/// A record of an `obs` of anndata 0.6.
#[derive(H5Type, Clone, Copy)]
#[repr(C)]
struct Record {
    index: FixedAscii<4>,
    depth: f32,
    cluster: i8,
    kept: bool,
}

#[test]
fn records_of_old_become_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let file = File::create(&path).unwrap();
    let x = csr().write_as(&file, "X", "csr_matrix");
    x.delete_attr("encoding-type").unwrap();
    text(&x, "h5sparse_format", "csr");
    let record = |i: u8| Record {
        index: FixedAscii::from_ascii(&[b'a' + i]).unwrap(),
        depth: f32::from(i),
        cluster: [1, 0, -1, 1][usize::from(i)],
        kept: i.is_multiple_of(2),
    };
    file.new_dataset_builder().with_data(&[0, 1, 2, 3].map(record)).create("obs").unwrap();
    let uns = file.create_group("uns").unwrap();
    strings(&uns, "cluster_categories", &["B".into(), "T".into()]);
    drop((x, uns));
    file.close().unwrap();

    let (copy, heard, _folder) = annotations(&path, "X");
    let obs = copy.group("obs").unwrap();
    assert_eq!(attr(&obs, "_index"), "index");
    assert_eq!(texts(&obs, "index"), ["a", "b", "c", "d"]);
    assert_eq!(columns(&obs), ["depth", "cluster", "kept"]);
    assert_eq!(obs.dataset("depth").unwrap().read_raw::<f32>().unwrap(), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(obs.dataset("kept").unwrap().read_raw::<bool>().unwrap(), [true, false, true, false]);
    let cluster = obs.group("cluster").unwrap();
    assert_eq!(attr(&cluster, "encoding-type"), "categorical");
    assert_eq!(cluster.dataset("codes").unwrap().read_raw::<i8>().unwrap(), [1, 0, -1, 1]);
    assert_eq!(texts(&cluster, "categories"), ["B", "T"]);
    // The file names no genes.
    assert_eq!(texts(&copy.group("var").unwrap(), "_index"), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(heard.len(), 1);
    assert!(heard[0].contains("names of genes"), "{heard:?}");
}

#[test]
fn raw_has_genes_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let file = anndata(&path, 4, 3);
    let raw = file.create_group("raw").unwrap();
    csr().write_as(&raw, "X", "csr_matrix");
    let var = raw.create_group("var").unwrap();
    text(&var, "_index", "gene");
    strings(&var, "gene", &["p", "q", "r", "s", "t", "u"].map(String::from));
    drop((raw, var));
    file.close().unwrap();
    let (copy, heard, _folder) = annotations(&path, "raw/X");
    assert_eq!(texts(&copy.group("var").unwrap(), "gene"), ["p", "q", "r", "s", "t", "u"]);
    assert_eq!(heard, Vec::<String>::new());
}

#[test]
fn categories_by_reference_are_found() {
    let Some(folder) = shared() else { return };
    let (copy, heard, _folder) = annotations(&folder.join("formats/anndata_archive_v0.7.0.h5ad"), "X");
    assert_eq!(heard, Vec::<String>::new());
    let obs = copy.group("obs").unwrap();
    assert_eq!(columns(&obs), ["obs_cat", "cat_ordered", "int64", "float64", "uint8"]);
    for (name, ordered) in [("obs_cat", false), ("cat_ordered", true)] {
        let column = obs.group(name).unwrap();
        assert_eq!(column.attr("ordered").unwrap().read_scalar::<bool>().unwrap(), ordered);
        let categories = texts(&column, "categories");
        let codes = column.dataset("codes").unwrap().read_raw::<i8>().unwrap();
        assert_eq!(codes.len(), 30);
        assert!(codes.iter().all(|&c| (c as usize) < categories.len()));
    }
}

#[test]
fn an_index_that_is_a_column_too_and_a_column_with_a_slash_are_copied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let file = csr().write(&path);
    let obs = file.group("obs").unwrap();
    obs.delete_attr("_index").unwrap();
    text(&obs, "_index", "barcode");
    strings(&obs, "barcode", &["p", "q", "r", "s"].map(String::from));
    let order = ["ünï/x", "barcode"].map(|s| s.parse::<VarLenUnicode>().unwrap());
    obs.new_attr::<VarLenUnicode>().shape(2).create("column-order").unwrap().write_raw(&order).unwrap();
    let nested = obs.create_group("ünï").unwrap();
    nested.new_dataset_builder().with_data(&[1.5, 2.5, 3.5, 4.5]).create("x").unwrap();
    drop((obs, nested));
    file.close().unwrap();

    let (copy, heard, _folder) = annotations(&path, "X");
    assert_eq!(heard, Vec::<String>::new());
    let obs = copy.group("obs").unwrap();
    assert_eq!(attr(&obs, "_index"), "barcode");
    assert_eq!(columns(&obs), ["ünï/x", "barcode"]);
    assert_eq!(texts(&obs, "barcode"), ["p", "q", "r", "s"]);
    assert_eq!(obs.dataset("ünï/x").unwrap().read_raw::<f64>().unwrap(), [1.5, 2.5, 3.5, 4.5]);
}

#[test]
fn codes_without_a_category_are_left_behind() {
    for (codes, said) in [
        (vec![0_i8, 1, 7, 0], "row 2 has the code 7, expected one of 2 categories"),
        (vec![0, -2, 1, 0], "row 1 has the code -2"),
        (vec![0, 1], "2 entries for 4 rows"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.h5ad");
        let file = csr().write(&path);
        let kind = file.create_group("obs/kind").unwrap();
        text(&kind, "encoding-type", "categorical");
        text(&kind, "encoding-version", "0.2.0");
        kind.new_dataset_builder().with_data(&codes).create("codes").unwrap();
        strings(&kind, "categories", &["T".into(), "B".into()]);
        drop(kind);
        file.close().unwrap();

        let (copy, heard, _folder) = annotations(&path, "X");
        assert_eq!(columns(&copy.group("obs").unwrap()), Vec::<String>::new());
        assert!(!copy.link_exists("obs/kind"));
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert!(heard[0].contains("obs/kind") && heard[0].contains(said), "{heard:?}");
    }
}

#[test]
fn values_in_other_files_are_copied_and_missing_ones_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let other = File::create(folder.path().join("other.h5")).unwrap();
    other.new_dataset_builder().with_data(&[1.5, 2.5, 3.5, 4.5]).create("values").unwrap();
    strings(&other, "categories", &["T".into(), "B".into()]);
    other.close().unwrap();
    let path = folder.path().join("x.h5ad");
    let file = csr().write(&path);
    let obs = file.group("obs").unwrap();
    let map = |from: &str, name: &str| {
        let dataset = obs.new_dataset::<f64>().shape(4).virtual_map(from, "values", 4, .., 4, ..);
        dataset.fill_value(-1.0).create(name).unwrap();
    };
    map("other.h5", "virtual");
    map("gone.h5", "virtual without source");
    obs.link_external("other.h5", "/values", "linked").unwrap();
    obs.link_external("gone.h5", "/values", "linked to nothing").unwrap();
    let kind = obs.create_group("kind").unwrap();
    text(&kind, "encoding-type", "categorical");
    kind.new_dataset_builder().with_data(&[0_i8, 1, -1, 0]).create("codes").unwrap();
    kind.link_external("other.h5", "/categories", "categories").unwrap();
    drop((obs, kind));
    file.close().unwrap();

    let (copy, heard, copied) = annotations(&path, "X");
    let obs = copy.group("obs").unwrap();
    let mut copies = columns(&obs);
    copies.sort();
    assert_eq!(copies, ["kind", "linked", "virtual"]);
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(
        heard.iter().any(|line| line.contains("obs/virtual without source") && line.contains("\"values\" of gone.h5"))
    );
    assert!(heard.iter().any(|line| line.contains("obs/linked to nothing") && line.contains("its target is missing")));
    drop((obs, copy));
    // The copy stands alone.
    std::fs::remove_file(folder.path().join("other.h5")).unwrap();
    let copy = File::open(copied.path().join("annotations.h5ad")).unwrap();
    for name in ["virtual", "linked"] {
        let values = copy.dataset(&format!("obs/{name}")).unwrap().read_raw::<f64>().unwrap();
        assert_eq!(values, [1.5, 2.5, 3.5, 4.5], "{name}");
    }
    assert_eq!(texts(&copy.group("obs/kind").unwrap(), "categories"), ["T", "B"]);
}

#[test]
fn numbers_as_names_are_shown_as_in_python() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let names = |write: &dyn Fn(&Group)| {
        let file = csr().write(&path);
        let obs = file.group("obs").unwrap();
        obs.unlink("_index").unwrap();
        write(&obs);
        drop(obs);
        file.close().unwrap();
        let (copy, heard, _folder) = annotations(&path, "X");
        assert_eq!(heard, Vec::<String>::new());
        texts(&copy.group("obs").unwrap(), "_index")
    };
    let floats = |obs: &Group| drop(obs.new_dataset_builder().with_data(&[1.0, -0.5, 1e16, 1e-5]).create("_index"));
    assert_eq!(names(&floats), ["1.0", "-0.5", "1e+16", "1e-05"]);
    let truths = |obs: &Group| drop(obs.new_dataset_builder().with_data(&[true, false, true, true]).create("_index"));
    assert_eq!(names(&truths), ["True", "False", "True", "True"]);
    let whole = |obs: &Group| drop(obs.new_dataset_builder().with_data(&[7_i64, -1, 0, 9]).create("_index"));
    assert_eq!(names(&whole), ["7", "-1", "0", "9"]);
}

#[test]
fn long_names_and_wide_strings_are_copied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let file = csr().write(&path);
    let obs = file.group("obs").unwrap();
    obs.unlink("_index").unwrap();
    // Each fits the memory for strings alone, but no two of the long ones together.
    let long = [150_000, 3, 200_000, 255_000].map(|len| "µx".repeat(len / 3));
    strings(&obs, "_index", &long);
    drop(obs);
    file.close().unwrap();
    let (copy, heard, _folder) = annotations(&path, "X");
    assert_eq!(heard, Vec::<String>::new());
    assert_eq!(texts(&copy.group("obs").unwrap(), "_index"), long);
}
