//! `--memory` limits the peak resident memory of the process, for inputs several times as large.

use serde_json::Value;

use crate::program::Folder;

#[track_caller]
fn within(report: &Value, budget: u64) {
    let peak = report["peak_rss_bytes"].as_u64().expect("a peak");
    assert!(peak <= budget, "a peak of {} MiB is above {} MiB: {report}", peak >> 20, budget >> 20);
}

#[track_caller]
fn larger(folder: &Folder, name: &str, times: u64, budget: u64) {
    let bytes = folder.path(name).metadata().expect("the file").len();
    assert!(bytes > times * budget, "{name} has {} MiB, the budget {} MiB", bytes >> 20, budget >> 20);
}

#[test]
fn counts_five_times_the_budget() {
    let folder = Folder::new();
    let budget = 64 << 20;
    let simulate = "simulate --kind counts --cells 60000 --genes 10000 --programs 5 --depth 2200 -o x.h5ad";
    within(&folder.json(&format!("{simulate} --memory 64M")), budget);
    larger(&folder, "x.h5ad", 5, budget);
    within(&folder.json("convert x.h5ad -o x.pw --memory 64M"), budget);
    within(&folder.json("fit x.pw -k 10 --max-passes 2 -o r.h5ad --memory 64M"), budget);
    within(&folder.json("fit x.h5ad -k 10 --max-passes 2 -o f.h5ad --memory 64M --threads 8"), budget);
    within(&folder.json("export x.pw -o y.h5ad"), budget);
}

#[test]
fn dense_values_four_times_the_budget() {
    let folder = Folder::new();
    let budget = 64 << 20;
    folder.ok("simulate --kind clusters --cells 75000 --genes 1000 -o x.h5ad");
    larger(&folder, "x.h5ad", 4, budget);
    within(&folder.json("fit x.h5ad -k 8 --max-passes 2 -o r.h5ad --memory 64M"), budget);
}

#[test]
fn usages_larger_than_the_budget() {
    let folder = Folder::new();
    let budget = 64 << 20;
    folder.ok("simulate --kind counts --cells 1000000 --genes 200 --programs 4 --depth 6 -o x.h5ad");
    within(&folder.json("fit x.h5ad -k 24 --max-passes 2 -o r.h5ad --memory 64M"), budget);
    larger(&folder, "r.h5ad", 1, budget);
}
