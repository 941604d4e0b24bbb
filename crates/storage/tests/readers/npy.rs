use std::path::Path;

use partwise_storage::ErrorKind;
use partwise_storage::source::{self, Form};

use super::files::{read_all, refusal, selection};

/// A NumPy file as `numpy.save` writes it.
pub(crate) fn save(path: &Path, version: u8, descr: &str, fortran: bool, shape: &str, data: &[u8]) {
    std::fs::write(path, array(version, descr, fortran, shape, data)).unwrap();
}

/// The bytes of such a file.
pub(crate) fn array(version: u8, descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}").into_bytes();
    while (text.len() + 11) % 64 != 0 {
        text.push(b' ');
    }
    text.push(b'\n');
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((text.len() as u16).to_le_bytes()),
        _ => bytes.extend((text.len() as u32).to_le_bytes()),
    }
    bytes.extend(text);
    bytes.extend(data);
    bytes
}

#[test]
fn every_type_order_and_version_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let (cells, genes) = (5, 3);
    let want: Vec<f32> = (0..15).map(|v| (v * 7 % 11) as f32).collect();
    let by_column: Vec<f32> = (0..15).map(|i| want[i % cells * genes + i / cells]).collect();
    let mut seen = 0;
    macro_rules! check {
        ($($descr:literal: $T:ty, $bytes:ident;)*) => {$(
            for version in 1..=3 {
                for (fortran, values) in [(false, &want), (true, &by_column)] {
                    let data: Vec<u8> = values.iter().flat_map(|&v| (v as $T).$bytes()).collect();
                    save(&path, version, $descr, fortran, "(5, 3)", &data);
                    let mut source = source::open(&path, &selection("")).unwrap();
                    assert_eq!((source.cells(), source.genes(), source.form()), (cells, genes, Form::Dense));
                    for step in [1, 2, 5] {
                        assert_eq!(read_all(&mut *source, step).unwrap(), want, "{} {fortran}", $descr);
                    }
                    let mut turned = source::open(&path, &selection("transpose")).unwrap();
                    let turned = read_all(&mut *turned, 2).unwrap();
                    assert_eq!(turned, (0..15).map(|i| want[i % 5 * 3 + i / 5]).collect::<Vec<_>>());
                    seen += 1;
                }
            }
        )*};
    }
    check! {
        "|u1": u8, to_le_bytes; "|i1": i8, to_le_bytes; "<u2": u16, to_le_bytes; ">u2": u16, to_be_bytes;
        "<i2": i16, to_le_bytes; "<i4": i32, to_le_bytes; ">i4": i32, to_be_bytes; "<u4": u32, to_le_bytes;
        "<i8": i64, to_le_bytes; ">u8": u64, to_be_bytes; "<f4": f32, to_le_bytes; ">f4": f32, to_be_bytes;
        "<f8": f64, to_le_bytes; ">f8": f64, to_be_bytes;
    }
    assert_eq!(seen, 14 * 6);
}

#[test]
fn halves_and_booleans_are_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    save(&path, 1, "<f2", false, "(1, 3)", &[0x00, 0x3c, 0x00, 0x00, 0x00, 0x41]);
    assert_eq!(read_all(&mut *source::open(&path, &selection("")).unwrap(), 1).unwrap(), [1.0, 0.0, 2.5]);
    save(&path, 1, "|b1", false, "(1, 3)", &[0, 1, 1]);
    assert_eq!(read_all(&mut *source::open(&path, &selection("")).unwrap(), 1).unwrap(), [0.0, 1.0, 1.0]);
}

#[test]
fn a_matrix_by_columns_that_exceeds_one_stripe_is_read_in_several() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    // A stripe has at least 16 rows; with 150,000 columns of 4 bytes, 13 rows make 8 MiB.
    let (cells, genes) = (37, 150_000);
    let value = |row: usize, column: usize| ((row * 31 + column * 17) % 1000) as f32;
    let data: Vec<u8> = (0..genes).flat_map(|c| (0..cells).flat_map(move |r| value(r, c).to_le_bytes())).collect();
    save(&path, 1, "<f4", true, "(37, 150000)", &data);
    let mut source = source::open(&path, &selection("")).unwrap();
    assert!(source.resident_bytes() < 12 << 20, "{}", source.resident_bytes());
    let read = read_all(&mut *source, 10).unwrap();
    assert!(read.iter().enumerate().all(|(i, &v)| v == value(i / genes, i % genes)));
}

#[test]
fn bad_arrays_are_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.npy");
    let f4 = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let cases: [(&str, bool, &str, Vec<u8>, &str); 6] = [
        ("<f4", false, "(2, 2)", f4(&[1.0, 2.0, -3.0, 4.0]), "negative value -3 at row 1, column 0"),
        ("<f4", true, "(2, 2)", f4(&[1.0, 2.0, f32::NAN, 4.0]), "NaN at row 0, column 1"),
        ("<f4", false, "(2, 2)", f4(&[1.0, f32::INFINITY, 3.0, 4.0]), "inf at row 0, column 1"),
        ("<f4", false, "(2, 2)", f4(&[1.0, 2.0]), "cut short"),
        ("<f4", false, "(4,)", f4(&[1.0; 4]), "1 dimensions"),
        ("<c8", false, "(1, 1)", f4(&[1.0; 2]), "'<c8'"),
    ];
    for (descr, fortran, shape, data, said) in cases {
        save(&path, 1, descr, fortran, shape, &data);
        let (kind, text) = refusal(&path, "");
        assert!(kind == ErrorKind::BadData && text.contains(said) && text.contains("bad.npy"), "{text}");
    }
    assert_eq!(refusal(&path, "raw/X").0, ErrorKind::Usage);
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    save(&path, 1, "<f4", false, "(2, 2)", &[0; 16]);
    let whole = std::fs::read(&path).unwrap();
    for len in 0..whole.len() {
        std::fs::write(&path, &whole[..len]).unwrap();
        assert_eq!(refusal(&path, "").0, ErrorKind::BadData, "{len} bytes");
    }
}
