use std::io::Write;
use std::path::Path;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use partwise_storage::source::{self, Form};
use partwise_storage::store::Selection;
use partwise_storage::{Choice, ErrorKind, Remedy};

use super::conformance::hold;
use super::files::{read_all, refusal, selection};
use super::npy::array;

const CELLS: usize = 300;
const GENES: usize = 11;

/// A member: its name and content.
type Part = (&'static str, Vec<u8>);

/// A zip archive as Python writes it.
fn archive(path: &Path, parts: &[Part], deflated: bool) {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in parts {
        let mut sum = Crc::new();
        sum.update(content);
        let packed = match deflated {
            true => {
                let mut packed = DeflateEncoder::new(Vec::new(), Compression::new(6));
                packed.write_all(content).unwrap();
                packed.finish().unwrap()
            }
            false => content.clone(),
        };
        let mut about = Vec::new();
        for short in [20, 0, if deflated { 8 } else { 0 }, 0, 33] {
            about.extend(u16::to_le_bytes(short));
        }
        for long in [sum.sum(), packed.len() as u32, content.len() as u32] {
            about.extend(long.to_le_bytes());
        }
        about.extend([name.len() as u8, 0, 0, 0]);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&about);
        directory.extend([0; 10]);
        directory.extend((bytes.len() as u32).to_le_bytes());
        directory.extend(name.bytes());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(about);
        bytes.extend(name.bytes());
        bytes.extend(packed);
    }
    let start = bytes.len() as u32;
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([parts.len() as u8, 0, parts.len() as u8, 0]);
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    std::fs::write(path, bytes).unwrap();
}

fn list(descr: &str, numbers: &[i64]) -> Vec<u8> {
    let size: usize = descr[2..].parse().unwrap();
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()[..size].to_vec()).collect();
    array(1, descr, false, &format!("({},)", numbers.len()), &bytes)
}

fn floats(numbers: &[f64]) -> Vec<u8> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    array(1, "<f8", false, &format!("({},)", numbers.len()), &bytes)
}

fn value(cell: usize, gene: usize) -> f64 {
    match (cell * 5 + gene * 3) % 4 {
        0 => (1 + cell % 17 + gene) as f64 / if cell % 50 == 3 { 10.0 } else { 1.0 },
        _ => 0.0,
    }
}

fn expected() -> Vec<f32> {
    (0..CELLS * GENES).map(|at| value(at / GENES, at % GENES) as f32).collect()
}

/// Changes the pointers, indices and values of a sparse matrix.
type Alter = dyn Fn(&mut Vec<i64>, &mut Vec<i64>, &mut Vec<f64>);

/// The members of a sparse matrix, altered.
fn sparse(format: &str, alter: &Alter) -> Vec<Part> {
    let (outer, inner) = if format == "csc" { (GENES, CELLS) } else { (CELLS, GENES) };
    let (mut pointers, mut indices, mut values, mut rows) = (vec![0], vec![], vec![], vec![]);
    for row in 0..outer {
        for column in 0..inner {
            let value = if format == "csc" { value(column, row) } else { value(row, column) };
            if value != 0.0 {
                rows.push(row as i64);
                indices.push(column as i64);
                values.push(value);
            }
        }
        pointers.push(values.len() as i64);
    }
    alter(&mut pointers, &mut indices, &mut values);
    let word = array(1, "|S3", false, "()", format.as_bytes());
    let shape = list("<i8", &[CELLS as i64, GENES as i64]);
    let mut parts = vec![("format.npy", word), ("shape.npy", shape), ("data.npy", floats(&values))];
    match format {
        "coo" => parts.extend([("row.npy", list("<i4", &rows)), ("col.npy", list("<i8", &indices))]),
        _ => parts.extend([("indices.npy", list("<i4", &indices)), ("indptr.npy", list("<i4", &pointers))]),
    }
    parts
}

#[test]
fn sparse_matrices_of_scipy_in_each_form() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    for format in ["csr", "csc", "coo"] {
        for deflated in [true, false] {
            archive(&path, &sparse(format, &|_, _, _| {}), deflated);
            hold(&path, &selection(""));
            hold(&path, &selection("transpose"));
            let mut source = source::open(&path, &selection("")).unwrap();
            assert_eq!(matches!(source.form(), Form::Sparse { .. }), format == "csr");
            assert_eq!(read_all(&mut *source, 64).unwrap(), expected(), "{format}");
            let mut turned = source::open(&path, &selection("transpose")).unwrap();
            assert_eq!(matches!(turned.form(), Form::Sparse { .. }), format == "csc");
            let turned = read_all(&mut *turned, 64).unwrap();
            assert!(turned.iter().enumerate().all(|(at, &v)| v == value(at % CELLS, at / CELLS) as f32));
        }
    }
}

#[test]
fn tables_by_row_and_by_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    for (fortran, deflated) in [(false, true), (true, true), (true, false)] {
        let at = |i: usize| if fortran { value(i % CELLS, i / CELLS) } else { value(i / GENES, i % GENES) };
        let bytes: Vec<u8> = (0..CELLS * GENES).flat_map(|i| at(i).to_be_bytes()).collect();
        let table = array(1, ">f8", fortran, &format!("({CELLS}, {GENES})"), &bytes);
        let texts = array(1, "<U1", false, "(1, 1)", b"a\0\0\0");
        archive(&path, &[("counts.npy", table), ("names.npy", texts)], deflated);
        hold(&path, &selection(""));
        hold(&path, &selection("transpose"));
        let mut source = source::open(&path, &selection("")).unwrap();
        assert_eq!((source.dataset(), source.form() == Form::Dense), ("counts", !fortran));
        assert_eq!(read_all(&mut *source, 64).unwrap(), expected());
    }
}

#[test]
fn several_tables_and_none_named_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    let table = |shape: &str| array(1, "|u1", false, shape, &[1; 6]);
    archive(&path, &[("a.npy", table("(2, 3)")), ("b.npy", table("(3, 2)"))], true);
    for dataset in [None, Some("c")] {
        let chosen = Selection { dataset: dataset.map(str::to_owned), ..Selection::default() };
        let error = source::open(&path, &chosen).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::BadData);
        let Some(Remedy::ChooseOne { choice: Choice::Dataset, names }) = error.remedy() else { panic!("{error}") };
        assert_eq!(names, ["a (2 × 3)", "b (3 × 2)"]);
    }
    let chosen = Selection { dataset: Some("b".into()), ..Selection::default() };
    assert_eq!(source::open(&path, &chosen).unwrap().cells(), 3);
}

#[test]
fn archives_that_contradict_themselves_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bent.npz");
    let refused = |format: &str, alter: &Alter, said: &str| {
        archive(&path, &sparse(format, alter), true);
        let (kind, text) = refusal(&path, "");
        assert_eq!(kind, ErrorKind::BadData, "{text}");
        assert!(text.contains(said) && text.contains("bent.npz"), "{said}: {text}");
    };
    refused("csr", &|pointers, _, _| pointers[5] = 0, "\"indptr\" falls from");
    refused("csr", &|pointers, _, _| pointers[0] = 1, "begins with 1");
    refused("csr", &|pointers, _, _| pointers[CELLS] += 1, "entries are stored");
    refused("csr", &|pointers, _, _| pointers.truncate(CELLS), "expected 301 for 300 cells");
    refused("csc", &|_, indices, _| indices[0] = -1, "entry at cell -1, gene 0");
    refused("csr", &|_, indices, _| indices[0] = 11, "entry at cell 0, gene 11");
    refused("coo", &|_, indices, _| indices[0] = 1 << 40, "entry at cell 0, gene 1099511627776");
    refused("coo", &|_, indices, _| indices.truncate(9), "but data has");
    refused("csr", &|_, _, values| values[2] = -1.0, "negative value -1 at row 0, column 8");
    refused("csc", &|_, _, values| values[2] = f64::NAN, "NaN at row 8, column 0");
    refused("coo", &|_, _, values| values[2] = 1e300, "beyond 32-bit floats");
    refused("bsr", &|_, _, _| {}, "\"bsr\", expected csr, csc or coo");
    let mut parts = sparse("csr", &|_, _, _| {});
    parts.retain(|(name, _)| *name != "indptr.npy");
    archive(&path, &parts, true);
    assert!(refusal(&path, "").1.contains("no \"indptr\""));
    archive(&path, &[("x.npy", array(1, "<f8", false, "(3, 1099511627776)", &[0; 24]))], true);
    assert!(refusal(&path, "").1.contains("24 bytes of numbers"));
    archive(&path, &[("readme.txt", vec![0])], true);
    assert!(refusal(&path, "").1.contains("not of NumPy arrays"));
}

/// A byte changed anywhere is found, or changes nothing.
#[test]
fn damage_is_found_by_checksums() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bent) = (folder.path().join("x.npz"), folder.path().join("bent.npz"));
    for (deflated, step) in [(true, 3), (false, 37)] {
        archive(&path, &sparse("csr", &|_, _, _| {}), deflated);
        let whole = std::fs::read(&path).unwrap();
        let mut refused = 0;
        for at in (0..whole.len()).step_by(step) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&bent, &bytes).unwrap();
            match source::open(&bent, &selection("")).and_then(|mut source| read_all(&mut *source, 100)) {
                Ok(read) => assert!(read == expected(), "byte {at}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::BadData, "byte {at}: {error}");
                    refused += 1;
                }
            }
            std::fs::write(&bent, &whole[..at]).unwrap();
            assert_eq!(refusal(&bent, "").0, ErrorKind::BadData, "{at} bytes");
        }
        assert!(refused > whole.len() / step / 2, "{refused}");
    }
}
