//! Runs that meet at one checkpoint folder: the first keeps it, and a killed one keeps nothing.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command};
use std::time::{Duration, Instant};

use crate::program::Folder;

const ENDLESS: &str = "--tol 0 --solver mu --max-passes 100000000 --checkpoint-every 1";

fn folder_with_a_store() -> Folder {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 2000 --genes 500 --programs 3 --depth 100 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    folder
}

/// Starts `partwise LINE` and waits for its third pass.
fn started(folder: &Folder, line: &str) -> (Child, BufReader<ChildStderr>) {
    let mut child = folder.start(line);
    let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let mut said = String::new();
    while !said.contains("pass   3") {
        assert!(stderr.read_line(&mut said).expect("stderr is text") > 0, "no pass was told: {said}");
    }
    (child, stderr)
}

#[test]
fn a_run_that_comes_second_is_refused_and_the_first_goes_on() {
    let folder = folder_with_a_store();
    for (first, second) in [("-k 3", "-k 3"), ("-k 3,4", "-k 5,6"), ("-k 3", "-k 5,6")] {
        let (mut child, mut stderr) = started(&folder, &format!("fit x.pw {first} {ENDLESS} --checkpoint c -o a"));
        let began = Instant::now();
        for options in ["--resume", "--force"] {
            let ran =
                folder.run(&format!("fit x.h5ad --store new.pw {second} {ENDLESS} --checkpoint c {options} -o b"));
            assert_eq!(ran.code, Some(73), "{first}, {second} {options}: {}", ran.stderr);
            let owner = format!("c: another run keeps its checkpoints here (process {} on ", child.id());
            // A folder of one fit is none for a set.
            let said = if first == "-k 3" && second == "-k 5,6" { "c: is not a checkpoint folder" } else { &owner };
            assert!(ran.stderr.contains(said), "{first}, {second} {options}: {}", ran.stderr);
            assert!(!folder.path("new.pw").exists() && !folder.path("b").exists(), "refused before any work");
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs").success());
        let mut said = String::new();
        stderr.read_to_string(&mut said).expect("stderr is text");
        assert_eq!(child.wait().expect("the program ends").code(), Some(130), "{said}");
        assert!(said.contains("c holds"), "{said}");
        assert!(!folder.path("c/running.json").exists());
        fs::remove_dir_all(folder.path("c")).expect("the checkpoints");
    }
}

#[test]
fn a_killed_run_keeps_nothing_from_the_next() {
    let folder = folder_with_a_store();
    let (mut child, _) = started(&folder, &format!("fit x.pw -k 3 {ENDLESS} --checkpoint c -o a"));
    child.kill().expect("the program runs");
    child.wait().expect("the program ends");
    assert!(folder.path("c/running.json").exists());
    let began = Instant::now();
    let fit = "fit x.pw -k 3 --tol 0 --solver mu --checkpoint c --resume -o a --max-passes 1";
    let resumed = folder.json(fit);
    assert!(resumed["resumed_from_pass"].as_u64() >= Some(2), "{resumed}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(!folder.path("c/running.json").exists());
}

#[test]
fn pipes_among_checkpoints_do_not_hold_a_run() {
    let folder = folder_with_a_store();
    let fit = "fit x.pw -k 3 --max-passes 4 --checkpoint c --checkpoint-every 1 -o r.h5ad";
    for name in ["running.json", "manifest.json", "manifest.json.draft", "state-000001.bin"] {
        fs::create_dir(folder.path("c")).expect("a folder in the folder");
        let pipe = folder.path("c").join(name);
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
        let mut child = folder.start(fit);
        let began = Instant::now();
        while child.try_wait().expect("its state").is_none() {
            if began.elapsed() > Duration::from_secs(60) {
                child.kill().expect("the program runs");
                panic!("{name}: the program waits for a pipe");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let code = child.wait().expect("the program ends").code();
        assert_eq!(code, Some(73), "{name}");
        assert!(!folder.path("r.h5ad").exists(), "{name}");
        fs::remove_dir_all(folder.path("c")).expect("the folder");
    }
}
