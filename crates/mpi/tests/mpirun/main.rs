//! Processes under a launcher: their sums are right, and no accident of one process leaves the
//! others waiting.
//!
//! Run it with `cargo test --release -p partwise-mpi --features mpi`. The launcher is `mpirun`, or
//! the command in `PARTWISE_MPIRUN` (`mpirun.mpich` for a build with `MPICC=mpicc.mpich`). The test
//! starts itself under the launcher, once per case. `mpirun -np 2 PROGRAM --case measure` measures
//! the speed of sums and the cost of the pulse.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test binary")]

mod cases;
mod measure;

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use cases::CASES;

/// A limit that no case reaches, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--case", "measure"] => measure::run(),
        ["--case", name] => cases::run(name),
        _ => {
            let wanted = arguments.iter().find(|argument| !argument.starts_with('-'));
            let chosen = CASES.iter().filter(|case| wanted.is_none_or(|wanted| case.name.contains(wanted.as_str())));
            let failed = chosen.map(launch).filter(|passed| !passed).count();
            return ExitCode::from(u8::from(failed > 0));
        }
    }
    ExitCode::SUCCESS
}

/// Runs one case under the launcher and returns whether it ended as it should.
fn launch(case: &cases::Case) -> bool {
    let launcher = std::env::var("PARTWISE_MPIRUN").unwrap_or_else(|_| "mpirun --oversubscribe".into());
    let mut words = launcher.split_whitespace();
    let mut command = Command::new(words.next().expect("the name of a launcher"));
    command.args(words).args(["-np", &case.processes.to_string()]);
    command.arg(std::env::current_exe().expect("the path of this program")).args(["--case", case.name]);
    // Open MPI asks root for a confirmation, and runs better with this setting if processes
    // outnumber cores.
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command.env("OMPI_MCA_mpi_yield_when_idle", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{launcher}: {error}"));
    let code = loop {
        if let Some(status) = child.try_wait().expect("a child to wait for") {
            break status.code();
        }
        if began.elapsed() > LIMIT {
            child.kill().expect("a child to end");
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let passed = (case.ends)(code);
    println!(
        "{} {} (exit {code:?}, {:.1} s)",
        if passed { "ok" } else { "FAILED" },
        case.name,
        began.elapsed().as_secs_f64()
    );
    if !passed {
        let output = child.wait_with_output().expect("the output of a child");
        println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    passed
}
