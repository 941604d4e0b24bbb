//! A run that ends early leaves no file that looks like a result.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::program::{Folder, Ran, names_in, skip};

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success(), "the program was still running");
}

/// Waits until the folder holds a new file, that is, until the program has begun to write.
fn wait_for_a_new_name(folder: &Folder, before: &[String], child: &mut Child) {
    let began = Instant::now();
    while folder.names() == before {
        assert!(child.try_wait().expect("the program's state").is_none(), "the program has ended without writing");
        assert!(began.elapsed() < Duration::from_secs(60), "nothing was written in a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn ctrl_c_while_a_file_is_written() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 30000 --genes 3000 --programs 4 --depth 1000 -o x.h5ad");
    let before = folder.names();
    for line in [
        "simulate --kind clusters --cells 500000 --genes 1000 -o large.h5ad",
        "convert x.h5ad -o x.pw --threads 1",
        "fit x.h5ad -k 4 -o r.h5ad --threads 1",
    ] {
        let mut child = folder.start(line);
        wait_for_a_new_name(&folder, &before, &mut child);
        interrupt(&child);
        let ran = Ran::from(child.wait_with_output().expect("the program ends"));
        assert_eq!(ran.code, Some(130), "partwise {line}\n{}", ran.stderr);
        assert!(ran.stderr.lines().last().is_some_and(|last| last.contains("interrupted")), "{line}\n{}", ran.stderr);
        assert_eq!(folder.names(), before, "partwise {line}");
    }
}

#[test]
fn ctrl_c_between_passes() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 2000 --genes 500 --programs 3 --depth 100 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    let before = folder.names();
    for fits in ["-k 3 -o r.h5ad", "-k 3,4 --seed 0,1 -o many"] {
        let mut child = folder.start(&format!("fit x.pw {fits} --max-passes 100000000 --tol 0 --solver mu"));
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut said = String::new();
        while !said.starts_with("pass ") {
            said.clear();
            assert!(stderr.read_line(&mut said).expect("stderr is text") > 0, "no pass was told");
        }
        interrupt(&child);
        assert_eq!(child.wait().expect("the program ends").code(), Some(130));
        assert_eq!(folder.names(), before, "{fits}");
    }
}

#[test]
fn a_full_disk_leaves_nothing_and_is_named() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 20000 --genes 2000 --programs 4 --depth 600 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    let small = folder.path("small");
    std::fs::create_dir(&small).expect("a folder in the folder");
    let Some(small) = Mounted::tmpfs(&small, "2m") else {
        return skip("a full disk: mounting a small tmpfs takes root");
    };
    for line in [
        "simulate --kind counts --cells 20000 --genes 2000 -o small/made.h5ad",
        "convert x.h5ad -o small/x.pw",
        "export x.pw -o small/y.h5ad",
        "fit x.pw -k 40 --max-passes 2 -o small/r.h5ad",
        "fit x.h5ad -k 4 --max-passes 2 -o r.h5ad --store small/x.pw",
    ] {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(74), "partwise {line}\n{}", ran.stderr);
        let last = ran.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("partwise: ") && last.contains("small"), "partwise {line}\n{}", ran.stderr);
        assert!(names_in(small.0).is_empty(), "partwise {line} left {:?}", names_in(small.0));
        assert!(!folder.path("r.h5ad").exists(), "partwise {line}");
    }
}

#[test]
fn a_limit_on_the_size_of_files_leaves_nothing() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 3000 --genes 500 --programs 4 --depth 200 -o x.h5ad");
    let program = env!("CARGO_BIN_EXE_partwise");
    // The limit is in blocks of 512 or 1024 bytes.
    let line = format!("ulimit -f 100; exec {program} convert x.h5ad -o x.pw");
    let ran = Command::new("sh").args(["-c", &line]).current_dir(folder.path(".")).output().expect("the shell starts");
    let ran = Ran::from(ran);
    assert_eq!(ran.code, Some(74), "{}", ran.stderr);
    assert_eq!(folder.names(), ["x.h5ad"], "{}", ran.stderr);
}

/// Work that writes through the HDF5 library, `AT` standing for the folder.
const WRITERS: [&str; 5] = [
    "fit x.pw -k 3 --max-passes 1 -o AT/r.h5ad",
    "fit x.pw -k 2,3 --max-passes 1 -o AT/many",
    "export x.pw -o AT/y.h5ad",
    "convert x.h5ad -o AT/c.pw",
    "simulate --kind counts --cells 3000 --genes 500 --programs 4 --depth 200 -o AT/made.h5ad",
];

#[test]
fn a_disk_that_fills_up_at_any_step() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 3000 --genes 500 --programs 4 --depth 200 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    let small = folder.path("small");
    std::fs::create_dir(&small).expect("a folder in the folder");
    for line in WRITERS.map(|line| line.replace("AT", "small")) {
        let mut kilobytes = 8;
        let refused = loop {
            let Some(disk) = Mounted::tmpfs(&small, &format!("{kilobytes}k")) else {
                return skip("a full disk: mounting a small tmpfs takes root");
            };
            let ran = folder.run(&line);
            if ran.code == Some(0) {
                break kilobytes;
            }
            assert_eq!(ran.code, Some(74), "partwise {line} on {kilobytes} KiB\n{}", ran.stderr);
            let left: Vec<_> = names_in(disk.0).into_iter().filter(|name| !whole(&small, name)).collect();
            assert!(left.is_empty(), "partwise {line} on {kilobytes} KiB left {left:?}");
            kilobytes += 8 + kilobytes / 8;
        };
        assert!((100..10_000).contains(&refused), "partwise {line} ran on {refused} KiB");
    }
}

/// Whether an entry is the folder of many results, with whole results in it alone.
fn whole(at: &Path, name: &str) -> bool {
    name == "many" && names_in(&at.join(name)).iter().all(|name| name.starts_with('k') && name.ends_with(".h5ad"))
}

#[test]
fn a_limit_on_the_size_of_files_at_any_step() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 3000 --genes 500 --programs 4 --depth 200 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    let program = env!("CARGO_BIN_EXE_partwise");
    for line in WRITERS.map(|line| line.replace("AT/", "")) {
        let before = folder.names();
        let mut blocks = 1;
        loop {
            let limited = format!("ulimit -f {blocks}; exec {program} {line}");
            let ran = Command::new("sh").args(["-c", &limited]).current_dir(folder.path(".")).output();
            let ran = Ran::from(ran.expect("the shell starts"));
            if ran.code == Some(0) {
                break;
            }
            assert_eq!(ran.code, Some(74), "partwise {line} with {blocks} blocks\n{}", ran.stderr);
            let left = folder.names().into_iter().filter(|name| !before.contains(name));
            let left: Vec<_> = left.filter(|name| !whole(&folder.path("."), name)).collect();
            assert!(left.is_empty(), "partwise {line} with {blocks} blocks left {left:?}");
            // The results that are whole would be in the way of the next run.
            let _ = std::fs::remove_dir_all(folder.path("many"));
            blocks += 1 + blocks / 3;
            assert!(blocks < 100_000, "partwise {line} never runs\n{}", ran.stderr);
        }
    }
}

/// A file system that drop unmounts, also if the test fails.
pub(crate) struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    pub(crate) fn tmpfs(at: &'a Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output().ok()?;
        mount.status.success().then_some(Mounted(at))
    }

    /// Enlarges the file system.
    pub(crate) fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        let mount = Command::new("mount").args(["-o", &options]).arg(self.0).status().expect("mount runs");
        assert!(mount.success(), "a tmpfs can grow");
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}
