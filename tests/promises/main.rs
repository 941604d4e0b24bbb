//! Tests of the promises of the program, through its command line.
#![allow(missing_docs, reason = "a test binary")]

mod bench;
mod bits;
mod command_line;
mod crashes;
mod examples;
mod foresight;
mod frozen;
mod killed;
mod launched;
mod leaves_nothing;
mod meetings;
mod memory;
mod nodes;
mod outputs;
mod program;
mod refuses;
mod report;
mod resume;
mod rooms;
mod round_trip;
mod sets;
mod sources;
