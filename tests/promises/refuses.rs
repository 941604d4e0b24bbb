//! For bad input, the program prints one line with the file and the remedy, exits with the
//! documented code, and writes no output.

use std::fs;

use crate::program::{Folder, Ran};

/// Checks that the verbs that read `input` refuse it with `code`, name it, and leave the folder
/// unchanged.
#[track_caller]
fn refused(folder: &Folder, input: &str, code: i32, said: &[&str]) {
    let before = folder.names();
    for line in [format!("convert {input} -o out.pw"), format!("fit {input} -k 2 -o out.h5ad --store out.pw")] {
        let Ran { code: found, stdout, stderr } = folder.run(&line);
        assert_eq!(found, Some(code), "partwise {line}\n{stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("partwise: ") && last.contains(input), "partwise {line}\n{stderr}");
        for words in said {
            assert!(last.contains(words), "partwise {line}: {words:?} in\n{stderr}");
        }
        assert!(stdout.is_empty(), "partwise {line}");
        assert_eq!(folder.names(), before, "partwise {line}");
    }
}

#[test]
fn a_missing_file_is_66() {
    refused(&Folder::new(), "none.h5ad", 66, &["no such file"]);
    let folder = Folder::new();
    folder.npy("x.npy", 4, 3, &[1.0; 12]);
    let ran = folder.run("fit x.npy -k 2 --init none.h5ad");
    assert_eq!((ran.code, folder.names()), (Some(66), vec!["x.npy".to_owned()]), "{}", ran.stderr);
    for line in ["info none.pw", "verify none.pw", "export none.pw -o y.h5ad", "plan none.h5ad -k 2"] {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(66), "partwise {line}\n{}", ran.stderr);
        assert!(ran.stderr.starts_with("partwise: none."), "partwise {line}\n{}", ran.stderr);
    }
}

#[test]
fn unusable_values_are_reported_with_their_place() {
    for (value, word) in [(-0.5, "negative"), (f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let folder = Folder::new();
        let mut values = [1.0; 60];
        values[33] = value;
        folder.npy("x.npy", 10, 6, &values);
        refused(&folder, "x.npy", 65, &[word, "row 5", "column 3"]);
    }
}

/// A standard deviation whose inverse is no 32-bit float.
#[test]
fn a_gene_of_subnormal_values_does_not_prevent_a_scaled_fit() {
    let folder = Folder::new();
    let value = |i: usize| ((i * i) % 7 + i % 3) as f32 * if i % 6 == 3 { 1e-41 } else { 1.0 };
    folder.npy("x.npy", 40, 6, &(0..240).map(value).collect::<Vec<_>>());
    for init in ["sample", "random"] {
        let fit = folder.json(&format!("fit x.npy -k 2 --scale std --init {init} --force"));
        assert!(fit["relative_error"].as_f64().is_some_and(|error| error < 1.0), "{init}: {fit}");
    }
}

#[test]
fn a_file_that_is_no_result_starts_nothing_and_costs_no_conversion() {
    let folder = Folder::new();
    folder.npy("x.npy", 10, 6, &[1.0; 60]);
    fs::write(folder.path("start.h5ad"), "no result").expect("a file in the folder");
    let ran = folder.run("fit x.npy -k 2 --init start.h5ad");
    assert_eq!(ran.code, Some(65), "{}", ran.stderr);
    assert!(ran.stderr.contains("start.h5ad: cannot be read: it is not a result of fit"), "{}", ran.stderr);
    assert_eq!(folder.names(), ["start.h5ad", "x.npy"]);
}

#[test]
fn a_matrix_without_a_nonzero_is_65() {
    let folder = Folder::new();
    folder.npy("x.npy", 10, 6, &[0.0; 60]);
    let ran = folder.run("fit x.npy -k 2 -o out.h5ad");
    assert_eq!(ran.code, Some(65), "{}", ran.stderr);
    assert!(!folder.path("out.h5ad").exists());
}

#[test]
fn files_that_are_something_else_are_65() {
    let folder = Folder::new();
    for (name, content) in [
        ("empty.h5ad", &b""[..]),
        ("text.h5ad", b"cells and genes\nby hand\n"),
        ("pointer.h5ad", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        ("header.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4',"),
    ] {
        fs::write(folder.path(name), content).expect("a file in the folder");
        refused(&folder, name, 65, &[]);
    }
    fs::create_dir(folder.path("folder")).expect("a folder in the folder");
    refused(&folder, "folder", 65, &["folder"]);
}

#[test]
fn a_file_cut_short_is_65_wherever_it_is_cut() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 300 --genes 100 --programs 2 --depth 50 -o whole.h5ad");
    let whole = fs::read(folder.path("whole.h5ad")).expect("the file");
    for part in [1, 3, 5, 7, 9] {
        fs::write(folder.path("cut.h5ad"), &whole[..whole.len() * part / 10]).expect("a file in the folder");
        refused(&folder, "cut.h5ad", 65, &[]);
    }
}

#[test]
fn settings_that_do_not_fit_the_data_are_2_before_any_work() {
    let folder = Folder::new();
    folder.npy("x.npy", 10, 6, &[1.0; 60]);
    for (options, said) in [
        ("-k 7", "7"),
        ("-k 0", "0"),
        ("-k 2 --tol -1", "tol"),
        ("-k 2 --max-passes 0", "max-passes"),
        ("-k 2 --memory 1M", "--memory"),
    ] {
        let ran = folder.run(&format!("fit x.npy {options}"));
        assert_eq!(ran.code, Some(2), "{options}\n{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{options}\n{}", ran.stderr);
        assert_eq!(folder.names(), ["x.npy"], "{options}");
    }
}

#[test]
fn insufficient_memory_is_reported_before_a_conversion() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 3000 --genes 4000 --programs 2 --depth 300 -o x.h5ad");
    let ran = folder.run("fit x.h5ad -k 300 --memory 48M");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("the smallest is"), "{}", ran.stderr);
    assert_eq!(folder.names(), ["x.h5ad"]);
    folder.ok("convert x.h5ad -o x.pw --memory 48M");
}

#[test]
fn a_damaged_store_is_65_and_the_message_names_the_file() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 600 --genes 200 --programs 2 --depth 100 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    let files = fs::read_dir(folder.path("x.pw")).expect("the store").map(|entry| entry.expect("an entry").path());
    let blocks = files.filter(|path| path.extension().is_none_or(|extension| extension != "h5ad"));
    let largest = blocks.max_by_key(|path| path.metadata().map_or(0, |meta| meta.len())).expect("files in the store");
    let mut bytes = fs::read(&largest).expect("a file of the store");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&largest, bytes).expect("the file is written back");

    let name = largest.file_name().expect("a name").to_string_lossy().into_owned();
    for line in ["verify x.pw", "fit x.pw -k 2 -o r.h5ad", "export x.pw -o y.h5ad"] {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(65), "partwise {line}\n{}", ran.stderr);
        assert!(ran.stderr.contains(&name) && ran.stderr.contains("damaged"), "partwise {line}\n{}", ran.stderr);
        assert_eq!(folder.names(), ["x.h5ad", "x.pw"], "partwise {line}");
    }
}
