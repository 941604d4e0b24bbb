//! The watchdog ends a run whose disk stops answering, at whatever call, and not one whose disk is
//! slow.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::program::{Folder, Ran, skip};

/// More than a run of these tests takes, with a watchdog that barks.
const LIMIT: Duration = Duration::from_secs(60);
/// Runs at once. Most of them wait.
const AT_ONCE: usize = 6;

/// A library that stands between the program and the disk.
struct Disk(PathBuf);

impl Disk {
    /// Compiles the library into `folder`; `None` without a C compiler.
    fn compiled(folder: &Path) -> Option<Disk> {
        let library = folder.join("disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promises/frozen/disk.c");
        let compiler = Command::new("cc")
            .args(["-shared", "-fPIC", "-fno-delete-null-pointer-checks", "-o"])
            .arg(&library)
            .arg(source)
            .output();
        let Ok(compiled) = compiler else {
            skip("there is no C compiler to make a disk that freezes");
            return None;
        };
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Some(Disk(library))
    }

    /// Starts the program in `folder`, on a disk that stops answering at call `freeze` (0: never)
    /// and takes `delay` longer for each call.
    fn start(&self, folder: &Path, marks: &Path, line: &str, freeze: usize, delay: Duration) -> Child {
        fs::create_dir_all(marks).expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
        command.args(line.split_whitespace()).current_dir(folder).stdin(Stdio::null());
        command.env("LD_PRELOAD", &self.0).env("DISK", folder).env("MARKS", marks);
        command.env("FREEZE", freeze.to_string()).env("DELAY", delay.as_millis().to_string());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }
}

/// The outcome of a run that ends in time; `None` if it had to be killed.
fn outcome(mut child: Child) -> (bool, Ran) {
    let began = Instant::now();
    let ended = loop {
        match child.try_wait().expect("a child to wait for") {
            Some(_) => break true,
            None if began.elapsed() > LIMIT => break false,
            None => sleep(Duration::from_millis(20)),
        }
    };
    let _ = child.kill();
    let output: Output = child.wait_with_output().expect("the output of a child");
    (ended, Ran::from(output))
}

/// A file, and a fit that converts it, leaves checkpoints and writes a result.
fn prepare(folder: &Folder, name: &str) -> PathBuf {
    let place = folder.path(name);
    fs::create_dir(&place).expect("a folder");
    fs::copy(folder.path("x.h5ad"), place.join("x.h5ad")).expect("a copy");
    place
}

const FIT: &str = "fit x.h5ad -k 3 --max-passes 6 --tol 0 --threads 1 --checkpoint x.ck --checkpoint-every 1 \
                   --trace x.csv --watchdog 1";

#[test]
fn a_disk_that_stops_answering_at_any_call_ends_the_run() {
    let folder = Folder::new();
    let Some(disk) = Disk::compiled(&folder.path(".")) else { return };
    folder.ok("simulate --kind counts --cells 600 --genes 100 --programs 3 --depth 100 -o x.h5ad");
    let (place, marks) = (prepare(&folder, "whole"), folder.path("whole.marks"));
    let (_, ran) = outcome(disk.start(&place, &marks, FIT, 0, Duration::ZERO));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let calls: usize = fs::read_to_string(marks.join("calls")).expect("a count").parse().expect("a number");
    assert!(calls > 100, "{calls} calls reached the disk");

    // Every part of the run, and most of all its beginning and end, which belong to no pass.
    let moments: Vec<usize> = (0..48).map(|i| 1 + i * (calls - 1) / 48).collect();
    for moments in moments.chunks(AT_ONCE) {
        let started: Vec<_> = (moments.iter())
            .map(|&moment| {
                let (place, marks) = (prepare(&folder, &format!("{moment}")), folder.path(&format!("{moment}.marks")));
                (moment, disk.start(&place, &marks, FIT, moment, Duration::ZERO), marks)
            })
            .collect();
        for (moment, child, marks) in started {
            let (ended, ran) = outcome(child);
            let at = format!("call {moment} of {calls}: {}", ran.stderr);
            assert!(marks.join("frozen").exists(), "{at}");
            assert!(ended, "the watchdog does not notice {at}");
            assert_eq!(ran.code, Some(76), "{at}");
            let said = ran.stderr.lines().filter(|line| line.contains("no progress for 1 s")).count();
            assert_eq!(said, 1, "{at}");
        }
    }
}

#[test]
fn a_slow_disk_is_waited_for() {
    let folder = Folder::new();
    let Some(disk) = Disk::compiled(&folder.path(".")) else { return };
    folder.ok("simulate --kind counts --cells 600 --genes 100 --programs 3 --depth 100 -o x.h5ad");
    let (place, marks) = (prepare(&folder, "whole"), folder.path("whole.marks"));
    let (_, ran) = outcome(disk.start(&place, &marks, FIT, 0, Duration::from_millis(20)));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}
