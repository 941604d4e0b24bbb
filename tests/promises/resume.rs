//! A stopped fit resumes at its checkpoint and reaches the same bits as without the stop. So do
//! principal components.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Command;
use std::time::Duration;

use crate::leaves_nothing::Mounted;
use crate::program::{Folder, Ran, names_in, skip};

fn folder_with_a_store() -> Folder {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 2000 --genes 500 --programs 3 --depth 100 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    folder
}

/// Runs `partwise LINE` and sends it the signal after it has printed its third pass.
fn signalled(folder: &Folder, line: &str, signal: &str) -> Ran {
    let mut child = folder.start(line);
    let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let mut said = String::new();
    while !said.contains("pass   3") {
        assert!(stderr.read_line(&mut said).expect("stderr is text") > 0, "no pass was told: {said}");
    }
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success(), "the program was still running");
    stderr.read_to_string(&mut said).expect("stderr is text");
    let status = child.wait().expect("the program ends");
    Ran { code: status.code(), stdout: String::new(), stderr: said }
}

/// The trace without its times, which differ from run to run.
fn passes(folder: &Folder, trace: &str) -> Vec<String> {
    let table = fs::read_to_string(folder.path(trace)).expect("a trace");
    table.lines().map(|line| line.split(',').take(12).collect::<Vec<_>>().join(",")).collect()
}

#[test]
fn signals_leave_a_checkpoint_and_the_exit_code_says_whether_to_resume() {
    let folder = folder_with_a_store();
    let fit = "fit x.pw -k 3 --tol 0 --solver mu --threads 2";
    for (signal, code) in [("-INT", 130), ("-TERM", 75), ("-USR1", 75)] {
        let kept = format!("c{code}{signal}/");
        let stopped = format!("{fit} --max-passes 100000000 --checkpoint {kept} --trace a.csv -o a.h5ad --force");
        let ran = signalled(&folder, &stopped, signal);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        let last = ran.stderr.lines().last().unwrap_or_default();
        let said = last.split_once(" holds a checkpoint after ").and_then(|(_, rest)| rest.split_once(" reads"));
        let passes_kept: usize = said.and_then(|(number, _)| number.parse().ok()).unwrap_or_else(|| panic!("{last}"));
        assert!(last.ends_with("run the same command with --resume to go on"), "{last}");
        assert!(passes_kept >= 3 && !folder.path("a.h5ad").exists(), "{last}");
        // The header, and a line per pass.
        assert_eq!(passes(&folder, "a.csv").len(), 1 + passes_kept);

        let most = passes_kept + 4;
        let resume = format!("{fit} --max-passes {most} --checkpoint {kept} --resume --trace a.csv -o a.h5ad");
        let resumed = folder.json(&resume);
        let alone = folder.json(&format!("{fit} --max-passes {most} --trace b.csv -o b.h5ad --force"));
        assert_eq!(resumed["digest"], alone["digest"], "{signal}");
        assert_eq!((&resumed["resumed_from_pass"], &resumed["passes"]), (&passes_kept.into(), &most.into()));
        assert_eq!(alone["resumed_from_pass"], 0);
        assert_eq!(passes(&folder, "a.csv"), passes(&folder, "b.csv"), "{signal}");
        fs::remove_file(folder.path("a.h5ad")).expect("the result");
    }
}

/// USR1 announces the end of the time limit, TERM is the end. TERM must not cut off the stop that
/// USR1 has begun.
#[test]
fn term_after_usr1_still_leaves_a_checkpoint() {
    let folder = folder_with_a_store();
    let line = "fit x.pw -k 3 --tol 0 --solver mu --max-passes 100000000 --checkpoint c -o a.h5ad";
    let mut child = folder.start(line);
    let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let mut said = String::new();
    while !said.contains("pass   3") {
        assert!(stderr.read_line(&mut said).expect("stderr is text") > 0, "no pass was told: {said}");
    }
    for signal in ["-USR1", "-TERM"] {
        // Fails if the program has ended already.
        let _ = Command::new("kill").args([signal, &child.id().to_string()]).output().expect("kill runs");
    }
    stderr.read_to_string(&mut said).expect("stderr is text");
    let code = child.wait().expect("the program ends").code();
    assert!(code == Some(75) && said.contains("c holds a checkpoint"), "{code:?}: {said}");
}

#[test]
fn signals_without_a_checkpoint_end_a_fit_and_leave_nothing() {
    let folder = folder_with_a_store();
    let before = folder.names();
    for signal in ["-INT", "-TERM", "-USR1"] {
        let ran = signalled(&folder, "fit x.pw -k 3 --tol 0 --solver mu --max-passes 100000000 -o a.h5ad", signal);
        assert_eq!(ran.code, Some(130), "{signal}: {}", ran.stderr);
        assert_eq!(folder.names(), before, "{signal}");
    }
}

#[test]
fn a_conversion_that_a_batch_system_stops_exits_with_75() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 30000 --genes 3000 --programs 4 --depth 1000 -o x.h5ad");
    for verb in ["fit x.h5ad -k 4", "pca x.h5ad"] {
        let mut child = folder.start(&format!("{verb} -o r.h5ad --threads 1 --checkpoint c --resume"));
        while folder.names() == ["x.h5ad"] {
            assert!(child.try_wait().expect("the program's state").is_none(), "the program has ended without writing");
        }
        assert!(Command::new("kill").args(["-USR1", &child.id().to_string()]).status().expect("kill runs").success());
        let ran = Ran::from(child.wait_with_output().expect("the program ends"));
        assert_eq!(ran.code, Some(75), "{verb}: {}", ran.stderr);
        let said = "the passes had not begun; run the same command again";
        assert!(ran.stderr.contains(said), "{verb}: {}", ran.stderr);
        assert_eq!(folder.names(), ["x.h5ad"], "{verb}");
    }
}

/// Runs `partwise LINE` and sends it the signal once it writes its third checkpoint, which holds two
/// products.
fn signalled_at_its_checkpoint(folder: &Folder, line: &str, checkpoints: &str, signal: &str) -> Ran {
    let mut child = folder.start(line);
    let third = folder.path(checkpoints).join("state-000003.bin");
    while !third.exists() {
        assert!(
            child.try_wait().expect("the program's state").is_none(),
            "the program has ended before its third checkpoint"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs").success());
    Ran::from(child.wait_with_output().expect("the program ends"))
}

#[test]
fn components_that_were_stopped_resume_to_the_same_file() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 20000 --genes 2000 --programs 4 --depth 400 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    let pca = "pca x.pw -c 10 --log1p --method krylov --threads 1";
    let alone = folder.json(&format!("{pca} -o alone.h5ad"));
    assert_eq!((&alone["resumed_from_pass"], &alone["kept"]), (&0.into(), &false.into()));
    let file = |name: &str| fs::read(folder.path(name)).expect("a result");
    for (signal, code) in [("-INT", 130), ("-TERM", 75), ("-USR1", 75)] {
        let kept = format!("{pca} --checkpoint c --checkpoint-every 1 -o r.h5ad");
        let ran = signalled_at_its_checkpoint(&folder, &kept, "c", signal);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        let last = ran.stderr.lines().last().unwrap_or_default();
        let said = last.split_once("c holds a checkpoint after ").and_then(|(_, rest)| rest.split_once(" reads"));
        let passes: u64 = said.and_then(|(number, _)| number.parse().ok()).unwrap_or_else(|| panic!("{last}"));
        assert!(last.ends_with("run the same command with --resume to go on"), "{last}");
        assert!(passes >= 2 && !folder.path("r.h5ad").exists(), "{last}");
        // Any number of threads goes on.
        let resumed = folder.json(&kept.replace("--threads 1", "--threads 3 --resume"));
        assert_eq!((&resumed["digest"], &resumed["passes"]), (&alone["digest"], &alone["passes"]), "{signal}");
        assert_eq!(resumed["resumed_from_pass"], passes, "{signal}");
        assert!(file("r.h5ad") == file("alone.h5ad"), "{signal}");

        // What is finished is kept, with checkpoints and without.
        fs::remove_dir_all(folder.path("c")).expect("the checkpoints");
        for options in ["", "--checkpoint c"] {
            let ran = folder.ok(&format!("{pca} --resume {options} -o r.h5ad --json"));
            assert!(ran.stderr.contains("r.h5ad: is finished"), "{}", ran.stderr);
            let again: serde_json::Value = serde_json::from_str(&ran.stdout).expect("an object");
            for key in ["digest", "passes", "variance_ratio", "total_variance", "method", "result", "components"] {
                assert_eq!(
                    again[key],
                    alone[key].as_str().map_or(alone[key].clone(), |text| { text.replace("alone", "r").into() }),
                    "{key}"
                );
            }
            assert_eq!(again["kept"], true);
            assert!(!folder.path("c").exists());
        }
        fs::remove_file(folder.path("r.h5ad")).expect("the result");
    }
}

#[test]
fn components_of_other_settings_are_refused_and_damage_is_reported() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 2000 --genes 700 --programs 3 --depth 100 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    let pca = "pca x.pw -c 5 --log1p --method krylov --checkpoint c --checkpoint-every 1";
    let first = folder.json(&format!("{pca} --resume -o r.h5ad"));
    folder.ok("fit x.pw -k 3 --max-passes 3 --checkpoint f --checkpoint-every 1 -o f.h5ad");
    let before = (folder.names(), names_in(&folder.path("c")));
    for (options, code, said) in [
        ("-c 5 --log1p --resume -o s.h5ad", 2, "--checkpoint"),
        ("-c 5 --log1p --checkpoint-every 2 -o s.h5ad", 2, "--checkpoint"),
        ("-c 5 --log1p --checkpoint c -o s.h5ad", 73, "go on from the newest with --resume"),
        ("-c 5 --log1p --checkpoint x.pw -o s.h5ad", 2, "a folder of their own"),
        ("-c 5 --log1p --checkpoint c -o c/s.h5ad", 2, "a folder of their own"),
        ("-c 5 --log1p --checkpoint no/c -o s.h5ad", 74, "the folder no does not exist"),
        (
            "-c 6 --log1p --method krylov --checkpoint c --resume -o s.h5ad",
            2,
            "of components = 5, this run has components = 6",
        ),
        ("-c 5 --method krylov --checkpoint c --resume -o s.h5ad", 2, "of log1p = true, this run has log1p = false"),
        (
            "-c 5 --log1p --method krylov --checkpoint f --resume -o s.h5ad",
            2,
            "of a factorization, and this run computes",
        ),
        ("-c 6 --log1p --method krylov --resume -o r.h5ad", 73, "of components = 5, this run has components = 6"),
        ("-c 5 --log1p --method krylov --min-counts 3 --resume -o r.h5ad", 73, "of other genes and cells"),
        ("-c 5 --log1p --resume -o f.h5ad", 73, "f.h5ad: exists already"),
    ] {
        let ran = folder.run(&format!("pca x.pw {options}"));
        assert_eq!(ran.code, Some(code), "{options}: {}", ran.stderr);
        assert!(ran.stderr.lines().last().is_some_and(|last| last.contains(said)), "{options}: {}", ran.stderr);
        assert_eq!((folder.names(), names_in(&folder.path("c"))), before, "{options}");
    }
    let ran = folder.run("fit x.pw -k 3 --checkpoint c --resume -o s.h5ad");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("of principal components, and this run computes a factorization"), "{}", ran.stderr);

    // With --force the result is made anew, from the axes; and from an older state if they are damaged.
    let passes = first["passes"].as_u64().expect("a number");
    let again = folder.json(&format!("{pca} --resume --force -o r.h5ad"));
    assert_eq!((&again["digest"], &again["resumed_from_pass"]), (&first["digest"], &(passes - 1).into()));
    let newest = format!("c/state-{:06}.bin", passes - 1);
    let mut bytes = fs::read(folder.path(&newest)).expect("a file of the checkpoint");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(folder.path(&newest), bytes).expect("a file of the checkpoint");
    let ran = folder.ok(&format!("{pca} --resume --force --json --quiet -o r.h5ad"));
    assert!(ran.stderr.starts_with("partwise: warning: ") && ran.stderr.contains(&newest), "{}", ran.stderr);
    let older: serde_json::Value = serde_json::from_str(&ran.stdout).expect("an object");
    assert_eq!((&older["digest"], &older["resumed_from_pass"]), (&first["digest"], &(passes - 2).into()));
}

#[test]
fn a_finished_fit_resumes_at_its_end_and_a_fit_without_checkpoints_at_its_start() {
    let folder = folder_with_a_store();
    let fit = "fit x.pw -k 3 --max-passes 6 --checkpoint c --checkpoint-every 1 -o r.h5ad";
    let first = folder.json(&format!("{fit} --resume"));
    let result = folder.path("r.h5ad");
    let modified = || result.metadata().and_then(|meta| meta.modified()).expect("a time");
    let before = modified();
    // Nothing is resumed, so no checkpoint is needed.
    folder.ok("fit x.pw -k 3 --max-passes 6 -o r.h5ad --resume");
    assert_eq!(modified(), before);
    let ran = folder.ok(&format!("{fit} --resume --json"));
    let kept: serde_json::Value = serde_json::from_str(&ran.stdout).expect("an object");
    for key in ["digest", "passes", "sample_passes", "relative_error", "explained", "stop", "result", "k", "seed"] {
        assert_eq!(kept[key], first[key], "{key}");
    }
    assert_eq!((&kept["kept"], &kept["bytes_read"], &first["kept"]), (&true.into(), &0.into(), &false.into()));
    assert!(ran.stderr.contains("r.h5ad: is finished") && modified() == before, "{}", ran.stderr);
    // With --force the result is made anew, from the checkpoint.
    let ran = folder.ok(&format!("{fit} --resume --force"));
    assert!(modified() > before);
    assert!(ran.stderr.contains("going on from a checkpoint"), "{}", ran.stderr);
    let again = folder.json(&format!("{fit} --resume --force"));
    assert_eq!((&again["digest"], &again["passes"]), (&first["digest"], &first["passes"]));
    assert_eq!((&first["resumed_from_pass"], &again["resumed_from_pass"]), (&0.into(), &first["passes"]));

    // The newest checkpoint is damaged, so the fit uses the previous one.
    let newest = format!("c/state-{:06}.bin", first["passes"].as_u64().expect("a number"));
    fs::write(folder.path(&newest), "damaged").expect("a file of the checkpoint");
    let ran = folder.ok(&format!("{fit} --resume --force --json --quiet"));
    assert!(ran.stderr.starts_with("partwise: warning: ") && ran.stderr.contains(&newest), "{}", ran.stderr);
    assert!(ran.stdout.contains(first["digest"].as_str().expect("text")), "{}", ran.stdout);

    fs::remove_dir_all(folder.path("c")).expect("the checkpoints");
    let ran = folder.ok(&format!("{fit} --resume --force"));
    assert!(ran.stderr.contains("starting at the beginning"), "{}", ran.stderr);
}

#[test]
fn an_impossible_resume_is_refused_before_any_work() {
    let folder = folder_with_a_store();
    folder.ok("fit x.pw -k 3 --max-passes 4 --checkpoint c --checkpoint-every 1 --trace t.csv -o r.h5ad");
    fs::create_dir(folder.path("notes")).expect("a folder in the folder");
    fs::write(folder.path("notes/today"), "mine").expect("a file in it");
    let before = (folder.names(), names_in(&folder.path("c")), passes(&folder, "t.csv"));
    for (options, code, said) in [
        ("-k 3 --resume", 2, "--checkpoint"),
        ("-k 3 --checkpoint-every 2", 2, "--checkpoint"),
        ("-k 3 --checkpoint c --checkpoint-every 0", 2, "1 or more"),
        ("-k 3 --checkpoint c", 73, "go on from the newest with --resume"),
        ("-k 3 --checkpoint notes --force", 73, "it holds today"),
        ("-k 3 --checkpoint x.h5ad", 73, "it is a file"),
        ("-k 3 --checkpoint x.pw", 2, "a folder of their own"),
        ("-k 3 --checkpoint x.pw/c", 2, "lies inside the store"),
        ("-k 3 --checkpoint no/c", 74, "the folder no does not exist"),
        ("-k 3 --checkpoint c --resume --trace x.h5ad", 73, "it is not a table of passes"),
        ("-k 4 --checkpoint c --resume --trace t.csv", 2, "of k = 3, this fit has k = 4"),
        (
            "-k 3 --checkpoint c --resume --seed 5 --scale std",
            2,
            "of scale = none, this fit has scale = std; of seed = 0",
        ),
    ] {
        let ran = folder.run(&format!("fit x.pw -o s.h5ad {options}"));
        assert_eq!(ran.code, Some(code), "{options}: {}", ran.stderr);
        assert!(ran.stderr.lines().last().is_some_and(|last| last.contains(said)), "{options}: {}", ran.stderr);
        let after = (folder.names(), names_in(&folder.path("c")), passes(&folder, "t.csv"));
        assert_eq!(after, before, "{options}");
    }
    folder.ok("fit x.pw -k 4 --max-passes 4 --checkpoint c --checkpoint-every 50 --force -o s.h5ad");
    assert!(
        names_in(&folder.path("c")).is_empty(),
        "the checkpoints of the other fit are gone, and this one was too short for any"
    );
}

#[test]
fn a_full_disk_leaves_the_checkpoint_before() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 20000 --genes 2000 --programs 4 --depth 600 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    let small = folder.path("small");
    fs::create_dir(&small).expect("a folder in the folder");
    let Some(disk) = Mounted::tmpfs(&small, "2m") else {
        return skip("checkpoints on a full disk: mounting a small tmpfs takes root");
    };
    // The disk has room for the start, but not for W.
    let fit = "fit x.pw -k 40 --tol 0 --max-passes 4 --checkpoint small/c --checkpoint-every 1 -o r.h5ad";
    let ran = folder.run(fit);
    assert_eq!(ran.code, Some(74), "{}", ran.stderr);
    assert!(ran.stderr.lines().last().is_some_and(|last| last.contains("small/c/usages-000002")), "{}", ran.stderr);
    assert_eq!(names_in(&folder.path("small/c")), ["manifest.json", "state-000001.bin"]);
    disk.grow("40m");
    let resumed = folder.json(&format!("{fit} --resume"));
    let alone = folder.json("fit x.pw -k 40 --tol 0 --max-passes 4 -o s.h5ad");
    assert_eq!((&resumed["digest"], &resumed["resumed_from_pass"]), (&alone["digest"], &1.into()));
}
