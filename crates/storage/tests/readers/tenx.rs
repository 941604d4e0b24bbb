//! Folders and HDF5 files of Cell Ranger.

use std::path::{Path, PathBuf};

use hdf5::types::FixedAscii;
use hdf5::{File, Group};
use partwise_storage::source::conformance::{annotations_are_readable, check};
use partwise_storage::source::{self, Form, Source};
use partwise_storage::store::Selection;
use partwise_storage::{ErrorKind, Quiet, StorageError};

use super::files::{Csr, Listener, read_all};
use super::matrix_market::{BANNER, save};

/// The features that are read.
fn of(features: Option<&str>, genome: Option<&str>) -> Selection {
    Selection { features: features.map(str::to_owned), genome: genome.map(str::to_owned), ..Selection::default() }
}

/// 2 cells × 4 features.
const VALUES: [f32; 8] = [5.0, 0.0, 2.0, 3.0, 0.0, 1.0, 0.0, 4.0];

const TYPES: [&str; 4] = ["Gene Expression", "Antibody Capture", "Gene Expression", "Antibody Capture"];
const GENOMES: [&str; 4] = ["hg", "", "mm", ""];

/// Writes a folder of version 3 with two types of features.
fn folder(path: &Path, end: &str) {
    std::fs::create_dir_all(path).unwrap();
    let entries = "3 1 2\n1 1 5\n4 1 3\n4 2 4\n2 2 1\n";
    save(&path.join(format!("matrix.mtx{end}")), &format!("{BANNER}4 2 5\n{entries}"));
    let features = (0..4).map(|at| format!("id{at}\tname{at}\t{}\n", TYPES[at]));
    save(&path.join(format!("features.tsv{end}")), &features.collect::<String>());
    save(&path.join(format!("barcodes.tsv{end}")), "AAAC-1\nAAAG-1\n");
}

/// Writes the matrix as a group of an HDF5 file, with columns in no order.
fn group(file: &File, name: &str) -> Group {
    let matrix: Csr<i32, i64, i64> =
        Csr { shape: vec![4, 2], data: vec![3, 2, 5, 4, 1], indices: vec![3, 2, 0, 3, 1], indptr: vec![0, 3, 5] };
    let group = file.create_group(name).unwrap();
    group.new_dataset_builder().with_data(&matrix.data).chunk(4).deflate(4).create("data").unwrap();
    group.new_dataset_builder().with_data(&matrix.indices).create("indices").unwrap();
    group.new_dataset_builder().with_data(&matrix.indptr).create("indptr").unwrap();
    group.new_dataset_builder().with_data(&[4_i32, 2]).create("shape").unwrap();
    texts(&group, "barcodes", &["AAAC-1", "AAAG-1"]);
    group
}

fn texts(group: &Group, name: &str, values: &[&str]) {
    let values: Vec<FixedAscii<20>> = values.iter().map(|text| FixedAscii::from_ascii(text).unwrap()).collect();
    group.new_dataset_builder().with_data(&values).create(name).unwrap();
}

/// A file of version 3.
fn version_3(path: &Path) {
    let file = File::create(path).unwrap();
    let features = group(&file, "matrix").create_group("features").unwrap();
    texts(&features, "id", &["id0", "id1", "id2", "id3"]);
    texts(&features, "name", &["name0", "name1", "name2", "name3"]);
    texts(&features, "feature_type", &TYPES);
    texts(&features, "genome", &GENOMES);
    features.create_group("target_sets").unwrap();
}

/// A file of version 2 with these genomes.
fn version_2(path: &Path, genomes: &[&str]) {
    let file = File::create(path).unwrap();
    for genome in genomes {
        let group = group(&file, genome);
        texts(&group, "genes", &["id0", "id1", "id2", "id3"]);
        texts(&group, "gene_names", &["name0", "name1", "name2", "name3"]);
    }
}

/// Columns of genes: names and texts.
type Columns = Vec<(String, Vec<String>)>;

/// Values, names of cells and genes, and columns of genes.
fn read(path: &Path, selection: &Selection) -> (Vec<f32>, Vec<String>, Vec<String>, Columns) {
    let open = || source::open(path, selection).unwrap() as Box<dyn Source>;
    check(&open);
    let scratch = tempfile::tempdir().unwrap();
    annotations_are_readable(&open, scratch.path());
    let mut source = open();
    source.prepare().unwrap();
    let values = read_all(&mut *source, 1).unwrap();
    let written = scratch.path().join("names.h5ad");
    source.write_annotations(&written, &Quiet).unwrap();
    let file = File::open(&written).unwrap();
    let list = |name: &str| -> Vec<String> {
        let texts = file.dataset(name).unwrap().read_raw::<hdf5::types::VarLenUnicode>().unwrap();
        texts.iter().map(|text| text.as_str().to_owned()).collect()
    };
    let mut columns = file.group("var").unwrap().member_names().unwrap();
    columns.retain(|name| name != "_index");
    let columns = columns.into_iter().map(|name| (name.clone(), list(&format!("var/{name}")))).collect();
    (values, list("obs/_index"), list("var/_index"), columns)
}

fn refused(path: &Path, selection: &Selection) -> StorageError {
    source::open(path, selection).and_then(|mut source| source.prepare()).expect_err("a refusal")
}

fn heard(path: &Path, selection: &Selection) -> Vec<String> {
    let (listener, scratch) = (Listener::default(), tempfile::tempdir().unwrap());
    let source = source::open(path, selection).unwrap();
    source.write_annotations(&scratch.path().join("names.h5ad"), &listener).unwrap();
    listener.heard()
}

/// Paths with the same matrix: folders plain and packed, and a file of version 3.
fn both(scratch: &Path) -> [PathBuf; 3] {
    let paths = ["plain", "packed", "x.h5"].map(|name| scratch.join(name));
    folder(&paths[0], "");
    folder(&paths[1], ".gz");
    version_3(&paths[2]);
    paths
}

#[test]
fn genes_are_read_unless_other_features_are_chosen() {
    let scratch = tempfile::tempdir().unwrap();
    for path in both(scratch.path()) {
        let column = |columns: &[(String, Vec<String>)], name: &str| {
            columns.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("{name}")).1.clone()
        };
        let (values, cells, genes, columns) = read(&path, &of(Some("all"), None));
        assert_eq!((&values[..], &cells[..]), (&VALUES[..], &["AAAC-1".to_owned(), "AAAG-1".to_owned()][..]));
        assert_eq!(genes, ["name0", "name1", "name2", "name3"]);
        assert_eq!(column(&columns, "gene_ids"), ["id0", "id1", "id2", "id3"]);
        assert_eq!(column(&columns, "feature_types"), TYPES);
        assert!(heard(&path, &of(Some("all"), None)).is_empty());

        let (values, _, genes, columns) = read(&path, &Selection::default());
        assert_eq!(
            (&values[..], &genes[..]),
            (&[5.0, 2.0, 0.0, 0.0][..], &["name0".to_owned(), "name2".to_owned()][..])
        );
        assert_eq!(column(&columns, "gene_ids"), ["id0", "id2"]);
        let said = heard(&path, &Selection::default());
        assert!(said.len() == 1 && said[0].contains("2 others left out (Antibody Capture)"), "{said:?}");

        let (values, _, genes, _) = read(&path, &of(Some("Antibody Capture"), None));
        assert_eq!(
            (&values[..], &genes[..]),
            (&[0.0, 3.0, 1.0, 4.0][..], &["name1".to_owned(), "name3".to_owned()][..])
        );
        assert!(heard(&path, &of(Some("Antibody Capture"), None)).is_empty());

        let error = refused(&path, &of(Some("CRISPR"), None));
        assert_eq!(error.kind(), ErrorKind::BadData);
        let said = error.to_string();
        assert!(
            said.contains("no feature type is CRISPR; choose one: features Gene Expression, features Anti"),
            "{said}"
        );
    }
}

#[test]
fn the_form_counts_the_features_that_are_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5");
    version_3(&path);
    let mut source = source::open(&path, &Selection::default()).unwrap();
    source.prepare().unwrap();
    assert_eq!(source.form(), Form::Sparse { entries: 2, most_per_tile: 2 });
    drop(source);
    let file = File::append(&path).unwrap();
    file.dataset("matrix/indices").unwrap().write_raw(&[3_i64, 2, 0, 7, 1]).unwrap();
    file.close().unwrap();
    let said = refused(&path, &Selection::default()).to_string();
    assert!(said.contains("column 7 in row 1") && said.contains("4 columns"), "{said}");
}

#[test]
fn features_of_a_genome_may_be_chosen() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5");
    version_3(&path);
    let (values, _, genes, columns) = read(&path, &of(None, Some("mm")));
    assert_eq!((&values[..], &genes[..]), (&[2.0, 0.0][..], &["name2".to_owned()][..]));
    assert!(columns.contains(&("genome".into(), vec!["mm".into()])));
    let said = refused(&path, &of(None, Some("rat"))).to_string();
    assert!(said.contains("no genome is rat; choose one: genome hg"), "{said}");
}

#[test]
fn a_group_for_each_genome_is_chosen_by_name() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5");
    version_2(&path, &["hg19"]);
    for selection in [Selection::default(), of(Some("all"), None), of(Some("Gene Expression"), Some("hg19"))] {
        let (values, _, genes, columns) = read(&path, &selection);
        assert_eq!(
            (&values[..], &genes[..]),
            (&VALUES[..], &["name0", "name1", "name2", "name3"].map(str::to_owned)[..])
        );
        assert_eq!(columns.len(), 1);
    }
    version_2(&path, &["hg19", "mm10"]);
    let error = refused(&path, &Selection::default());
    assert_eq!(error.kind(), ErrorKind::BadData);
    assert!(error.to_string().ends_with("several genomes; choose one: genome hg19, genome mm10"), "{error}");
    assert!(refused(&path, &of(None, Some("rat"))).to_string().contains("no genome is rat; choose one: genome hg19"));
    assert_eq!(read(&path, &of(None, Some("mm10"))).0, VALUES);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5");
    let bent = |bend: &dyn Fn(&Group)| {
        version_3(&path);
        let file = File::append(&path).unwrap();
        bend(&file.group("matrix").unwrap());
        file.close().unwrap();
        let error = refused(&path, &Selection::default());
        assert_eq!(error.kind(), ErrorKind::BadData, "{error}");
        error.to_string()
    };
    let said = bent(&|group| group.dataset("shape").unwrap().write_raw(&[-4, 2]).unwrap());
    assert!(said.contains("matrix/shape") && said.contains("numbers of genes and of cells"), "{said}");
    let said = bent(&|group| group.dataset("shape").unwrap().write_raw(&[5, 2]).unwrap());
    assert!(
        said.contains("matrix/features/name") && said.contains("has 4 entries, but the matrix has 5 genes"),
        "{said}"
    );
    let said = bent(&|group| {
        group.unlink("barcodes").unwrap();
        texts(group, "barcodes", &["AAAC-1"]);
    });
    assert!(said.contains("matrix/barcodes") && said.contains("has 1 entries, but the matrix has 2 cells"), "{said}");

    let path = scratch.path().join("folder");
    for (name, text, words) in [
        (
            "barcodes.tsv",
            "AAAC-1\n",
            "barcodes.tsv: dataset \"barcodes\" has 1 lines, but the matrix beside it has 2 cells",
        ),
        ("features.tsv", "a\tA\tB\nb\tB\nc\tC\nd\tD\n", "has 2 columns for feature 2, and 3 for the first"),
        ("features.tsv", "a\nb\nc\nd\ne\n", "has 5 lines, but the matrix beside it has 4 genes"),
    ] {
        folder(&path, "");
        save(&path.join(name), text);
        let error = refused(&path, &Selection::default());
        assert!(error.kind() == ErrorKind::BadData && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn names_that_are_missing_are_numbers() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("folder");
    folder(&path, "");
    std::fs::remove_file(path.join("barcodes.tsv")).unwrap();
    std::fs::remove_file(path.join("features.tsv")).unwrap();
    let said = heard(&path, &Selection::default());
    assert!(said.len() == 2 && said[0].contains("no names of cells"), "{said:?}");
    save(&path.join("genes.tsv.gz"), "b\r\n\na\nc\nd");
    let (values, cells, genes, columns) = read(&path, &Selection::default());
    assert_eq!((&values[..], cells.len(), columns.len()), (&VALUES[..], 2, 0));
    assert_eq!(genes, ["b", "a", "c", "d"]);
    let path = scratch.path().join("x.h5");
    let file = File::create(&path).unwrap();
    group(&file, "mm10").unlink("barcodes").unwrap();
    file.close().unwrap();
    let (_, cells, genes, _) = read(&path, &Selection::default());
    assert_eq!((cells.join(" "), genes.join(" ")), ("0 1".into(), "0 1 2 3".into()));
}

#[test]
fn the_folder_above_holds_the_filtered_matrix() {
    let scratch = tempfile::tempdir().unwrap();
    let outs = scratch.path().join("outs");
    folder(&outs.join("raw_feature_bc_matrix"), "");
    std::fs::create_dir(outs.join("analysis")).unwrap();
    assert!(heard(&outs, &of(Some("all"), None)).is_empty());
    folder(&outs.join("filtered_feature_bc_matrix"), ".gz");
    let said = heard(&outs, &of(Some("all"), None));
    let words = "the matrix in filtered_feature_bc_matrix was read; others are beside it (raw_feature_bc_matrix)";
    assert!(said.len() == 1 && said[0].starts_with(words), "{said:?}");
    assert_eq!(read(&outs, &of(Some("all"), None)).0, VALUES);
    assert!(refused(&outs, &of(None, Some("hg"))).to_string().contains("no genome is hg; do not choose genome"));

    let before = scratch.path().join("before");
    folder(&before.join("filtered_gene_bc_matrices/hg19"), "");
    assert_eq!(read(&before, &of(Some("all"), None)).0, VALUES);
    folder(&before.join("filtered_gene_bc_matrices/mm10"), "");
    folder(&before.join("raw_gene_bc_matrices/mm10"), "");
    let error = refused(&before, &Selection::default());
    let words = "counts of several genomes; choose one: genome hg19, genome mm10";
    assert!(error.kind() == ErrorKind::BadData && error.to_string().ends_with(words), "{error}");
    for path in
        [before.clone(), before.join("filtered_gene_bc_matrices"), before.join("filtered_gene_bc_matrices/mm10")]
    {
        assert_eq!(read(&path, &of(Some("all"), Some("mm10"))).0, VALUES);
    }

    let several = scratch.path().join("several");
    folder(&several.join("a"), "");
    folder(&several.join("b"), "");
    let said = refused(&several, &Selection::default()).to_string();
    assert!(said.ends_with("it holds several matrices: a, b; name one of these folders"), "{said}");
    let empty = refused(scratch.path(), &Selection::default());
    assert!(empty.kind() == ErrorKind::BadData && empty.to_string().contains("no matrix.mtx in it"), "{empty}");
}

#[test]
fn the_stamp_of_a_folder_changes_with_its_files() {
    let scratch = tempfile::tempdir().unwrap();
    folder(scratch.path(), "");
    let stamp = || source::open(scratch.path(), &Selection::default()).unwrap().stamp();
    let before = stamp();
    assert_eq!(stamp(), before);
    save(&scratch.path().join("barcodes.tsv"), "AAAC-11\nAAAG-1\n");
    assert_ne!(stamp(), before);
}
