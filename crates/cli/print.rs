//! The result on stdout: one JSON object with `--json`, otherwise text for people.

use std::io::{ErrorKind, Write, stdout};

use serde::Serialize;

use crate::failure::{Code, Failure};

/// Prints `report` as one line of JSON.
pub(crate) fn json(report: &impl Serialize) -> Result<(), Failure> {
    text(&serde_json::to_string(report).expect("a report has string keys and no failing serializers"))
}

/// Prints `text` and a line end. Ignores a closed pipe (`partwise info … | head -1`).
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    let mut out = stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Code::Io, format!("stdout: cannot write: {error}")))
        }
        _ => Ok(()),
    }
}
