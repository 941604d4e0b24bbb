//! A report is whole or not there, replaces only reports, and is refused with one line that says what it needs.

use std::fs;

use crate::program::{Folder, names_in};

/// A folder with a file, its store and a result.
fn with_result() -> Folder {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 400 --genes 200 --programs 3 --depth 100 -o x.h5ad");
    folder.ok("fit x.h5ad -k 3 -o r.h5ad");
    folder
}

#[test]
fn a_report_lies_beside_its_result_and_json_says_what_is_in_it() {
    let folder = with_result();
    let made = folder.json("report r.h5ad");
    assert_eq!(made["report"], "r.report.html");
    let page = fs::read_to_string(folder.path("r.report.html")).expect("the page");
    assert_eq!(made["bytes"], page.len());
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    let pictures: Vec<&str> = made["pictures"].as_array().expect("a list").iter().filter_map(|p| p.as_str()).collect();
    assert_eq!(pictures, ["programs", "cells", "shares", "genes", "overlap", "error"]);
    assert!(pictures.iter().all(|picture| page.contains(&format!("<section id=\"{picture}\""))));
    assert_eq!(folder.names(), ["r.h5ad", "r.report.html", "x.h5ad", "x.pw"]);
}

#[test]
fn a_report_replaces_only_a_report_and_only_with_force() {
    let folder = with_result();
    folder.ok("report r.h5ad -o page.html");
    let refused = folder.run("report r.h5ad -o page.html");
    assert_eq!(refused.code, Some(73), "{}", refused.stderr);
    assert!(refused.stderr.contains("exists already") && refused.stderr.contains("--force"), "{}", refused.stderr);
    folder.ok("report r.h5ad -o page.html --force");
    fs::write(folder.path("notes.html"), "<!doctype html><p>mine").expect("a file in the folder");
    for place in ["notes.html", "x.h5ad", "x.pw", "/dev/null"] {
        let refused = folder.run(&format!("report r.h5ad -o {place} --force"));
        assert_eq!(refused.code, Some(73), "{place}: {}", refused.stderr);
        assert!(refused.stderr.contains("will not be overwritten"), "{place}: {}", refused.stderr);
    }
    for line in ["report r.h5ad -o r.h5ad --force", "report r.h5ad --embedding x.h5ad -o x.h5ad --force"] {
        let refused = folder.run(line);
        assert_eq!(refused.code, Some(2), "{line}: {}", refused.stderr);
        assert!(refused.stderr.contains("would overwrite the input"), "{line}: {}", refused.stderr);
    }
    assert_eq!(folder.run("report r.h5ad -o no/page.html").code, Some(74));
    assert_eq!(folder.run("report r.h5ad -o x.pw/page.html").code, Some(2));
    assert_eq!(folder.names(), ["notes.html", "page.html", "r.h5ad", "x.h5ad", "x.pw"]);
    folder.ok("verify x.pw");
}

#[test]
fn figures_are_files_and_replace_only_figures_and_only_with_force() {
    let folder = with_result();
    let names = ["programs", "cells", "shares", "genes", "overlap", "error"];
    let made = folder.json("report r.h5ad --svg figures --png figures/");
    let files: Vec<String> =
        ["svg", "png"].iter().flat_map(|ending| names.map(|name| format!("figures/{name}.{ending}"))).collect();
    let told: Vec<&str> = made["files"].as_array().expect("a list").iter().filter_map(|file| file.as_str()).collect();
    assert_eq!(told, files);
    assert!(made["report"] == "r.report.html" && folder.path("r.report.html").exists());
    assert_eq!(names_in(&folder.path("figures")).len(), files.len());
    let read = |name: &str| fs::read(folder.path(name)).expect("a figure");
    let before = read("figures/cells.svg");

    // The page is missing, so only figures are in the way; nothing is written.
    fs::remove_file(folder.path("r.report.html")).expect("the page");
    for line in ["report r.h5ad --svg figures", "report r.h5ad --png ./figures"] {
        let refused = folder.run(line);
        assert_eq!(refused.code, Some(73), "{}", refused.stderr);
        assert!(refused.stderr.contains("exists already") && refused.stderr.contains("--force"), "{}", refused.stderr);
        assert!(!folder.path("r.report.html").exists());
    }
    fs::write(folder.path("figures/mine.svg"), "mine").expect("a file in the folder");
    fs::write(folder.path("figures/cells.svg"), "<svg").expect("a file in the folder");
    let said = folder.ok("report r.h5ad --svg figures --png figures --force").stdout;
    assert!(said.contains("figures: 6 pictures, each a file (SVG)"), "{said}");
    assert!(read("figures/cells.svg") == before && read("figures/mine.svg") == b"mine");

    // Other files in the place of a figure stay, even with force.
    for (name, option) in [("figures/error.svg", "svg"), ("figures/error.png", "png")] {
        fs::write(folder.path(name), "my notes").expect("a file in the folder");
        let refused = folder.run(&format!("report r.h5ad --{option} figures --force"));
        assert_eq!(refused.code, Some(73), "{}", refused.stderr);
        assert!(refused.stderr.contains("will not be overwritten"), "{}", refused.stderr);
        assert_eq!(read(name), b"my notes");
    }
    // A file or a store is no folder for figures, and neither is one inside a folder that is not there.
    for (place, code) in [("r.h5ad", 2), ("x.pw", 2), ("no/figures", 74)] {
        let refused = folder.run(&format!("report r.h5ad --svg {place} --force"));
        assert_eq!(refused.code, Some(code), "{place}: {}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{place}: {}", refused.stderr);
    }
}

#[test]
fn what_has_no_result_is_refused_with_what_a_report_needs() {
    let folder = with_result();
    fs::write(folder.path("text.h5ad"), "no result").expect("a file in the folder");
    fs::create_dir(folder.path("empty")).expect("a folder in the folder");
    let before = folder.names();
    for (input, code, said) in [
        ("none.h5ad", 66, "no such file"),
        ("x.pw", 65, "is a store"),
        ("x.h5ad", 65, "holds neither uns[\"nmf\"] nor uns[\"partwise_pca\"]"),
        ("text.h5ad", 65, "holds neither"),
        ("empty", 65, "is a folder without results of fit"),
    ] {
        let ran = folder.run(&format!("report {input} -o page.html"));
        assert_eq!(ran.code, Some(code), "{input}: {}", ran.stderr);
        assert!(ran.stderr.starts_with(&format!("partwise: {input}: ")) && ran.stderr.contains(said), "{}", ran.stderr);
        assert!(ran.stderr.lines().count() == 1 && ran.stdout.is_empty(), "{}", ran.stderr);
        if code == 65 {
            assert!(ran.stderr.contains("a report needs a result of fit or pca"), "{}", ran.stderr);
        }
        assert_eq!(folder.names(), before, "{input}");
    }
    let ran = folder.run("report r.h5ad --label type -o page.html");
    assert_eq!(ran.code, Some(65), "{}", ran.stderr);
    assert!(ran.stderr.contains("obs has no column \"type\"; its columns are"), "{}", ran.stderr);
    let ran = folder.run("report r.h5ad --embedding x.h5ad -o page.html");
    assert_eq!(ran.code, Some(65), "{}", ran.stderr);
    assert!(ran.stderr.contains("none of X_umap, X_tsne and X_pca"), "{}", ran.stderr);
    assert_eq!(folder.names(), before);
}

#[test]
fn a_damaged_result_is_refused_and_leaves_no_page() {
    let folder = with_result();
    let whole = fs::read(folder.path("r.h5ad")).expect("the result");
    for part in [whole.len() / 3, whole.len() - 100] {
        fs::write(folder.path("cut.h5ad"), &whole[..part]).expect("a file in the folder");
        let ran = folder.run("report cut.h5ad -o page.html");
        assert_eq!(ran.code, Some(65), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        assert!(!folder.path("page.html").exists());
    }
}

#[test]
fn a_fit_ends_with_its_page_if_it_is_asked_to() {
    let folder = with_result();
    folder.ok("fit x.h5ad -k 3 -o again.h5ad --report");
    folder.ok("report again.h5ad -o page.html");
    let page = |name: &str| fs::read_to_string(folder.path(name)).expect("a page");
    assert_eq!(page("again.report.html"), page("page.html"));
    // A page in the way is found before the work.
    let refused = folder.run("fit x.h5ad -k 3 -o again.h5ad --report --force");
    assert_eq!(refused.code, Some(0), "{}", refused.stderr);
    fs::write(folder.path("other.report.html"), "my notes").expect("a page");
    let refused = folder.run("fit x.h5ad -k 3 -o other.h5ad --report --force");
    assert!(refused.code == Some(73) && refused.stderr.contains("other.report.html"), "{}", refused.stderr);
    assert!(!folder.names().contains(&"other.h5ad".to_owned()));
    // The page of a set is that of its folder.
    folder.ok("fit x.h5ad -k 2,3 -o many --report");
    folder.ok("report many -o page.html --force");
    assert_eq!(page("many.report.html"), page("page.html"));
}

#[test]
fn a_page_of_new_cells_says_so() {
    let folder = with_result();
    folder.ok("transform r.h5ad x.h5ad -o new.h5ad");
    folder.ok("report new.h5ad");
    let page = fs::read_to_string(folder.path("new.report.html")).expect("the page");
    assert!(page.contains("usages of new cells") && !page.contains("factorization X"));
}

#[test]
fn a_sweep_has_a_page_beside_its_folder_and_one_that_is_not_finished_has_none() {
    let folder = with_result();
    folder.ok("sweep x.h5ad -k 2..4 --replicates 4 --hvg 80");
    let made = folder.json("report x.sweep --svg figures");
    assert_eq!(made["report"], "x.sweep.report.html");
    assert_eq!(
        made["files"],
        serde_json::json!(["figures/stability.svg", "figures/explained.svg", "figures/passes.svg"])
    );
    let page = fs::read_to_string(folder.path("x.sweep.report.html")).expect("the page");
    assert!(page.contains("4 replicates of each k from 2 to 4: 12 factorizations"));
    assert!(page.contains("80 selected genes") && page.contains(" is the most stable ("));
    assert_eq!(folder.run("report x.sweep").code, Some(73));
    let refused = folder.run("report x.sweep --label type --force");
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("a sweep has no cells"), "{}", refused.stderr);

    fs::remove_file(folder.path("x.sweep/stability.csv")).expect("the table");
    let refused = folder.run("report x.sweep -o page.html");
    assert_eq!((refused.code, refused.stderr.lines().count()), (Some(65), 1), "{}", refused.stderr);
    assert!(refused.stderr.contains("stability.csv") && refused.stderr.contains("run the same sweep again"));
    assert!(!folder.path("page.html").exists());
}
