use std::path::Path;

use hdf5::File;
use partwise_storage::source::{self, Source};
use partwise_storage::store::Selection;
use partwise_storage::{Choice, ErrorKind, Remedy, StorageError};

use super::conformance::hold;
use super::files::{csr, frames, read_all, text};

/// A file with these modalities, which differ in their first value: 10, 20, …
fn mudata(path: &Path, names: &[&str]) {
    let file = File::create(path).unwrap();
    text(&file, "encoding-type", "MuData");
    frames(&file, 4, 12);
    let modalities = file.create_group("mod").unwrap();
    for (at, name) in names.iter().enumerate() {
        let group = modalities.create_group(name).unwrap();
        frames(&group, 4, 6);
        let mut matrix = csr();
        matrix.data[0] = 10.0 * (at + 1) as f32;
        matrix.write_as(&group, "X", "csr_matrix");
        matrix.data[0] += 1.0;
        matrix.write_as(&group.create_group("layers").unwrap(), "counts", "csr_matrix");
        matrix.data[0] += 1.0;
        let raw = group.create_group("raw").unwrap();
        matrix.write_as(&raw, "X", "csr_matrix");
    }
    file.close().unwrap();
}

fn of(modality: Option<&str>) -> Selection {
    Selection { modality: modality.map(str::to_owned), ..Selection::default() }
}

fn first(source: Result<Box<dyn Source>, StorageError>) -> f32 {
    read_all(&mut *source.unwrap(), 3).unwrap()[0]
}

#[test]
fn a_modality_is_an_anndata_object() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5mu");
    mudata(&path, &["atac", "rna"]);
    hold(&path, &of(Some("rna")));
    let source = source::open(&path, &of(Some("rna"))).unwrap();
    assert_eq!(source.dataset(), "mod/rna/X");
    assert_eq!(source.stamp().selection, of(Some("rna")));
    assert_eq!(first(Ok(source)), 20.0);
    assert_eq!(first(source::open(&path, &of(Some("atac")))), 10.0);
    let layer = Selection { layer: Some("counts".into()), ..of(Some("rna")) };
    assert_eq!(first(source::open(&path, &layer)), 21.0);
    let raw = Selection { raw: true, ..of(Some("rna")) };
    assert_eq!(first(source::open(&path, &raw)), 22.0);
    mudata(&path, &["only"]);
    assert_eq!(first(source::open(&path, &of(None))), 10.0);
}

#[test]
fn several_modalities_and_none_named_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5mu");
    mudata(&path, &["atac", "rna"]);
    for (modality, said) in [(None, "\"mod\" holds 2 modalities"), (Some("gex"), "no \"mod/gex\"")] {
        let error = source::open(&path, &of(modality)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::BadData);
        assert!(
            error.to_string().contains(said) && error.to_string().contains("modality atac, modality rna"),
            "{error}"
        );
        let Some(Remedy::ChooseOne { choice: Choice::Modality, names }) = error.remedy() else { panic!("{error}") };
        // Each remedy works.
        for name in names {
            source::open(&path, &of(Some(&name))).unwrap();
        }
    }
    let layer = Selection { layer: Some("none".into()), ..of(Some("rna")) };
    let said = source::open(&path, &layer).err().unwrap().to_string();
    assert!(said.contains("\"mod/rna/layers/none\"") && said.contains("its layers are counts"), "{said}");
}

#[test]
fn problems_name_the_modality() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5mu");
    mudata(&path, &["rna"]);
    let file = File::append(&path).unwrap();
    let group = file.group("mod/rna").unwrap();
    group.unlink("var").unwrap();
    frames(&file.create_group("spare").unwrap(), 4, 9);
    group.link_hard("/spare/var", "var").unwrap();
    drop(group);
    file.close().unwrap();
    let said = source::open(&path, &of(None)).err().unwrap().to_string();
    assert!(said.contains("\"mod/rna/X\"") && said.contains("mod/rna/var names 9"), "{said}");
}
