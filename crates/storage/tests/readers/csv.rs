use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use hdf5::File;
use hdf5::types::VarLenUnicode;
use partwise_storage::source::{self, Form};
use partwise_storage::{ErrorKind, Quiet};

use super::conformance::hold;
use super::files::{read_all, refusal, selection};

fn write(path: &Path, text: &str, packed: bool) {
    if !packed {
        return std::fs::write(path, text).unwrap();
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
    gzip.write_all(text.as_bytes()).unwrap();
    std::fs::write(path, gzip.finish().unwrap()).unwrap();
}

/// 300 cells × 11 genes.
fn large(separator: &str) -> String {
    let mut text: String = (0..11).map(|gene| format!("{separator}g{gene}")).collect();
    for cell in 0..300 {
        text += &format!("\nc{cell}");
        for gene in 0..11 {
            text += separator;
            match cell * 7 + gene * 3 {
                some if some % 4 == 0 => text += &(some % 50).to_string(),
                some if some % 97 == 3 => text += "0.1",
                _ => text += "0",
            }
        }
    }
    text + "\n"
}

/// The names of cells and of genes.
fn names(path: &Path, what: &str) -> [Vec<String>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("a.h5ad");
    source::open(path, &selection(what)).unwrap().write_annotations(&dest, &Quiet).unwrap();
    let file = File::open(&dest).unwrap();
    ["obs/_index", "var/_index"].map(|index| {
        let names = file.dataset(index).unwrap().read_raw::<VarLenUnicode>().unwrap();
        names.iter().map(ToString::to_string).collect()
    })
}

#[test]
fn tables_with_any_separator_plain_or_packed() {
    let folder = tempfile::tempdir().unwrap();
    let mut read = Vec::new();
    for (name, separator) in [("x.csv", ","), ("x.tsv", "\t"), ("x.txt", ";"), ("x.csv.gz", ",")] {
        let path = folder.path().join(name);
        write(&path, &large(separator), name.ends_with("gz"));
        hold(&path, &selection(""));
        hold(&path, &selection("transpose"));
        let mut source = source::open(&path, &selection("")).unwrap();
        assert_eq!((source.cells(), source.genes(), source.form()), (300, 11, Form::Dense));
        read.push(read_all(&mut *source, 64).unwrap());
        assert_eq!(source.rounding().example, 0.1);
        let mut turned = source::open(&path, &selection("transpose")).unwrap();
        assert_eq!((turned.cells(), turned.genes()), (11, 300));
        let turned = read_all(&mut *turned, 64).unwrap();
        assert!(turned.iter().enumerate().all(|(at, &v)| v == read[0][at % 300 * 11 + at / 300]));
    }
    assert_eq!(read[0][..5], [0.0, 0.1, 0.0, 0.0, 12.0]);
    assert!(read.iter().all(|one| *one == read[0]));
}

#[test]
fn what_spreadsheets_and_r_write_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    let cases = [
        ("pandas", ",a,b\nx,1,2\ny,0,3.5\n"),
        ("a name above the names of cells", "cell,a,b\nx,1,2\ny,0,3.5"),
        ("R, which has none", "a\tb\nx\t1\t2\ny\t0\t3.5\n"),
        ("quotes", "\"\",\"a\",\"b\"\n\"x\",1,2\n\"y\",\"0\",3.5\n"),
        ("Windows", "\u{feff},a,b\r\nx,1,2\r\ny,0,3.5\r\n"),
        ("blank lines and spaces", ",a,b\n\nx, 1 ,2e0\n\n\ny,-0,+3.5\n\n"),
    ];
    for (case, text) in cases {
        write(&path, text, false);
        let mut source = source::open(&path, &selection("")).unwrap_or_else(|e| panic!("{case}: {e}"));
        assert_eq!(read_all(&mut *source, 1).unwrap(), [1.0, 2.0, 0.0, 3.5], "{case}");
        assert_eq!(names(&path, ""), [["x", "y"], ["a", "b"]], "{case}");
        assert_eq!(names(&path, "transpose"), [["a", "b"], ["x", "y"]], "{case}");
    }
    write(&path, ",\"a, or \"\"b\"\"\",0,1\n\"x\ny\",1,2,3\n", false);
    assert_eq!(names(&path, ""), [vec!["x\ny"], vec!["a, or \"b\"", "0", "1"]]);
}

#[test]
fn errors_name_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.csv");
    let cases = [
        (",a,b\nx,1,2\ny,NA,3\n", "has \"NA\" at line 3, column 2, expected a number"),
        (",a,b\n\nx,1,2\n\ny,1,\n", "has \"\" at line 5, column 3, expected a number"),
        (";a;b\nx;1;2,5\n", "has \"2,5\" at line 2, column 3, expected a number; write 0"),
        (",a,b\r\nx,1,2\r\ny,-1,3\r\n", "the value -1 at line 3, column 2, which NMF cannot use"),
        (",a,b\nx,nan,2\n", "the value nan at line 2, column 2"),
        (",a,b\nx,1e300,2\n", "1e300 at line 2, column 2, which is beyond 32-bit floats"),
        (",a,b\nx,1,2\ny,1\n", "has 2 fields at line 3, expected 3"),
        (",a,b\r\nx,1,2\r\ny\r\n", "has 1 fields at line 3, expected 3"),
        (",a,b\nx,1,2\ny,1,2,3\n", "has 4 fields at line 3, expected 3"),
        (",a,b\n", "has 0 lines of 2 numbers"),
        ("3,0,0,1\n0,2,0,0\n", "has numbers at line 1, expected names"),
    ];
    for (text, said) in cases {
        for packed in [false, true] {
            write(&path, text, packed);
            let (kind, found) = refusal(&path, "");
            assert_eq!(kind, ErrorKind::BadData, "{found}");
            assert!(found.contains(said) && found.contains("bad.csv"), "{said}: {found}");
        }
    }
    write(&path, &format!(",a,b\nx,1,2\n\"y,1,2\n{}", "z,1,2\n".repeat(20_000)), false);
    assert!(refusal(&path, "").1.contains("after line 2: a quote is missing"));
    assert_eq!(refusal(&path, "raw/X").0, ErrorKind::Usage);
}

#[test]
fn a_packed_table_that_is_cut_or_damaged_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv.gz");
    write(&path, &large(","), true);
    let whole = std::fs::read(&path).unwrap();
    let mut expected = source::open(&path, &selection("")).unwrap();
    let expected = read_all(&mut *expected, 64).unwrap();
    for len in (0..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..len]).unwrap();
        assert_eq!(refusal(&path, "").0, ErrorKind::BadData, "{len} bytes");
        let mut bytes = whole.clone();
        bytes[len] ^= 1 << (len % 8);
        std::fs::write(&path, &bytes).unwrap();
        match source::open(&path, &selection("")).and_then(|mut source| read_all(&mut *source, 100)) {
            Ok(read) => assert!(read == expected, "byte {len}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::BadData, "byte {len}: {error}"),
        }
    }
}
