//! Converts errors of the HDF5 library to errors that name the file, or to the system's error if
//! that is the cause.

use std::io;
use std::path::Path;

use crate::StorageError;

/// Converts an error during `action` on `dataset` of the file at `path`.
///
/// If a system call of the library failed (a full disk, a failing disk), the result is the system's
/// error.
pub(crate) fn problem(action: &'static str, path: &Path, dataset: &str, error: &hdf5::Error) -> StorageError {
    let io = |source| StorageError::Io { action, path: path.into(), source };
    if let Some(code) = system_code(error) {
        return io(io::Error::from_raw_os_error(code));
    }
    // The sizes that are written are ours; those that are read are claims of the file.
    if action != "read" && action != "open" && is_short_of_memory(error) {
        return io(io::Error::new(io::ErrorKind::OutOfMemory, one_line(error)));
    }
    StorageError::Hdf5 {
        path: path.into(),
        dataset: dataset.into(),
        message: format!("cannot {action}: {}", one_line(error)),
    }
}

/// An error of the system in the form in which the library reports one.
pub(crate) fn of_system(error: &io::Error) -> hdf5::Error {
    match error.raw_os_error() {
        Some(code) => format!("{ERRNO}{code}").into(),
        None => error.to_string().into(),
    }
}

/// The words before the code of a failed system call.
const ERRNO: &str = "errno = ";

/// The code of a failed system call, in the library's stack of messages or in an error
/// [`of_system`].
fn system_code(error: &hdf5::Error) -> Option<i32> {
    let code_in = |text: &str| {
        let (_, rest) = text.split_once(ERRNO)?;
        let code: i32 = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        (code != 0).then_some(code)
    };
    match error.stack() {
        Some(stack) => stack.iter().find_map(|frame| code_in(frame.desc())),
        None => code_in(&error.to_string()),
    }
}

/// Whether the library could not allocate memory.
fn is_short_of_memory(error: &hdf5::Error) -> bool {
    let stack = error.stack();
    stack.is_some_and(|stack| stack.iter().any(|frame| frame.desc().contains("memory allocation failed")))
}

/// The innermost message, which is the cause, in one line.
fn one_line(error: &hdf5::Error) -> String {
    let text = match error.stack() {
        Some(stack) => stack.iter().last().map(|frame| frame.desc().to_owned()).unwrap_or_default(),
        None => error.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
