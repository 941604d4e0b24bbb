//! A crash, a lack of memory or a file that changes under the program ends it with one line, an
//! exit code of the contract and no unfinished file.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::process::Command;

use crate::program::{Folder, Ran};

/// The lines of the program on stderr that are no progress.
fn lines(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| line.starts_with("partwise: ")).collect()
}

#[test]
fn an_h5ad_that_crashes_the_hdf5_library_is_named() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 600 --genes 200 --programs 3 --depth 100 -o x.h5ad");
    let sound = fs::read(folder.path("x.h5ad")).expect("the file");
    let heaps: Vec<usize> = (0..sound.len() - 4).filter(|&at| &sound[at..at + 4] == b"GCOL").collect();
    assert!(!heaps.is_empty(), "names lie in global heaps");
    // The number of the first string in a heap of names, which the library uses as an index before
    // it is checked (HDF5 1.10.8), and its size.
    let damages = heaps.iter().flat_map(|heap| [(heap + 17, 0xff), (heap + 16, 0xff), (heap + 30, 0x7f)]);
    let (mut refused, mut tried) = (0, 0);
    for (at, byte) in damages.take(24) {
        let mut damaged = sound.clone();
        damaged[at] = byte;
        fs::write(folder.path("d.h5ad"), &damaged).expect("a file in the folder");
        let ran = folder.run("convert d.h5ad -o d.pw --quiet");
        tried += 1;
        if ran.code == Some(0) {
            fs::remove_dir_all(folder.path("d.pw")).expect("the store");
            continue;
        }
        refused += 1;
        assert_eq!(ran.code, Some(65), "byte {at}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "byte {at}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("partwise: d.h5ad: "), "byte {at}: {}", ran.stderr);
        assert_eq!(folder.names(), ["d.h5ad", "x.h5ad"], "byte {at}: {}", ran.stderr);
    }
    assert!(refused > 0, "none of {tried} damages was noticed");
}

#[test]
fn a_store_that_is_cut_while_a_fit_has_it_mapped_is_named() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 20000 --genes 500 --programs 3 --depth 100 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    fs::create_dir(folder.path("out")).expect("a folder");
    let mut child = folder.start("fit x.pw -k 3 -o out/r.h5ad --max-passes 100000000 --tol 0 --solver mu");
    let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let mut said = String::new();
    while !said.starts_with("pass ") {
        said.clear();
        assert!(stderr.read_line(&mut said).expect("stderr is text") > 0, "no pass was told");
    }
    let blocks = OpenOptions::new().write(true).open(folder.path("x.pw/blocks-00000.bin")).expect("the blocks");
    blocks.set_len(4096).expect("a shorter file");
    said.clear();
    stderr.read_to_string(&mut said).expect("stderr is text");
    assert_eq!(child.wait().expect("the program ends").code(), Some(65), "{said}");
    let [line] = lines(&said)[..] else { panic!("one line, not {said}") };
    assert!(line.contains("x.pw/blocks-00000.bin: is damaged"), "{line}");
    assert!(fs::read_dir(folder.path("out")).expect("the folder").next().is_none(), "nothing is left");
}

#[test]
fn memory_that_the_system_refuses_is_said_to_be_refused() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 20000 --genes 500 --programs 3 --depth 100 -o x.h5ad");
    folder.ok("convert x.h5ad -o s.pw");
    folder.ok("fit s.pw -k 3 --max-passes 2 -o s.h5ad");
    let (program, inputs) = (env!("CARGO_BIN_EXE_partwise"), ["s.h5ad", "s.pw", "x.h5ad"]);
    for work in [
        "convert x.h5ad -o x.pw",
        "info x.h5ad",
        "info s.h5ad",
        "fit x.h5ad -k 3 --max-passes 2 -o r.h5ad --store x.pw",
        "fit s.pw -k 3 --max-passes 2 -o r.h5ad --init s.h5ad",
        "export s.pw -o y.h5ad",
    ] {
        let mut refused = 0;
        // Up to more than the program needs for all. Where it ends first depends on the libraries
        // of the system.
        for kibibytes in (30_000..).step_by(700) {
            let line = format!("ulimit -v {kibibytes}; exec {program} {work} --quiet --threads 2");
            let ran = Command::new("sh").args(["-c", &line]).current_dir(folder.path(".")).output();
            let ran = Ran::from(ran.expect("the shell starts"));
            let words = ["out of memory", "Cannot allocate memory", "cannot start a thread"];
            match ran.code {
                Some(0) => break,
                // The system's loader has no room for the libraries.
                Some(127) => continue,
                code => assert_eq!(code, Some(2), "{work} in {kibibytes} KiB: {}", ran.stderr),
            }
            refused += 1;
            let last = ran.stderr.lines().last().unwrap_or_default();
            assert!(words.iter().any(|words| last.contains(words)), "{work} in {kibibytes} KiB: {}", ran.stderr);
            let errors = lines(&ran.stderr).into_iter().filter(|line| !line.contains(": warning: "));
            assert_eq!(errors.count(), 1, "{work} in {kibibytes} KiB: {}", ran.stderr);
            // A store is whole before a fit of it begins.
            if folder.path("x.pw/manifest.json").exists() {
                fs::remove_dir_all(folder.path("x.pw")).expect("a store");
            }
            assert_eq!(folder.names(), inputs, "{work} in {kibibytes} KiB: {}", ran.stderr);
        }
        assert!(refused > 0, "no limit was too low for {work}");
        for output in folder.names().iter().filter(|name| !inputs.contains(&name.as_str())) {
            let path = folder.path(output);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("an output");
        }
    }
}
