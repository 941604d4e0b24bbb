//! The program `partwise`: a folder per verb, and the modules that verbs share.
//!
//! Modules use each other in one direction only: `main` uses `verbs`, `verbs` uses the folders of
//! the verbs, these use `options`, `input`, `settings`, `keep`, `progress` and `launch`, and all use
//! `failure`.
#![deny(unsafe_code)]

mod allocator;
mod attendant;
mod bench;
mod consensus;
mod convert;
mod export;
mod failure;
mod fit;
mod genes;
mod info;
mod input;
mod interrupt;
mod keep;
mod launch;
mod list;
mod mapping;
mod notes;
mod options;
mod pca;
mod plan;
mod print;
mod progress;
mod remedy;
mod report;
mod settings;
mod simulate;
mod size;
mod store_report;
mod sweep;
mod transform;
mod verbs;
mod verify;
mod watchdog;
mod wording;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use failure::{Code, Failure};
use interrupt::Interrupt;
use launch::{Launcher, World};
use progress::Progress;
use verbs::{CommandLine, Verb};

fn main() -> ExitCode {
    allocator::settle();
    launch::catch_crashes();
    launch::report_panics();
    let (typed, launcher) = (CommandLine::try_parse(), Launcher::found());
    if let Some(asked) = typed.as_ref().err().filter(|error| !error.use_stderr() || is_bare(error)) {
        // --help, --version, help VERB, or no verb at all.
        if launcher.is_none_or(|launcher| launcher.is_first()) {
            let _ = if is_bare(asked) { CommandLine::command().print_help() } else { asked.print() };
        }
        return ExitCode::SUCCESS;
    }
    let interrupt = match interrupt::arm() {
        Ok(interrupt) => interrupt,
        Err(error) => return Failure::new(Code::Io, format!("cannot handle signals: {error}")).report(),
    };
    let verb = typed.as_ref().ok().map(|line| &line.verb);
    let patience = verb.and_then(Verb::patience).unwrap_or_default().limit(launcher.is_none());
    let world = match launcher.map_or_else(|| Ok(World::alone()), |launcher| World::of(launcher, &interrupt, patience))
    {
        Ok(world) => world,
        Err(code) => return code,
    };
    let done = catch_unwind(AssertUnwindSafe(|| run(typed, world, interrupt)));
    world.end(done.unwrap_or_else(|_panic| Err(launch::defect())))
}

/// Whether the user typed the name of the program alone.
fn is_bare(error: &clap::Error) -> bool {
    error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

fn run(typed: Result<CommandLine, clap::Error>, world: &World, interrupt: Interrupt) -> Result<(), Failure> {
    let typed = typed.map_err(|error| failure::mistake(&error));
    let allowed = typed.and_then(|line| match line.verb.is_distributed() {
        true => Ok(line.verb),
        false => world.require_alone().map(|()| line.verb),
    });
    let verb = world.agree(allowed)?;
    let progress = Progress::new(verb.quiet(), world.leads(), interrupt, world.signs().clone());
    if world.leads() {
        verb.remark();
    }
    let patience = verb.patience().and_then(|patience| patience.limit(world.is_alone()));
    let watch = |patience| world.signs().watch(patience, move || launch::idle(patience));
    let watching = patience.map(watch).transpose();
    let _watching = watching.map_err(|error| Failure::new(Code::Io, format!("cannot start a thread: {error}")))?;
    if verb.is_distributed() {
        world.remark().into_iter().for_each(|remark| progress.note(remark));
    }
    verb.run(world, &progress)
}
