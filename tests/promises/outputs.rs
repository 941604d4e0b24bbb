//! Outputs: no file is replaced without `--force`, and a store serves only the input that it was
//! made from.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::program::Folder;

#[test]
fn an_output_that_exists_is_refused_before_any_work_and_replaced_with_force() {
    let folder = Folder::new();
    folder.ok("simulate --kind clusters --cells 300 --genes 40 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    folder.ok("fit x.pw -k 2 -o r.h5ad --trace t.csv");
    folder.ok("export x.pw -o y.h5ad");
    let before = folder.names();
    for line in [
        "simulate --kind clusters -o x.h5ad",
        "convert x.h5ad -o x.pw",
        "fit x.pw -k 2 -o r.h5ad",
        "fit x.pw -k 2 -o s.h5ad --trace t.csv",
        "export x.pw -o y.h5ad",
    ] {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(73), "partwise {line}\n{}", ran.stderr);
        assert!(ran.stderr.contains("exists already") && ran.stderr.contains("--force"), "{line}: {}", ran.stderr);
    }
    assert_eq!(folder.names(), before);
    for line in [
        "convert x.h5ad -o x.pw --force",
        "fit x.pw -k 2 -o r.h5ad --trace t.csv --force",
        "export x.pw -o y.h5ad --force",
    ] {
        folder.ok(line);
    }
}

#[test]
fn no_output_is_an_input_or_another_output() {
    let folder = Folder::new();
    folder.ok("simulate --kind clusters --cells 300 --genes 40 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    folder.ok("fit x.pw -k 2 -o start.h5ad");
    symlink("x.h5ad", folder.path("soft.csv")).expect("a link in the folder");
    fs::hard_link(folder.path("x.h5ad"), folder.path("hard.csv")).expect("a link in the folder");
    symlink("new.h5ad", folder.path("to-new.csv")).expect("a link in the folder");
    let state = || ["x.h5ad", "start.h5ad"].map(|name| fs::read(folder.path(name)).expect("a file"));
    let before = (folder.names(), state());
    for (line, said) in [
        ("fit x.h5ad -k 2 --trace x.h5ad", "the trace would overwrite the input x.h5ad; choose another --trace"),
        ("fit x.h5ad -k 2 --trace soft.csv", "soft.csv: the trace would overwrite the input"),
        ("fit x.h5ad -k 2 --trace hard.csv", "hard.csv: the trace would overwrite the input"),
        ("fit x.h5ad -k 2 --init start.h5ad --trace start.h5ad", "the trace would overwrite the result to start from"),
        ("fit x.h5ad -k 2 --init start.h5ad -o start.h5ad", "the result would overwrite the result to start from"),
        ("fit x.h5ad -k 2 -o x.h5ad", "the result would overwrite the input x.h5ad; choose another -o"),
        ("fit x.h5ad -k 2 -o new.h5ad --trace new.h5ad", "the trace would overwrite the result new.h5ad"),
        ("fit x.h5ad -k 2 -o new.h5ad --trace to-new.csv", "the trace would overwrite the result new.h5ad"),
        ("fit x.h5ad -k 2 --store y.pw --trace ./y.pw", "the trace would overwrite the store y.pw"),
        ("fit x.h5ad -k 2,3 -o sets --store sets", "the folder of the results would overwrite the store"),
        ("fit x.h5ad -k 2,3 -o x.pw --store z.pw", "lies inside the store"),
        ("pca x.h5ad -c 2 -o x.h5ad", "the result would overwrite the input x.h5ad; choose another -o"),
        ("convert x.h5ad -o hard.csv", "the output would overwrite the input x.h5ad"),
        ("convert x.pw -o x.pw --block-rows 512", "the output would overwrite the input x.pw"),
        ("export x.pw -o x.pw", "the output would overwrite the input x.pw"),
        ("bench x.pw --plot x.pw", "the plot would overwrite the input x.pw; choose another --plot"),
    ] {
        for line in [line.to_owned(), format!("{line} --force"), format!("{line} --force --checkpoint c --resume")] {
            if line.contains("--checkpoint") && !["fit", "pca"].iter().any(|verb| line.starts_with(verb)) {
                continue;
            }
            let ran = folder.run(&line);
            assert_eq!(ran.code, Some(2), "partwise {line}\n{}", ran.stderr);
            assert!(ran.stderr.contains(said), "partwise {line}\n{}", ran.stderr);
            assert!((folder.names(), state()) == before, "partwise {line}");
        }
    }
}

#[test]
fn an_output_that_cannot_be_replaced_is_refused_before_any_work() {
    let folder = Folder::new();
    folder.ok("simulate --kind clusters --cells 300 --genes 40 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    fs::write(folder.path("notes"), "mine").expect("a file in the folder");
    fs::create_dir(folder.path("folder")).expect("a folder in the folder");
    let made = Command::new("mkfifo").arg(folder.path("pipe")).status().expect("mkfifo runs");
    assert!(made.success());
    symlink("pipe", folder.path("to-pipe")).expect("a link in the folder");
    let before = folder.names();
    for place in ["notes", "folder", "pipe", "to-pipe", "/dev/null", "x.h5ad"] {
        let traced = ["", "--force", "--resume --checkpoint c"]
            .map(|options| format!("fit x.pw -k 2 -o r.h5ad --trace {place} {options}"));
        let mut lines: Vec<String> = traced.into();
        lines.push(format!("bench x.pw -k 2 --block-rows 256 --plot {place} --force"));
        // An AnnData file replaces a link, and other HDF5 files.
        if !["to-pipe", "x.h5ad"].contains(&place) {
            lines.push(format!("fit x.h5ad -k 2 -o {place} --store y.pw --force"));
            lines.push(format!("export x.pw -o {place} --force"));
            lines.push(format!("simulate --kind clusters -o {place} --force"));
        }
        if !["folder"].contains(&place) {
            lines.push(format!("convert x.pw --block-rows 512 -o {place} --force"));
        }
        for line in lines {
            let ran = folder.run(&line);
            assert_eq!(ran.code, Some(73), "partwise {line}\n{}", ran.stderr);
            assert!(ran.stderr.contains("will not be overwritten"), "partwise {line}\n{}", ran.stderr);
            assert_eq!(folder.names(), before, "partwise {line}");
        }
    }
    assert_eq!(fs::read(folder.path("notes")).expect("the file"), b"mine");
}

#[test]
fn force_replaces_no_file_or_folder_of_another_kind() {
    let folder = Folder::new();
    folder.ok("simulate --kind clusters --cells 300 --genes 40 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    for line in
        ["convert x.h5ad -o x.h5ad --force", "fit x.pw -k 2 -o x.pw --force", "fit x.h5ad -k 2 -o x.h5ad --force"]
    {
        assert_ne!(folder.run(line).code, Some(0), "partwise {line}");
    }
    folder.ok("info x.h5ad");
    folder.ok("verify x.pw");
    std::fs::create_dir(folder.path("notes")).expect("a folder in the folder");
    std::fs::write(folder.path("notes/today"), "mine").expect("a file in it");
    for line in ["convert x.h5ad -o notes --force", "fit x.h5ad -k 2 --store notes --force"] {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(73), "partwise {line}\n{}", ran.stderr);
        assert!(folder.path("notes/today").exists(), "partwise {line}");
    }
}

#[test]
fn a_missing_folder_is_reported_before_any_work() {
    let folder = Folder::new();
    folder.ok("simulate --kind clusters --cells 300 --genes 40 -o x.h5ad");
    for line in [
        "simulate --kind clusters -o no/x.h5ad",
        "convert x.h5ad -o no/x.pw",
        "fit x.h5ad -k 2 -o no/r.h5ad",
        "fit x.h5ad -k 2 --store no/x.pw",
        "fit x.h5ad -k 2 --trace no/t.csv",
    ] {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(74), "partwise {line}\n{}", ran.stderr);
        assert!(ran.stderr.contains("the folder no does not exist"), "{}", ran.stderr);
        assert_eq!(folder.names(), ["x.h5ad"], "partwise {line}");
    }
}

#[test]
fn a_fit_uses_the_store_of_an_unchanged_input_again_and_no_other() {
    let folder = Folder::new();
    let converts = |line: &str| folder.json(line)["convert_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0);
    folder.ok("simulate --kind clusters --cells 300 --genes 40 -o x.h5ad");
    folder.ok("simulate --kind clusters --cells 200 --genes 40 -o z.h5ad");
    assert!(converts("fit x.h5ad -k 2"), "the first fit converts");
    assert_eq!(folder.names(), ["x.h5ad", "x.nmf.h5ad", "x.pw", "z.h5ad"]);
    assert!(!converts("fit x.h5ad -k 3 --force"), "the second finds the store");
    assert!(folder.ok("fit x.h5ad -k 3 -o a.h5ad --store x.pw").stderr.contains("used again"));

    folder.ok("simulate --kind clusters --cells 310 --genes 40 -o x.h5ad --force");
    assert!(converts("fit x.h5ad -k 2 --force"), "another input at the same path is converted");
    assert_eq!(folder.json("info x.pw")["cells"], 310);

    let other = folder.run("fit z.h5ad -k 2 --store x.pw");
    assert_eq!(other.code, Some(73), "{}", other.stderr);
    assert_eq!(folder.json("info x.pw")["cells"], 310);
    folder.ok("fit z.h5ad -k 2 --store x.pw --force");
    assert_eq!(folder.json("info x.pw")["cells"], 200);
}

#[test]
fn all_results_of_an_input_share_its_store_and_no_store_is_taken_from_another() {
    let folder = Folder::new();
    let converts = |line: &str| folder.json(line)["convert_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0);
    for (name, cells) in [("a/matrix", 200), ("b/matrix", 210)] {
        std::fs::create_dir_all(folder.path(name).parent().expect("a folder")).expect("a folder");
        folder.ok(&format!("simulate --kind clusters --cells {cells} --genes 40 -o {name}.h5ad"));
    }
    assert!(converts("fit a/matrix.h5ad -k 2 -o r1.h5ad"));
    assert!(!converts("fit a/matrix.h5ad -k 2 -o r2.h5ad"), "another result of the same input");
    assert!(!converts("fit a/matrix.h5ad -k 2,3 -o set"), "a set of results");
    assert_eq!(folder.names(), ["a", "b", "matrix.pw", "r1.h5ad", "r2.h5ad", "set"]);
    assert!(converts("fit b/matrix.h5ad -k 2 -o r3.h5ad"), "an input of the same name");
    assert!(!converts("fit b/matrix.h5ad -k 2 -o r4.h5ad"));
    assert_eq!(folder.json("info matrix.pw")["cells"], 200);
    assert_eq!(folder.json("info matrix.2.pw")["cells"], 210);
    folder.ok("convert b/matrix.h5ad -o b/matrix.pw");
    std::fs::create_dir(folder.path("elsewhere")).expect("a folder");
    assert!(!converts("fit b/matrix.h5ad -k 2 -o elsewhere/r.h5ad"), "a store beside the input");
    assert!(converts("fit b/matrix.h5ad --transpose -k 2 -o elsewhere/t.h5ad"), "another selection");
    assert!(folder.path("elsewhere/matrix.transposed.pw").exists());
}

#[test]
fn nothing_is_written_into_a_store() {
    let folder = Folder::new();
    folder.ok("simulate --kind clusters --cells 300 --genes 40 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    for line in [
        "fit x.pw -k 2 -o x.pw/r.h5ad",
        "fit x.pw -k 2 -o r.h5ad --trace x.pw/t.csv",
        "export x.pw -o x.pw/y.h5ad",
        "convert x.h5ad -o x.pw/inner.pw",
    ] {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(2), "partwise {line}\n{}", ran.stderr);
        assert!(ran.stderr.contains("lies inside the store"), "{}", ran.stderr);
    }
    assert_eq!(folder.names(), ["x.h5ad", "x.pw"]);
    folder.ok("convert x.h5ad -o x.pw --force");
}

#[test]
fn a_budget_too_small_for_a_simulation_is_refused_before_any_work() {
    let folder = Folder::new();
    for kind in ["clusters", "counts"] {
        let line = format!("simulate --kind {kind} --cells 10 --genes 4294967295 --memory 64M -o x.h5ad");
        let ran = folder.run(&line);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains("--memory"), "{}", ran.stderr);
    }
    assert!(folder.names().is_empty());
}
