//! The programs in `examples/` run and print what they say.

use std::path::PathBuf;
use std::process::Command;

use crate::program::Folder;

/// Runs an example, which `cargo test` has built beside the program, and returns its lines.
fn run(name: &str, folder: &Folder, arguments: &[&str]) -> Vec<String> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_partwise")).with_file_name("examples").join(name);
    let ran = Command::new(&program).args(arguments).current_dir(folder.path(".")).output();
    let ran = ran.unwrap_or_else(|error| panic!("{} is built by cargo test: {error}", program.display()));
    assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn a_matrix_in_memory_is_factorized_and_its_programs_are_named() {
    let lines = run("in_memory", &Folder::new(), &[]);
    let error = lines[0].strip_prefix("W is 300 x 3, relative error ").and_then(|error| error.parse::<f64>().ok());
    assert!(error.is_some_and(|error| error < 0.001), "{lines:?}");
    // Four genes a program; the strongest three of each come from the same program.
    let mut programs: Vec<usize> = Vec::new();
    for line in &lines[1..] {
        let (_, genes) = line.split_once(": ").expect("a list of genes");
        let genes: Vec<usize> = genes.split(", ").map(|gene| gene["gene".len()..].parse().expect("a number")).collect();
        assert!(genes.len() == 3 && genes.iter().all(|gene| gene / 4 == genes[0] / 4), "{lines:?}");
        programs.push(genes[0] / 4);
    }
    programs.sort_unstable();
    assert_eq!(programs, [0, 1, 2]);
}

#[test]
fn several_k_are_compared_and_a_fold_counts_genes() {
    let folder = Folder::new();
    folder.ok("simulate --kind clusters --cells 900 --genes 120 --programs 4 -o x.h5ad");
    let lines = run("choose_k", &folder, &["x.h5ad", "results"]);
    assert!(lines[0].starts_with("900 cells x 120 genes, read ") && lines[0].ends_with("for 8 fits"), "{lines:?}");
    let explained: Vec<f64> = lines[1..]
        .iter()
        .map(|line| line.split_whitespace().rev().nth(1).and_then(|word| word.parse().ok()).expect("a percentage"))
        .collect();
    assert_eq!(explained.len(), 8);
    assert!(explained[6] >= explained[0], "more components explain no less: {lines:?}");
    assert!(folder.path("results/k6.seed1.h5ad").exists());

    let lines = run("own_computation", &folder, &["x.pw"]);
    assert!(lines[0].starts_with("900 cells; the median cell expresses "), "{lines:?}");
}
