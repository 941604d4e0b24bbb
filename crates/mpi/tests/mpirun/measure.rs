//! Measures the speed of sums, and the cost of the pulse for a process that works.

use std::thread::sleep;
use std::time::{Duration, Instant};

use partwise_driver::comm::{Comm, meet};
use partwise_mpi::{Mpi, Setup};

/// The numbers in WᵀX and WᵀW for 30,000 genes and 50 components.
const LARGE: usize = 50 * 30_000 + 50 * 50;

pub(crate) fn run() {
    let mpi = Mpi::start(Setup::default()).unwrap();
    let mut numbers = vec![1i64; LARGE];
    let mut large: Vec<f64> =
        (0..40).map(|_| timed(&mpi, |mpi| mpi.all_reduce_sum(&mut [&mut numbers]).unwrap())).collect();
    let mut small: Vec<f64> = (0..200).map(|_| timed(&mpi, |mpi| meet(mpi).unwrap())).collect();
    // The last process is late, and the others wait for it.
    let mut late: Vec<f64> = (0..20)
        .map(|_| {
            if mpi.rank() + 1 == mpi.size() {
                sleep(Duration::from_millis(100));
            }
            let began = Instant::now();
            meet(&mpi).unwrap();
            began.elapsed().as_secs_f64()
        })
        .collect();
    meet(&mpi).unwrap();
    let before = cpu_seconds();
    let began = Instant::now();
    sleep(Duration::from_secs(5));
    let idle = (cpu_seconds() - before) / began.elapsed().as_secs_f64();
    // The others have waited for the last process, so its time is the time of a sum after all have
    // arrived.
    if mpi.rank() + 1 == mpi.size() {
        println!(
            "{} processes: {:.1} MB {:.2} ms (least {:.2}), one number {:.0} us (least {:.0}), after a wait of 100 ms {:.0} us; \
             idle {:.2} % of a core",
            mpi.size(),
            8e-6 * LARGE as f64,
            1e3 * median(&mut large),
            1e3 * large[0],
            1e6 * median(&mut small),
            1e6 * small[0],
            1e6 * median(&mut late),
            100.0 * idle,
        );
    }
    mpi.finish(0).unwrap();
}

fn timed(mpi: &Mpi, act: impl FnOnce(&Mpi)) -> f64 {
    meet(mpi).unwrap();
    let began = Instant::now();
    act(mpi);
    began.elapsed().as_secs_f64()
}

/// The median. Sorts the times.
fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The processor time of all threads so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    let main: f64 = stat.split(' ').next().unwrap().parse().unwrap();
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let others = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("schedstat")).ok());
    let all: f64 = others.filter_map(|stat| stat.split(' ').next()?.parse::<f64>().ok()).sum();
    1e-9 * all.max(main)
}
