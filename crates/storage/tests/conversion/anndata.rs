use std::path::Path;

use partwise_storage::anndata::{AnnDataWriter, Value, read_factors, read_uns};
use partwise_storage::store::Selection;
use partwise_storage::{Axis, ErrorKind, Overwrite, Quiet, StorageError, Store, convert, export, source};

use super::inputs::{Table, contents, spec};

/// A result of 5 cells × 3 genes and 2 components.
fn write(dest: &Path, overwrite: Overwrite, spectra: &[f32]) -> Result<(), StorageError> {
    let mut writer = AnnDataWriter::create(dest, overwrite)?;
    for (axis, rows) in [(Axis::Cells, 5), (Axis::Genes, 3)] {
        let mut frame = writer.dataframe(axis, rows)?;
        frame.names((0..rows).map(|i| format!("{i}")))?;
        frame.categorical("cluster", &["a", "b"], (0..rows).map(|i| i % 2))?;
        frame.floats("size", (0..rows).map(|i| i as f64 / 2.0))?;
        frame.integers("count", (0..rows).map(|i| i as i64))?;
        frame.finish()?;
    }
    let mut usages = writer.array2("obsm", "X_nmf", 5, 2)?;
    // Rows may come in any order.
    usages.write_rows(2, &[4.0, 5.0, 6.0, 7.0, 8.0, 9.0])?;
    usages.write_rows(0, &[0.0, 1.0, 2.0, 3.0])?;
    drop(usages);
    writer.array2("varm", "spectra", spectra.len() / 2, 2)?.write_rows(0, spectra)?;
    let nested =
        Value::Map(vec![("k".into(), 2_u32.into()), ("deep".into(), Value::Map(vec![("t".into(), true.into())]))]);
    writer.uns("nmf", &nested)?;
    writer.finish()
}

#[test]
fn factors_come_back_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.h5ad");
    let spectra = [0.5, 0.0, 1.5, 2.5, 3.5, 4.5];
    write(&path, Overwrite::Refuse, &spectra).unwrap();
    let factors = read_factors(&path).unwrap();
    assert_eq!((factors.cells(), factors.genes(), factors.components()), (5, 3, 2));
    let mut read = vec![0.0; spectra.len()];
    factors.read_spectra(0..factors.genes(), &mut read).unwrap();
    assert_eq!(read, spectra);
    let mut rows = [0.0; 6];
    factors.read_usages(1..4, &mut rows).unwrap();
    assert_eq!(rows, [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    let file = hdf5::File::open(&path).unwrap();
    assert_eq!(file.dataset("uns/nmf/k").unwrap().read_scalar::<i64>().unwrap(), 2);
    assert!(file.dataset("uns/nmf/deep/t").unwrap().read_scalar::<bool>().unwrap());
    assert_eq!(file.dataset("obs/cluster/codes").unwrap().read_raw::<i8>().unwrap(), [0, 1, 0, 1, 0]);
}

#[test]
fn the_same_content_gives_the_same_bytes_at_any_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // HDF5 stores times in seconds.
    let tick = || std::thread::sleep(std::time::Duration::from_millis(1_100));
    let tables = [Table::counts(400, 30, 3, true), Table::counts(400, 30, 1, false)];
    let write_all = |time: &str| {
        write(&path(&format!("{time}.h5ad")), Overwrite::Refuse, &[0.5, 1.5]).unwrap();
        for (number, table) in tables.iter().enumerate() {
            let store = path(&format!("{time}-{number}.pw"));
            let store = convert(Box::new(table.clone()), &store, &spec(1 << 30, 2), &Quiet).unwrap();
            export(&store, &path(&format!("{time}-{number}.h5ad")), Overwrite::Refuse, &Quiet).unwrap();
        }
    };
    write_all("a");
    tick();
    write_all("b");
    for name in [".h5ad", "-0.h5ad", "-1.h5ad"] {
        let read = |time: &str| std::fs::read(path(&format!("{time}{name}"))).unwrap();
        assert!(read("a") == read("b"), "{name}");
    }
    for name in ["-0.pw", "-1.pw"] {
        assert!(contents(&path(&format!("a{name}"))) == contents(&path(&format!("b{name}"))), "{name}");
    }
}

#[test]
fn files_without_usable_factors_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.h5ad");
    let Err(missing) = read_factors(&path) else { panic!("there is nothing") };
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    write(&path, Overwrite::Refuse, &[1.0, f32::NAN]).unwrap();
    let factors = read_factors(&path).unwrap();
    let error = factors.read_spectra(0..factors.genes(), &mut [0.0; 2]).expect_err("H has a NaN");
    assert!(error.to_string().contains("varm/spectra") && error.to_string().contains("row 0, column 1"), "{error}");
    drop(factors);
    hdf5::File::append(&path).unwrap().unlink("obsm/X_nmf").unwrap();
    let Err(error) = read_factors(&path) else { panic!("W is gone") };
    assert!(error.kind() == ErrorKind::BadData && error.to_string().contains("not a result of fit"), "{error}");
}

#[test]
fn what_is_no_result_is_refused_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let array = folder.path().join("w.npy");
    std::fs::write(&array, b"\x93NUMPY\x01\x00").unwrap();
    let notes = folder.path().join("notes");
    std::fs::write(&notes, "notes").unwrap();
    for path in [&array, &notes, folder.path()] {
        let Err(error) = read_factors(path) else { panic!("no result") };
        assert_eq!(error.kind(), ErrorKind::BadData);
        assert!(error.to_string().contains("is not a result of fit (an AnnData file with obsm"), "{error}");
    }
}

#[test]
fn pipes_are_refused_before_they_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("x.h5ad");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    let link = folder.path().join("link.h5ad");
    std::os::unix::fs::symlink(&pipe, &link).unwrap();
    for path in [&pipe, &link] {
        let refusals = [
            source::open(path, &Selection::default()).err(),
            read_factors(path).err(),
            read_uns(path, "nmf").err(),
            Store::open(path).err(),
        ];
        for error in refusals {
            let error = error.expect("a refusal");
            assert_eq!(error.kind(), ErrorKind::BadData, "{error}");
        }
        let Err(error) = source::open(path, &Selection::default()) else { panic!("a pipe") };
        assert!(error.to_string().contains("is not a regular file"), "{error}");
    }
    let error = write(&pipe, Overwrite::Replace, &[1.0, 2.0]).unwrap_err();
    assert!(error.to_string().contains("is a pipe or a device"), "{error}");

    let store = folder.path().join("s.pw");
    std::fs::create_dir(&store).unwrap();
    std::fs::rename(&pipe, store.join("manifest.json")).unwrap();
    let error = Store::open(&store).expect_err("a pipe");
    assert!(error.to_string().contains("a regular file, found a pipe"), "{error}");
    std::fs::remove_file(store.join("manifest.json")).unwrap();
    std::fs::create_dir(store.join("manifest.json")).unwrap();
    let error = Store::open(&store).expect_err("a folder");
    assert!(error.kind() == ErrorKind::BadData && error.to_string().contains("found a folder"), "{error}");
}

#[test]
fn a_path_that_is_not_utf8_is_to_be_renamed() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"bad\xff.h5ad"));
    std::fs::create_dir(&odd).unwrap();
    let error = write(&odd.join("r.h5ad"), Overwrite::Refuse, &[1.0, 2.0]).unwrap_err();
    assert!(error.kind() == ErrorKind::Usage && error.to_string().contains("rename it"), "{error}");
    std::fs::remove_dir(&odd).unwrap();
    let plain = folder.path().join("r.h5ad");
    write(&plain, Overwrite::Refuse, &[1.0, 2.0]).unwrap();
    std::fs::rename(&plain, &odd).unwrap();
    let Err(error) = source::open(&odd, &Selection::default()) else { panic!("not UTF-8") };
    assert!(error.kind() == ErrorKind::BadData && error.to_string().contains("rename it"), "{error}");
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.h5ad");
    let mut writer = AnnDataWriter::create(&path, Overwrite::Refuse).unwrap();
    writer.array2("obsm", "X_nmf", 500, 2).unwrap().write_rows(3, &[1.0, 2.0]).unwrap();
    assert!(!path.exists());
    let busy = AnnDataWriter::create(&path, Overwrite::Replace).err().unwrap();
    assert!(busy.kind() == ErrorKind::Exists && busy.to_string().contains("another run is writing"), "{busy}");
    drop(writer);
    assert_eq!(contents(folder.path()), []);
}

#[test]
fn only_hdf5_files_are_overwritten_and_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.h5ad");
    write(&path, Overwrite::Refuse, &[1.0, 2.0]).unwrap();
    assert_eq!(write(&path, Overwrite::Refuse, &[1.0, 2.0]).unwrap_err().kind(), ErrorKind::Exists);
    write(&path, Overwrite::Replace, &[1.0, 2.0, 3.0, 4.0]).unwrap();
    assert_eq!(read_factors(&path).unwrap().genes(), 2);
    std::fs::write(&path, "my notes").unwrap();
    assert_eq!(write(&path, Overwrite::Replace, &[1.0, 2.0]).unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(std::fs::read(&path).unwrap(), b"my notes");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(write(&path, Overwrite::Replace, &[1.0, 2.0]).unwrap_err().kind(), ErrorKind::Exists);
    let nowhere = folder.path().join("no/such/r.h5ad");
    assert!(write(&nowhere, Overwrite::Refuse, &[1.0, 2.0]).is_err());
}
