//! Runs the program as a user does, in a fresh folder per test.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder to run the program in.
pub(crate) struct Folder {
    folder: TempDir,
}

/// The outcome of a run of the program.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Folder { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The names in the folder, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        names_in(self.folder.path())
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
        command.args(line.split_whitespace()).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs `partwise LINE`; no argument may hold a space.
    pub(crate) fn run(&self, line: &str) -> Ran {
        Ran::from(self.command(line).output().expect("the program starts"))
    }

    /// Runs `partwise LINE` in a changed environment.
    #[cfg(not(feature = "mpi"))]
    pub(crate) fn run_with(&self, line: &str, variables: &[(&str, &str)]) -> Ran {
        Ran::from(self.command(line).envs(variables.iter().copied()).output().expect("the program starts"))
    }

    /// Starts `partwise LINE` and does not wait for it.
    pub(crate) fn start(&self, line: &str) -> Child {
        self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    /// Runs `partwise LINE`, which must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, line: &str) -> Ran {
        let ran = self.run(line);
        assert_eq!(ran.code, Some(0), "partwise {line}\n{}", ran.stderr);
        ran
    }

    /// Runs `partwise LINE --json`, which must succeed and print one object.
    #[track_caller]
    pub(crate) fn json(&self, line: &str) -> Value {
        let ran = self.ok(&format!("{line} --json"));
        let value = serde_json::from_str(&ran.stdout);
        value.unwrap_or_else(|error| panic!("partwise {line}: {error} in {:?}", ran.stdout))
    }

    /// Writes `values`, row-major, as a NumPy file.
    pub(crate) fn npy(&self, name: &str, rows: usize, columns: usize, values: &[f32]) {
        assert_eq!(values.len(), rows * columns, "the values fill the shape");
        let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
        header.push_str(&" ".repeat(63 - (10 + header.len()) % 64));
        header.push('\n');
        let mut file = fs::File::create(self.path(name)).expect("a file in the folder");
        let mut write = |bytes: &[u8]| file.write_all(bytes).expect("a write into the folder");
        write(b"\x93NUMPY\x01\x00");
        write(&(header.len() as u16).to_le_bytes());
        write(header.as_bytes());
        values.iter().for_each(|value| write(&value.to_le_bytes()));
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Reports a skipped test on the real stderr, which the test harness does not capture.
pub(crate) fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
