//! The program `partwise`: one folder per verb, and what they share.
#![deny(unsafe_code)]

mod allocator;
mod bench;
mod convert;
mod export;
mod failure;
mod fit;
mod foresee;
mod info;
mod input;
mod interrupt;
mod launch;
mod machine;
mod options;
mod output;
mod plan;
mod print;
mod progress;
mod remedy;
mod settings;
mod simulate;
mod size;
mod verify;
mod watchdog;
mod wording;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use failure::{Code, Failure};
use interrupt::Interrupt;
use launch::{Job, Launcher};
use options::{CommandLine, Verb};
use progress::Progress;

fn main() -> ExitCode {
    allocator::settle();
    failure::report_panics();
    let (typed, launcher) = (CommandLine::try_parse(), Launcher::found());
    if let Some(asked) = typed.as_ref().err().filter(|error| !error.use_stderr()) {
        // Help and version.
        if launcher.is_none_or(|launcher| launcher.is_first()) {
            let _ = asked.print();
        }
        return ExitCode::SUCCESS;
    }
    let interrupt = match interrupt::arm() {
        Ok(interrupt) => interrupt,
        Err(error) => return Failure::new(Code::Io, format!("cannot handle signals: {error}")).report(),
    };
    let patience = typed.as_ref().ok().and_then(|line| line.verb.watchdog());
    let patience = watchdog::patience(patience, launcher.is_none());
    let job = match launcher.map_or_else(|| Ok(Job::alone()), |launcher| Job::of(launcher, &interrupt, patience)) {
        Ok(job) => job,
        Err(code) => return code,
    };
    let done = catch_unwind(AssertUnwindSafe(|| run(typed, job, interrupt)));
    job.end(done.unwrap_or_else(|_panic| Err(failure::defect())))
}

fn run(typed: Result<CommandLine, clap::Error>, job: &Job, interrupt: Interrupt) -> Result<(), Failure> {
    let verb = job.agree(typed.map_err(|error| failure::mistake(&error)).and_then(|line| job.allows(line.verb)))?;
    let progress = Progress::new(verb.quiet(), job.leads(), interrupt);
    if job.leads() {
        verb.remark();
    }
    match &verb {
        Verb::Fit(options) => fit::run(options, job, &progress),
        Verb::Convert(options) => convert::run(options, &progress),
        Verb::Info(options) => info::run(options),
        Verb::Verify(options) => verify::run(options, &progress),
        Verb::Export(options) => export::run(options, &progress),
        Verb::Plan(options) => plan::run(options),
        Verb::Simulate(options) => simulate::run(options, &progress),
        Verb::Bench(options) => bench::run(options, &progress),
        Verb::BenchCase(options) => bench::case::run(options, &progress),
    }
}
