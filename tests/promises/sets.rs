//! Several k and several seeds in one command: each fit has the bits that it has alone, in the same
//! reads of the data, and a stopped or repeated command does no work twice.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::program::{Folder, names_in};

/// The digest of each fit by its name, such as `k5.seed0`.
type Digests = BTreeMap<String, String>;

/// A folder with 2,000 × 500 counts, `x.h5ad`, and their store, `x.pw`.
fn with_store() -> Folder {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 2000 --genes 500 --programs 4 --depth 100 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    folder
}

fn fits(told: &Value) -> &Vec<Value> {
    told["fits"].as_array().unwrap_or_else(|| panic!("a list of fits in {told}"))
}

fn name(fit: &Value) -> String {
    format!("k{}.seed{}", fit["k"], fit["seed"])
}

fn digests(told: &Value) -> Digests {
    fits(told).iter().map(|fit| (name(fit), fit["digest"].as_str().expect("a digest").to_owned())).collect()
}

/// The digests that the fits have one by one, and the sum of their passes. Traces are `alone.K.SEED.csv`.
fn alone(folder: &Folder, fit: &str, ks: &[usize], seeds: &[u64]) -> (Digests, u64) {
    let (mut digests, mut passes) = (Digests::new(), 0);
    for k in ks {
        for seed in seeds {
            let trace = format!("alone.k{k}.seed{seed}.csv");
            let told = folder.json(&format!("{fit} -k {k} --seed {seed} -o alone.h5ad --trace {trace} --force"));
            digests.insert(name(&told), told["digest"].as_str().expect("a digest").to_owned());
            passes += told["passes"].as_u64().expect("a number");
        }
    }
    (digests, passes)
}

fn modified(path: &Path) -> SystemTime {
    path.metadata().and_then(|meta| meta.modified()).expect("a time")
}

/// The rows of a trace without bytes and times, which belong to the run and not to the fit.
fn rows(table: &str, columns: usize) -> Vec<String> {
    table.lines().skip(1).map(|line| line.split(',').take(columns).collect::<Vec<_>>().join(",")).collect()
}

#[test]
fn fits_side_by_side_have_the_bits_of_fits_alone_in_less_than_half_of_the_reads() {
    let folder = with_store();
    for options in ["", "--solver mu --max-passes 30", "--solver hals --init random --scale std --max-passes 12"] {
        let (expected, passes) = alone(&folder, &format!("fit x.pw {options}"), &[3, 5, 6], &[0, 1]);
        let told = folder.json(&format!("fit x.pw {options} -k 3,5..6 --seed 0,1 -o set --trace t.csv --force"));
        assert_eq!(digests(&told), expected, "{options}");
        assert_eq!(expected.values().collect::<std::collections::BTreeSet<_>>().len(), 6, "{options}: six results");
        assert!(2 * told["passes"].as_u64().expect("a number") < passes, "{options}: {} of {passes}", told["passes"]);

        let order: Vec<String> = fits(&told).iter().map(name).collect();
        assert_eq!(order, ["k3.seed0", "k3.seed1", "k5.seed0", "k5.seed1", "k6.seed0", "k6.seed1"]);
        let trace = fs::read_to_string(folder.path("t.csv")).expect("the trace");
        assert!(trace.starts_with("k,seed,pass,loss,relative_error,"), "{trace}");
        let together = rows(&trace, 13);
        for fit in &order {
            let alone = fs::read_to_string(folder.path(&format!("alone.{fit}.csv"))).expect("the trace of one");
            let prefix = fit.trim_start_matches('k').replace(".seed", ",") + ",";
            let of_fit: Vec<String> =
                together.iter().filter_map(|row| row.strip_prefix(&prefix)).map(str::to_owned).collect();
            assert_eq!(of_fit, rows(&alone, 11), "{options}: {fit}");
        }
    }
}

#[test]
fn results_lie_in_a_folder_and_a_table_compares_them() {
    let folder = with_store();
    let ran = folder.ok("fit x.pw -k 2,4 --seed 0,7 --max-passes 5");
    let names = ["k2.seed0.h5ad", "k2.seed7.h5ad", "k4.seed0.h5ad", "k4.seed7.h5ad"];
    assert_eq!(
        (folder.names(), names_in(&folder.path("x.nmf"))),
        (["x.h5ad", "x.nmf", "x.pw"].map(String::from).to_vec(), names.map(String::from).to_vec())
    );
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].contains("x.nmf") && lines[0].contains("4 fits"), "{}", ran.stdout);
    for column in ["result", "k", "seed", "relative error", "explained", "reads"] {
        assert!(lines[1].contains(column), "{column} in {}", ran.stdout);
    }
    for (line, name) in lines[2..].iter().zip(names) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let info = folder.json(&format!("info x.nmf/{name}"));
        let error = format!("{:.4}", info["relative_error"].as_f64().expect("a number"));
        assert_eq!((cells[0], cells[3]), (name, error.as_str()), "{}", ran.stdout);
        assert_eq!(cells[1], info["k"].to_string(), "{}", ran.stdout);
    }
    let last = lines.last().expect("a line");
    assert!(lines.len() == 7 && last.starts_with("5 reads of the data by all fits together"), "{}", ran.stdout);

    let told = folder.json("fit x.pw -k 2,4 --seed 0,7 --max-passes 5 -o other/");
    assert_eq!((&told["passes"], &told["output"], &told["waves"]), (&5.into(), &"other".into(), &1.into()));
    for (fit, name) in fits(&told).iter().zip(names) {
        assert_eq!(fit["result"], format!("other/{name}"));
        for key in "digest passes sample_passes relative_error explained stop resumed_from_pass kept".split(' ') {
            assert!(!fit[key].is_null(), "{key} in {fit}");
        }
    }
    // A file and its store are one input.
    folder.ok("fit x.h5ad -k 2,4 --max-passes 3 -o third");
    assert!(folder.path("third/k4.seed0.h5ad").exists() && !folder.path("third.pw").exists());
}

#[test]
fn impossible_sets_are_refused_in_one_line_before_any_work() {
    let folder = with_store();
    folder.ok("fit x.pw -k 3 --max-passes 2 -o start.h5ad");
    let before = folder.names();
    for (options, said) in [
        ("-k 3,4,3", "3 more than once"),
        ("-k 3..5,4", "4 more than once"),
        ("-k 3 --seed 1,1", "1 more than once"),
        ("-k 0", "k = 0"),
        ("-k 0,3", "k = 0"),
        ("-k 3,501", "choose 1 ≤ k ≤ 500"),
        ("-k 3,4 --init start.h5ad", "--init sample or random"),
        ("-k 3 --seed 0,1 --init start.h5ad", "--init sample or random"),
        ("-k 9..5", "9..5"),
        ("-k x", "x"),
        ("-k 3,", "5,8 or 10..14"),
        ("-k 3 --seed 0..x", "x"),
        ("-k 3,4 --memory 1M", "--memory"),
    ] {
        for input in ["x.pw", "x.h5ad --store new.pw"] {
            let ran = folder.run(&format!("fit {input} {options} -o set"));
            assert_eq!(ran.code, Some(2), "{input} {options}\n{}", ran.stderr);
            assert!(ran.stderr.contains(said) && ran.stderr.lines().count() == 1, "{options}\n{}", ran.stderr);
            assert_eq!((folder.names(), ran.stdout.as_str()), (before.clone(), ""), "{input} {options}");
        }
    }
    for (line, said) in [
        ("simulate --kind counts --seed 0,1 -o y.h5ad", "only fit and plan take several seeds"),
        ("plan x.pw -k 3,4 --nodes 2", "--nodes predicts one fit"),
        ("plan x.pw -k 3,3", "more than once"),
    ] {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(2), "{line}\n{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{line}\n{}", ran.stderr);
    }
    let plan = folder.json("plan x.pw -k 3,4 --seed 0,1");
    assert_eq!((&plan["fits"], &plan["waves"], &plan["k"]), (&4.into(), &1.into(), &serde_json::json!([3, 4])));
}

#[test]
fn places_that_will_not_do_are_named_before_any_work() {
    let folder = with_store();
    folder.ok("fit x.pw -k 2,3 --seed 0,1 --max-passes 2 -o set");
    for other in ["k2.seed0", "k2.seed1", "k3.seed0"] {
        fs::remove_file(folder.path(&format!("set/{other}.h5ad"))).expect("a result");
    }
    fs::write(folder.path("file"), "mine").expect("a file in the folder");
    fs::create_dir_all(folder.path("taken/k2.seed0.h5ad")).expect("a folder in the folder");
    let before = folder.names();
    for (options, code, said) in [
        ("-o set", 73, "set/k3.seed1.h5ad: exists already"),
        ("-o new --trace file", 73, "it is not a table of passes"),
        ("-o file", 73, "file: "),
        ("-o file --force", 73, "file: "),
        ("-o taken --force", 73, "taken/k2.seed0.h5ad"),
        ("-o x.pw", 2, "the folder of the results would overwrite the input x.pw"),
        ("-o x.pw/set", 2, "lies inside the store"),
        ("-o no/set", 74, "the folder no does not exist"),
        ("-o new --checkpoint new", 2, "a folder of their own"),
        ("-o new --checkpoint set", 73, "set"),
    ] {
        for input in ["x.pw", "x.h5ad --store new.pw"] {
            if input.ends_with("new.pw") && options.contains("x.pw") {
                continue;
            }
            let ran = folder.run(&format!("fit {input} -k 2,3 --seed 0,1 {options}"));
            assert_eq!(ran.code, Some(code), "{input} {options}\n{}", ran.stderr);
            assert!(ran.stderr.contains(said) && ran.stderr.lines().count() == 1, "{options}\n{}", ran.stderr);
            assert_eq!(folder.names(), before, "{input} {options}");
        }
    }
    assert_eq!(names_in(&folder.path("set")), ["k3.seed1.h5ad"]);
    folder.ok("verify x.pw");
}

#[test]
fn force_replaces_the_results_that_are_named_and_no_other_file() {
    let folder = with_store();
    let first = digests(&folder.json("fit x.pw -k 2,3,4 --max-passes 3 -o set"));
    fs::write(folder.path("set/notes.txt"), "mine").expect("a file in the folder");
    let second = digests(&folder.json("fit x.pw -k 2,3 --max-passes 3 --scale std -o set --force"));
    let found = |name: &str| folder.json(&format!("info set/{name}.h5ad"))["digest"].clone();
    for name in ["k2.seed0", "k3.seed0"] {
        assert_ne!(first[name], second[name]);
        assert_eq!(found(name), second[name].as_str());
    }
    assert_eq!(found("k4.seed0"), first["k4.seed0"].as_str());
    assert_eq!(fs::read_to_string(folder.path("set/notes.txt")).expect("the notes"), "mine");
    assert_eq!(names_in(&folder.path("set")), ["k2.seed0.h5ad", "k3.seed0.h5ad", "k4.seed0.h5ad", "notes.txt"]);
}

#[test]
fn resume_keeps_the_results_that_are_finished_and_makes_the_others() {
    let folder = with_store();
    let fit = "fit x.pw -k 2,3 --seed 0,1 --max-passes 6 -o set";
    let whole = folder.json(fit);
    let results: Vec<(String, Vec<u8>)> = names_in(&folder.path("set"))
        .into_iter()
        .map(|name| (name.clone(), fs::read(folder.path(&format!("set/{name}"))).expect("a result")))
        .collect();
    let times = || -> Vec<SystemTime> {
        results.iter().map(|(name, _)| modified(&folder.path(&format!("set/{name}")))).collect()
    };
    let before = times();
    fs::remove_file(folder.path("set/k3.seed0.h5ad")).expect("a result");
    let ran = folder.ok(&format!("{fit} --resume --json"));
    let told: Value = serde_json::from_str(&ran.stdout).expect("an object");
    let kept: Vec<bool> = fits(&told).iter().map(|fit| fit["kept"] == true).collect();
    assert_eq!((kept, digests(&told)), (vec![true, true, false, true], digests(&whole)));
    assert_eq!(ran.stderr.matches("kept").count(), 3, "{}", ran.stderr);
    for key in ["relative_error", "passes", "stop"] {
        for (again, once) in fits(&told).iter().zip(fits(&whole)) {
            assert_eq!(again[key], once[key], "{key}");
        }
    }
    for (name, bytes) in &results {
        assert!(fs::read(folder.path(&format!("set/{name}"))).expect("a result") == *bytes, "{name}");
    }
    let after = times();
    assert_eq!(
        before.iter().zip(&after).map(|(before, after)| before == after).collect::<Vec<_>>(),
        [true, true, false, true]
    );

    // All of them are there: nothing is read.
    let told = folder.json(&format!("{fit} --resume"));
    assert_eq!((&told["passes"], &told["bytes_read"], digests(&told)), (&0.into(), &0.into(), digests(&whole)));
    assert!(folder.ok(&format!("{fit} --resume")).stdout.contains("(kept)"));
    assert_eq!(times(), after);
    // A larger set computes the new ones only.
    let told = folder.json("fit x.pw -k 2..4 --seed 0,1 --max-passes 6 -o set --resume");
    assert_eq!(fits(&told).iter().filter(|fit| fit["kept"] == true).count(), 4);
    assert_eq!(times(), after);
    // With --force all are replaced.
    let told = folder.json(&format!("{fit} --resume --force"));
    assert!(fits(&told).iter().all(|fit| fit["kept"] == false), "{told}");
    assert!(times().iter().zip(&after).all(|(now, after)| now > after));
}

#[test]
fn resume_refuses_a_result_of_other_settings_or_data_and_names_it() {
    let folder = with_store();
    folder.ok("fit x.pw -k 2,3 --max-passes 4 -o set");
    folder.ok("simulate --kind counts --cells 2000 --genes 500 --programs 4 --depth 100 --seed 9 -o y.h5ad");
    folder.ok("convert y.h5ad -o y.pw");
    fs::remove_file(folder.path("set/k2.seed0.h5ad")).expect("a result");
    let result = folder.path("set/k3.seed0.h5ad");
    let before = modified(&result);
    for (line, said) in [
        ("fit x.pw -k 2,3 --max-passes 5 -o set --resume", "of max_passes = 4, this fit has max_passes = 5"),
        ("fit x.pw -k 2,3 --max-passes 4 --tol 0 -o set --resume", "of tol = "),
        ("fit x.pw -k 2,3 --max-passes 4 --scale std -o set --resume", "of scale = none, this fit has scale = std"),
        (
            "fit x.pw -k 2,3 --max-passes 4 --init random -o set --resume",
            "of init = sample, this fit has init = random",
        ),
        ("fit y.pw -k 2,3 --max-passes 4 -o set --resume", "of other data"),
        ("fit y.pw -k 3 --max-passes 4 -o set/k3.seed0.h5ad --checkpoint c --resume", "of other data"),
        ("fit x.pw -k 4 --max-passes 4 -o set/k3.seed0.h5ad --resume", "of k = 3, this fit has k = 4"),
    ] {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(73), "{line}\n{}", ran.stderr);
        let last = ran.stderr.lines().last().unwrap_or_default();
        let named = last.contains("set/k3.seed0.h5ad: is a result of") && last.contains("--force");
        assert!(named && last.contains(said), "{line}\n{last}");
        assert_eq!((modified(&result), names_in(&folder.path("set"))), (before, vec!["k3.seed0.h5ad".to_owned()]));
    }
    // The content of a start is a setting.
    folder.ok("fit x.pw -k 3 --max-passes 2 --init random -o start.h5ad");
    let fit = "fit x.pw -k 3 --max-passes 3 --init start.h5ad --checkpoint c --resume -o r.h5ad";
    folder.ok(fit);
    assert_eq!(folder.json(fit)["kept"], true);
    folder.ok("fit x.pw -k 3 --max-passes 2 --init random --seed 1 -o start.h5ad --force");
    let ran = folder.run(fit);
    assert!(ran.code == Some(73) && ran.stderr.contains("r.h5ad"), "{:?}: {}", ran.code, ran.stderr);
}

/// Fits of k = 1 end long before those of k = 20. The stop finds the first ended and the others running.
#[test]
fn a_stopped_set_has_the_results_of_its_ended_fits_and_resumes_to_the_bits_of_fits_alone() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 500 --genes 120 --programs 6 --depth 60 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    let fit = "fit x.pw --solver mu --tol 1e-12 --max-passes 600 --threads 1";
    let set = format!("{fit} -k 1,20 --seed 0,1 -o set --checkpoint c --trace t.csv");
    let mut child = folder.start(&set);
    let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let mut said = String::new();
    while !said.contains(", 2 fits") {
        assert!(stderr.read_line(&mut said).expect("stderr is text") > 0, "the fits of k = 1 did not end: {said}");
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs").success());
    stderr.read_to_string(&mut said).expect("stderr is text");
    assert_eq!(child.wait().expect("the program ends").code(), Some(75), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains("c holds checkpoints of 4 fits") && last.contains("--resume"), "{last}");
    assert_eq!(names_in(&folder.path("set")), ["k1.seed0.h5ad", "k1.seed1.h5ad"]);
    assert_eq!(names_in(&folder.path("c")), ["k1.seed0", "k1.seed1", "k20.seed0", "k20.seed1"]);
    let before = modified(&folder.path("set/k1.seed0.h5ad"));

    let told = folder.json(&format!("{set} --resume"));
    assert_eq!(modified(&folder.path("set/k1.seed0.h5ad")), before);
    let of: Vec<(bool, bool)> =
        fits(&told).iter().map(|fit| (fit["kept"] == true, fit["resumed_from_pass"].as_u64() > Some(0))).collect();
    assert_eq!(of, [(true, false), (true, false), (false, true), (false, true)]);
    let (expected, _) = alone(&folder, fit, &[1, 20], &[0, 1]);
    assert_eq!(digests(&told), expected);
    let trace = rows(&fs::read_to_string(folder.path("t.csv")).expect("the trace"), 13);
    for fit in expected.keys() {
        let alone = fs::read_to_string(folder.path(&format!("alone.{fit}.csv"))).expect("the trace of one");
        let prefix = fit.trim_start_matches('k').replace(".seed", ",") + ",";
        let of_fit: Vec<&str> = trace.iter().filter_map(|row| row.strip_prefix(&prefix)).collect();
        assert_eq!(of_fit, rows(&alone, 11), "{fit}");
    }
}

#[test]
fn fits_beyond_the_memory_run_in_waves_within_it_to_the_same_bits() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 4000 --genes 8000 --programs 4 --depth 300 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    let fit = "fit x.pw -k 24,32 --seed 0,1 --init random --max-passes 3 --threads 1 -o set --force";
    let whole = folder.json(fit);
    assert_eq!(whole["waves"], 1);

    // The refusal states the smallest budget for one fit.
    let refused = folder.run(&format!("{fit} --memory 1M"));
    let smallest = refused.stderr.split_once("(--memory ").and_then(|(_, rest)| rest.split_once('M'));
    let smallest: u64 =
        smallest.and_then(|(number, _)| number.parse().ok()).unwrap_or_else(|| panic!("{}", refused.stderr));
    for memory in [smallest + 1, smallest + 3] {
        let ran = folder.ok(&format!("{fit} --memory {memory}M --json"));
        let told: Value = serde_json::from_str(&ran.stdout).expect("an object");
        let waves = told["waves"].as_u64().expect("a number");
        assert!(waves > 1 && ran.stderr.contains(&format!("in {waves} waves")), "{}", ran.stderr);
        let (peak, budget) = (told["peak_rss_bytes"].as_u64(), told["memory_bytes"].as_u64());
        assert!(peak <= budget && budget == Some(memory << 20), "{told}");
        assert_eq!(digests(&told), digests(&whole), "{memory}");
        assert_eq!(told["passes"].as_u64(), Some(3 * waves), "{told}");
    }
}

#[test]
fn equal_runs_give_equal_files() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 3000 --genes 400 --programs 4 --depth 100 -o counts.h5ad");
    folder.ok("simulate --kind clusters --cells 2000 --genes 150 --programs 4 -o clusters.h5ad");
    for data in ["counts", "clusters"] {
        let settings = "--max-passes 5";
        folder.ok(&format!("fit {data}.h5ad -k 3,4 --seed 0,1 {settings} -o a --store {data}.pw --threads 1 --force"));
        folder.ok(&format!("fit {data}.h5ad -k 3 {settings} -o a.h5ad --store {data}.pw --threads 1 --force"));
        std::thread::sleep(Duration::from_millis(1100));
        let others = format!("{settings} --threads 3 --memory 100M --checkpoint c --checkpoint-every 2 --force");
        folder.ok(&format!("fit {data}.pw -k 3,4 --seed 0,1 {others} -o b --trace t.csv"));
        fs::remove_dir_all(folder.path("c")).expect("the checkpoints");
        folder.ok(&format!("fit {data}.pw -k 3 {others} -o b.h5ad"));
        fs::remove_dir_all(folder.path("c")).expect("the checkpoints");
        let read = |name: &str| fs::read(folder.path(name)).expect("a result");
        for name in ["/k3.seed0.h5ad", "/k3.seed1.h5ad", "/k4.seed0.h5ad", "/k4.seed1.h5ad", ".h5ad"] {
            assert!(read(&format!("a{name}")) == read(&format!("b{name}")), "{data}: {name}");
        }
        assert!(read("a.h5ad") == read("a/k3.seed0.h5ad"), "{data}: alone and in a set");
    }
}
