//! Outputs: no file is replaced without `--force`, and a store serves only the input that it was
//! made from.

use crate::program::Folder;

#[test]
fn an_output_that_exists_is_refused_before_any_work_and_replaced_with_force() {
    let folder = Folder::new();
    folder.ok("simulate --kind clusters --cells 300 --genes 40 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    folder.ok("fit x.pw -k 2 -o r.h5ad");
    folder.ok("export x.pw -o y.h5ad");
    let before = folder.names();
    for line in [
        "simulate --kind clusters -o x.h5ad",
        "convert x.h5ad -o x.pw",
        "fit x.pw -k 2 -o r.h5ad",
        "fit x.pw -k 2 -o s.h5ad --trace x.h5ad",
        "export x.pw -o y.h5ad",
    ] {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(73), "partwise {line}\n{}", ran.stderr);
        assert!(ran.stderr.contains("exists already") && ran.stderr.contains("--force"), "{line}: {}", ran.stderr);
    }
    assert_eq!(folder.names(), before);
    for line in ["convert x.h5ad -o x.pw --force", "fit x.pw -k 2 -o r.h5ad --force", "export x.pw -o y.h5ad --force"] {
        folder.ok(line);
    }
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
