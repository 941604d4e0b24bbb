use std::io::Write;
use std::path::Path;

use flate2::write::GzEncoder;
use partwise_storage::source::{self, Form};
use partwise_storage::{ErrorKind, Quiet};

use super::files::{Listener, read_all, refusal, selection};

/// The banner of most files.
pub(crate) const BANNER: &str = "%%MatrixMarket matrix coordinate integer general\n";

/// Writes a text, packed if `path` ends with `.gz`.
pub(crate) fn save(path: &Path, text: &str) {
    if path.extension().is_some_and(|end| end == "gz") {
        return std::fs::write(path, packed(text)).unwrap();
    }
    std::fs::write(path, text).unwrap();
}

fn packed(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

/// 3 genes × 2 cells.
const SMALL: &str = "%%MatrixMarket matrix coordinate real general\n%\n3 2 4\n1 1 5\n3 1 2.5\n2 2 1\n3 2 1e2\n";

#[test]
fn plain_and_packed_files_are_cells_by_genes() {
    let folder = tempfile::tempdir().unwrap();
    let expected = [5.0, 0.0, 2.5, 0.0, 1.0, 100.0];
    for name in ["x.mtx", "x.mtx.gz", "x.txt"] {
        let path = folder.path().join(name);
        save(&path, SMALL);
        let mut source = source::open(&path, &selection("")).unwrap();
        assert_eq!((source.cells(), source.genes(), source.form()), (2, 3, Form::Entries { at_most: 4 }));
        assert_eq!(read_all(&mut *source, 3).unwrap(), expected);
        let mut turned = source::open(&path, &selection("transpose")).unwrap();
        assert_eq!((turned.cells(), turned.genes()), (3, 2));
        assert_eq!(read_all(&mut *turned, 3).unwrap(), [5.0, 0.0, 0.0, 1.0, 2.5, 100.0]);
    }
    // Several members, cut within a line, as parallel packers write them.
    let path = folder.path().join("members.mtx.gz");
    let (first, second) = SMALL.split_at(SMALL.len() - 9);
    std::fs::write(&path, [packed(first), packed(second)].concat()).unwrap();
    assert_eq!(read_all(&mut *source::open(&path, &selection("")).unwrap(), 3).unwrap(), expected);
}

#[test]
fn cells_and_genes_are_numbered_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mtx");
    save(&path, SMALL);
    let source = source::open(&path, &selection("")).unwrap();
    let listener = Listener::default();
    source.write_annotations(&folder.path().join("names.h5ad"), &listener).unwrap();
    let heard = listener.heard();
    assert!(heard.len() == 2 && heard[0].contains("no names of cells") && heard[1].contains("of genes"), "{heard:?}");
    assert!(source.write_annotations(&folder.path().join("again.h5ad"), &Quiet).is_ok());
}

#[test]
fn what_contradicts_the_format_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    for (text, words) in [
        ("3 2 2\n1 1 5\n", "line 2 announces 2 entries, but the file has only 1"),
        ("3 2 2\n", "line 2 announces 2 entries, but the file has only 0"),
        ("3 2 1\n1 1 5\n1 1 5\n", "line 2 announces 1 entries, but more lines follow"),
        ("3 2 1\n1 1 5\nand more\n", "line 2 announces 1 entries, but more lines follow"),
        ("%\n\n3 2 2\n1 1 5\n4 1 5\n", "line 6 has the row 4, but rows are 1 to 3"),
        ("3 2 2\n1 1 5\n0 1 5\n", "line 4 has the row 0"),
        ("3 2 2\n1 1 5\n1 3 5\n", "line 4 has the column 3"),
        ("3 2 2\n1 1 5\n1 1\n", "line 4 is \"1 1\", expected a row, a column and a value"),
        ("3 2 2\n1 1 5\n1 1 -2\n", "line 4 has a negative value -2"),
        ("3 2 2\n1 1 5\n1 1 nan\n", "line 4 has a value that is not finite: NaN"),
        ("3 2 2\n1 1 5\n1 1 1e300\n", "line 4 has the value 1e300, which is beyond 32-bit floats"),
        ("3 2 900000000000\n1 1 5\n", "line 2 claims 900000000000 entries"),
    ] {
        for name in ["x.mtx", "x.mtx.gz"] {
            let path = folder.path().join(name);
            save(&path, &format!("{BANNER}{text}"));
            let (kind, said) = refusal(&path, "");
            assert_eq!(kind, ErrorKind::BadData, "{said}");
            assert!(said.contains(words) && said.contains(name), "expected {words:?} in: {said}");
        }
    }
    save(&folder.path().join("x.mtx"), SMALL);
    assert_eq!(refusal(&folder.path().join("x.mtx"), "raw/X").0, ErrorKind::Usage);
}

#[test]
fn a_fault_late_in_a_large_file_has_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mtx.gz");
    let mut text = format!("{BANNER}3 2 300000\n");
    text.extend((0..299_999).map(|at| format!("{} {} {}\n", at % 3 + 1, at % 2 + 1, at % 70 + 1)));
    save(&path, &format!("{text}1 1 x\n"));
    assert!(refusal(&path, "").1.contains("line 300002 is \"1 1 x\""));
    save(&path, &format!("{text}1 1 7\n"));
    let sum: f64 =
        read_all(&mut *source::open(&path, &selection("")).unwrap(), 1000).unwrap().iter().map(|&v| f64::from(v)).sum();
    let expected: u32 = (0..299_999).map(|at| at % 70 + 1).sum::<u32>() + 7;
    assert_eq!(sum, f64::from(expected));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mtx.gz");
    // Without the last digit, the last value would be another one.
    for whole in [SMALL.trim_end().as_bytes().to_vec(), packed(SMALL)] {
        for len in 0..whole.len() - 2 {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(refusal(&path, "").0, ErrorKind::BadData, "{len} of {} bytes", whole.len());
        }
    }
    let mut damaged = packed(SMALL);
    let end = damaged.len();
    damaged[end - 6] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    assert!(refusal(&path, "").1.contains("packed data are damaged"));
}
