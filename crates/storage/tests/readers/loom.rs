use std::path::Path;

use hdf5::File;
use hdf5::types::FixedAscii;
use partwise_storage::source::{self, Form};
use partwise_storage::store::Selection;
use partwise_storage::{AnnDataWriter, ErrorKind};

use super::conformance::hold;
use super::files::{Listener, read_all, refusal, selection, strings};

const CELLS: usize = 300;
const GENES: usize = 11;

fn value(cell: usize, gene: usize) -> f64 {
    if (cell * 5 + gene * 3).is_multiple_of(4) { (cell % 17 + gene) as f64 } else { 0.0 }
}

/// A loom file with a layer of doubled values; names as loom 2 has them, or as loom 3.
fn loom(path: &Path, fixed: bool, by_gene: bool) {
    let file = File::create(path).unwrap();
    let (rows, columns) = if by_gene { (GENES, CELLS) } else { (CELLS, GENES) };
    let values: Vec<f64> = (0..rows * columns)
        .map(|at| (at / columns, at % columns))
        .map(|(row, column)| if by_gene { value(column, row) } else { value(row, column) })
        .collect();
    let doubled: Vec<f64> = values.iter().map(|value| 2.0 * value).collect();
    let layers = file.create_group("layers").unwrap();
    for (parent, name, values) in [(&*file, "matrix", &values), (&layers, "doubled", &doubled)] {
        let table = parent.new_dataset::<f64>().shape((rows, columns)).chunk((8, 8)).deflate(2).create(name).unwrap();
        table.write_raw(values).unwrap();
    }
    let (row_attrs, col_attrs) = (file.create_group("row_attrs").unwrap(), file.create_group("col_attrs").unwrap());
    let (cells, genes) = if by_gene { (col_attrs, row_attrs) } else { (row_attrs, col_attrs) };
    for (group, name, letter, len) in [(&cells, "CellID", 'c', CELLS), (&genes, "Gene", 'g', GENES)] {
        let names: Vec<String> = (0..len).map(|i| format!("{letter}{i}")).collect();
        if fixed {
            let names: Vec<FixedAscii<8>> = names.iter().map(|name| FixedAscii::from_ascii(name).unwrap()).collect();
            group.new_dataset_builder().with_data(&names).create(name).unwrap();
        } else {
            strings(group, name, &names);
        }
        let numbers: Vec<i64> = (0..len as i64).collect();
        group.new_dataset_builder().with_data(&numbers).create("number").unwrap();
        group.new_dataset::<f32>().shape((len, 2)).create("embedding").unwrap();
    }
    drop((cells, genes, layers));
    file.close().unwrap();
}

#[test]
fn loom_files_of_all_versions_are_genes_by_cells() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.loom");
    for (fixed, by_gene) in [(true, true), (false, true), (false, false)] {
        loom(&path, fixed, by_gene);
        let chosen = Selection { transpose: !by_gene, ..Selection::default() };
        hold(&path, &chosen);
        let mut source = source::open(&path, &chosen).unwrap();
        assert_eq!((source.cells(), source.genes()), (CELLS, GENES));
        assert_eq!(matches!(source.form(), Form::Entries { .. }), by_gene);
        let read = read_all(&mut *source, 64).unwrap();
        assert!(read.iter().enumerate().all(|(at, &v)| f64::from(v) == value(at / GENES, at % GENES)));
        let mut layer = source::open(&path, &Selection { layer: Some("doubled".into()), ..chosen }).unwrap();
        let doubled = read_all(&mut *layer, 64).unwrap();
        assert!(read.iter().zip(&doubled).all(|(once, twice)| 2.0 * once == *twice));
        assert_eq!(layer.dataset(), "layers/doubled");
    }
}

/// The names of an axis of the annotations of a source, the columns, and the warnings.
fn annotations(path: &Path) -> (Vec<String>, Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (dest, listener) = (folder.path().join("a.h5ad"), Listener::default());
    let source = source::open(path, &selection("")).unwrap();
    source.write_annotations(&dest, &listener).unwrap();
    let copied = AnnDataWriter::create(&folder.path().join("b.h5ad"), partwise_storage::Overwrite::Refuse);
    copied.unwrap().copy_annotations(&dest).unwrap();
    let file = File::open(&dest).unwrap();
    let names = |group: &str| -> Vec<String> {
        let group = file.group(group).unwrap();
        let index: hdf5::types::VarLenUnicode = group.attr("_index").unwrap().read_scalar().unwrap();
        let names = group.dataset(&index).unwrap().read_raw::<hdf5::types::VarLenUnicode>().unwrap();
        names.iter().map(ToString::to_string).collect()
    };
    (names("obs"), names("var"), listener.heard())
}

#[test]
fn names_are_those_of_loompy_or_anndata_and_lists_are_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.loom");
    for fixed in [true, false] {
        loom(&path, fixed, true);
        let (cells, genes, heard) = annotations(&path);
        assert_eq!((cells.len(), cells[299].as_str(), genes[10].as_str()), (CELLS, "c299", "g10"));
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert!(heard[0].contains("\"col_attrs/embedding\" was not copied: it has 2 dimensions"), "{heard:?}");
    }
    let file = File::append(&path).unwrap();
    file.group("col_attrs").unwrap().relink("CellID", "obs_names").unwrap();
    file.group("row_attrs").unwrap().unlink("Gene").unwrap();
    file.close().unwrap();
    let (cells, genes, heard) = annotations(&path);
    assert_eq!((cells[299].as_str(), genes[10].as_str()), ("c299", "10"));
    assert!(heard.iter().any(|said| said.contains("no names of genes")), "{heard:?}");
}

#[test]
fn loom_files_that_contradict_themselves_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.loom");
    let make = |what: &dyn Fn(&File)| {
        loom(&path, true, true);
        let file = File::append(&path).unwrap();
        what(&file);
        file.close().unwrap();
        refusal(&path, "")
    };
    let (kind, said) = make(&|file| {
        let attrs = file.group("col_attrs").unwrap();
        attrs.unlink("CellID").unwrap();
        strings(&attrs, "CellID", &["only".into()]);
    });
    assert_eq!(kind, ErrorKind::BadData);
    assert!(said.contains("300 cells, but col_attrs names 1"), "{said}");
    let (_, said) = make(&|file| {
        file.unlink("matrix").unwrap();
        file.new_dataset::<f32>().shape([6]).create("matrix").unwrap();
    });
    assert!(said.contains("\"matrix\" has shape [6]"), "{said}");
    let (_, said) = make(&|file| {
        let mut values = file.dataset("matrix").unwrap().read_raw::<f64>().unwrap();
        values[2 * CELLS + 7] = -1.0;
        file.dataset("matrix").unwrap().write_raw(&values).unwrap();
    });
    assert!(said.contains("-1 at row 7, column 2") && said.contains("layer doubled"), "{said}");
    let (_, said) = make(&|file| {
        file.unlink("matrix").unwrap();
        file.new_dataset::<f32>().shape((2, 1_usize << 40)).chunk((1, 8)).create("matrix").unwrap();
        // Without names, nothing else contradicts the shape.
        file.unlink("col_attrs").unwrap();
        file.group("row_attrs").unwrap().unlink("Gene").unwrap();
    });
    assert!(said.contains("1099511627776 cells, which is not supported"), "{said}");
    loom(&path, true, true);
    assert!(refusal(&path, "layers/none").1.contains("its layers are doubled"));
    assert_eq!(refusal(&path, "raw/X").0, ErrorKind::Usage);
}
