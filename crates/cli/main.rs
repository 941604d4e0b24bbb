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
mod machine;
mod options;
mod output;
mod plan;
mod print;
mod progress;
mod settings;
mod simulate;
mod size;
mod verify;
mod wording;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use failure::{Code, Failure};
use options::{CommandLine, Verb};
use progress::Progress;

fn main() -> ExitCode {
    allocator::settle();
    failure::report_panics();
    let verb = match CommandLine::try_parse() {
        Ok(line) => line.verb,
        Err(error) => return failure::report_usage(&error),
    };
    match catch_unwind(AssertUnwindSafe(|| run(&verb))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.report(),
        Err(_panic) => failure::defect(),
    }
}

fn run(verb: &Verb) -> Result<(), Failure> {
    let interrupt =
        interrupt::arm().map_err(|error| Failure::new(Code::Io, format!("cannot handle signals: {error}")))?;
    verb.remark();
    let progress = Progress::new(verb.quiet(), interrupt);
    match verb {
        Verb::Fit(options) => fit::run(options, &progress),
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
