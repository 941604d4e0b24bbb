//! The cases. All processes of a case run the same function; in most cases one of them misbehaves.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use partwise_driver::comm::{Comm, all_gather, broadcast, conformance, meet};
use partwise_mpi::{Flag, Mpi, Setup};

/// One run under the launcher.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) processes: usize,
    pub(crate) ends: fn(Option<i32>) -> bool,
    play: fn(&'static Mpi),
}

/// The exit code of a process that panics, under the hook below.
const PANICKED: i32 = 70;
/// The exit code of the watchdog here.
const SILENT: i32 = 76;
/// The time limit of the watchdog.
const PATIENCE: Duration = Duration::from_secs(2);

const fn case(name: &'static str, processes: usize, ends: fn(Option<i32>) -> bool, play: fn(&'static Mpi)) -> Case {
    Case { name, processes, ends, play }
}

pub(crate) const CASES: [Case; 15] = [
    case("sums", 3, |code| code == Some(0), sums),
    case("sums of many", 5, |code| code == Some(0), sums),
    case("the promises of processes", 4, |code| code == Some(0), promises),
    case("the promises of one process", 1, |code| code == Some(0), promises),
    case("gather and broadcast", 4, |code| code == Some(0), made_from_sums),
    case("a slow process is waited for", 2, |code| code == Some(0), slow),
    case("a flag", 3, |code| code == Some(0), flag),
    case("an abort", 3, |code| code == Some(74), abort),
    case("an abort while others work", 2, |code| code == Some(74), abort_at_work),
    case("a panic", 3, |code| code == Some(PANICKED), panic),
    case("a frozen process", 3, |code| code == Some(SILENT), frozen),
    case("a process frozen in a sum", 2, |code| code == Some(SILENT), frozen_in_a_sum),
    case("a killed process", 3, |code| code.is_some_and(|code| code != 0), killed),
    case("a process that leaves", 3, |code| code == Some(PANICKED), leaving),
    case("different sums", 3, |code| code == Some(5), different),
];

/// Runs the part of this process.
pub(crate) fn run(name: &str) {
    static MPI: OnceLock<Mpi> = OnceLock::new();
    std::panic::set_hook(Box::new(|info| {
        eprintln!("{info}");
        match MPI.get() {
            Some(mpi) => mpi.abort(PANICKED),
            None => partwise_mpi::exit_now(PANICKED),
        }
    }));
    let case = CASES.iter().find(|case| case.name == name).expect("a case of this name");
    let lost = || match MPI.get() {
        Some(mpi) => mpi.abort(SILENT),
        None => partwise_mpi::exit_now(SILENT),
    };
    let setup = Setup { flags: vec![flags().clone()], watchdog: Some((PATIENCE, Box::new(lost))) };
    let mpi = MPI.get_or_init(|| Mpi::start(setup).unwrap());
    assert_eq!(mpi.size(), case.processes);
    assert!(mpi.rank() < mpi.size() && mpi.node_size() == mpi.size() && !mpi.node().is_empty());
    (case.play)(mpi);
    mpi.finish(0).unwrap();
}

fn flags() -> &'static Flag {
    static FLAG: OnceLock<Flag> = OnceLock::new();
    FLAG.get_or_init(|| Flag { own: Arc::new(AtomicBool::new(false)), heard: Arc::new(AtomicBool::new(false)) })
}

/// A pseudo-random number, which every process can compute for all.
fn number(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The summand of process `rank` at place `i` of sum `sum`.
fn value(sum: u64, rank: usize, i: usize) -> i64 {
    (number(sum ^ number(rank as u64 ^ number(i as u64))) >> 4) as i64 - (1 << 59)
}

/// Compares with sums computed the slow way, over arrays of all shapes.
fn sums(mpi: &Mpi) {
    for sum in 0..60 {
        let parts = number(sum) as usize % 5;
        // Mostly short; now and then longer than the pieces under way.
        let most = [1, 10, 1000, 700_000][number(sum + 1000) as usize % 4];
        let lengths: Vec<usize> = (0..parts as u64).map(|part| number(sum * 7 + part) as usize % (most + 1)).collect();
        let mut arrays: Vec<Vec<i64>> = Vec::new();
        let mut at = 0;
        for length in lengths {
            arrays.push((at..at + length).map(|i| value(sum, mpi.rank(), i)).collect());
            at += length;
        }
        let mut parts: Vec<&mut [i64]> = arrays.iter_mut().map(Vec::as_mut_slice).collect();
        mpi.all_reduce_sum(&mut parts).unwrap();
        let naive = |i| (0..mpi.size()).fold(0i64, |total, rank| total.wrapping_add(value(sum, rank, i)));
        assert!(arrays.concat().iter().enumerate().all(|(i, &summed)| summed == naive(i)), "sum {sum}");
    }
}

/// The promises that the driver relies on.
fn promises(mpi: &Mpi) {
    conformance::hold(mpi);
}

fn made_from_sums(mpi: &Mpi) {
    for turn in 0..50 {
        let all = all_gather(mpi, 10 * turn + mpi.rank() as i64).unwrap();
        assert_eq!(all, (0..mpi.size() as i64).map(|rank| 10 * turn + rank).collect::<Vec<_>>());
        let bytes = format!("turn {turn} of process {}", mpi.rank());
        assert_eq!(broadcast(mpi, bytes.as_bytes()).unwrap(), format!("turn {turn} of process 0").as_bytes());
    }
}

/// Works longer than the limit of the watchdog, which must not count work as silence.
fn slow(mpi: &Mpi) {
    if mpi.rank() == 1 {
        sleep(2 * PATIENCE);
    }
    meet(mpi).unwrap();
}

/// Each process learns of the flag within a second, whether it waits in a sum or works.
fn flag(mpi: &Mpi) {
    let waiting = |mpi: &Mpi| meet(mpi).unwrap();
    waiting(mpi);
    if mpi.rank() == 1 {
        flags().own.store(true, Ordering::Relaxed);
    }
    let began = Instant::now();
    while !flags().heard.load(Ordering::Relaxed) {
        assert!(began.elapsed() < Duration::from_secs(1), "not heard");
        sleep(Duration::from_millis(1));
    }
    assert_eq!(flags().own.load(Ordering::Relaxed), mpi.rank() == 1);
    waiting(mpi);
}

/// One process ends all while the others wait for it.
fn abort(mpi: &Mpi) {
    if mpi.rank() == 1 {
        sleep(Duration::from_millis(300));
        mpi.abort(74);
    }
    let _ = meet(mpi);
}

fn abort_at_work(mpi: &Mpi) {
    if mpi.rank() == 1 {
        mpi.abort(74);
    }
    sleep(Duration::from_secs(600));
}

/// A panic in a thread of its own.
fn panic(mpi: &'static Mpi) {
    if mpi.rank() == 2 {
        spawn(|| panic!("as asked")).join().unwrap();
    }
    let _ = meet(mpi);
}

fn frozen(mpi: &Mpi) {
    if mpi.rank() == 1 {
        signal("STOP");
    }
    let _ = meet(mpi);
    sleep(Duration::from_secs(600));
}

/// Freezes inside a call of the library, at a moment that differs from run to run.
fn frozen_in_a_sum(mpi: &'static Mpi) {
    if mpi.rank() == 1 {
        spawn(|| {
            sleep(Duration::from_millis(500));
            signal("STOP");
        });
    }
    let mut numbers = vec![1; 2_000_000];
    loop {
        mpi.all_reduce_sum(&mut [&mut numbers]).unwrap();
    }
}

fn killed(mpi: &Mpi) {
    meet(mpi).unwrap();
    if mpi.rank() == 1 {
        signal("KILL");
    }
    let _ = meet(mpi);
    sleep(Duration::from_secs(600));
}

/// One process leaves. The others, which want another sum, get an error, and their panic ends them.
fn leaving(mpi: &Mpi) {
    if mpi.rank() != 1 {
        let lost = meet(mpi).unwrap_err();
        panic!("{lost}");
    }
}

/// Arrays of different lengths give an error in every process, also in the one whose length is the
/// mean of all. Further sums fail as well.
fn different(mpi: &Mpi) {
    let mut numbers = vec![1; 3 + mpi.rank()];
    assert!(mpi.all_reduce_sum(&mut [&mut numbers]).is_err());
    assert!(meet(mpi).is_err());
    // Leaves the others the time to see the same.
    sleep(Duration::from_secs(1));
    mpi.abort(5);
}

fn signal(name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &std::process::id().to_string()]).status();
    assert!(sent.unwrap().success());
}
