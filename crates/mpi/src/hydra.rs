//! The end of a process under MPICH: it takes leave of the launcher itself, without `MPI_Finalize`.
//!
//! MPICH (4.0.2, over UCX and TCP) sometimes hangs in `MPI_Finalize`: some processes close
//! connections to others, which are already in a barrier of the launcher and no longer answer. If a
//! process ends without a message to the launcher, the launcher kills the others of its node and
//! may use 1 as its exit code. So each process sends the two messages that the launcher waits for,
//! in the protocol PMI-1 (`src/pmi/maint/pmi-1.1.txt` of MPICH 4.1 and later; 4.0 uses the same).
//! The operating system closes the connections.

use std::fs::File;
use std::io::{self, Read, Write};

/// The connection to the launcher Hydra. `PMI_FD` holds its number; `MPI_LOCALNRANKS` shows that
/// the launcher is Hydra.
pub(crate) struct Launcher(File);

impl Launcher {
    /// The launcher of this process, if it is Hydra. `open` returns the file with a given number.
    pub(crate) fn here(open: impl FnOnce(i32) -> io::Result<File>) -> Option<Self> {
        std::env::var_os("MPI_LOCALNRANKS")?;
        let number = std::env::var("PMI_FD").ok()?.parse().ok()?;
        if number < 0 {
            return None;
        }
        open(number).ok().map(Self)
    }

    /// Waits until all processes have called this.
    pub(crate) fn barrier(&self) -> Result<(), String> {
        self.ask("barrier_in", "barrier_out")
    }

    /// Tells Hydra that this process has finished with MPI. No message may follow.
    pub(crate) fn leave(&self) -> Result<(), String> {
        self.ask("finalize", "finalize_ack")
    }

    fn ask(&self, command: &str, reply: &str) -> Result<(), String> {
        let answer = converse(&self.0, command).map_err(|error| format!("the launcher is gone: {error}"))?;
        if answer.split_whitespace().next() == Some(&format!("cmd={reply}")) {
            Ok(())
        } else {
            Err(format!("the launcher answers {command:?} with {answer:?}"))
        }
    }
}

/// Sends a command and reads one line, the answer. Later lines belong to others.
fn converse(mut line: impl Read + Write, command: &str) -> io::Result<String> {
    line.write_all(format!("cmd={command}\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        line.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    /// The result of `ask` against a launcher that answers `answer` and closes the connection, and
    /// the message it received.
    fn hears(answer: &'static str, ask: fn(&Launcher) -> Result<(), String>) -> (Result<(), String>, String) {
        let (here, mut there) = UnixStream::pair().unwrap();
        let launcher = thread::spawn(move || {
            let mut said = [0; 64];
            let length = there.read(&mut said).unwrap();
            there.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(said[..length].to_vec()).unwrap()
        });
        let heard = ask(&Launcher(File::from(OwnedFd::from(here))));
        (heard, launcher.join().unwrap())
    }

    #[test]
    fn speaks_pmi() {
        let (heard, said) = hears("cmd=barrier_out\n", Launcher::barrier);
        assert_eq!((heard, said.as_str()), (Ok(()), "cmd=barrier_in\n"));
        let (heard, said) = hears("cmd=finalize_ack rc=0 msg=ok\n", Launcher::leave);
        assert_eq!((heard, said.as_str()), (Ok(()), "cmd=finalize\n"));
    }

    #[test]
    fn reports_a_wrong_answer_or_none() {
        let (heard, _) = hears("cmd=finalize_ack_or_not\n", Launcher::leave);
        assert_eq!(heard.unwrap_err(), "the launcher answers \"finalize\" with \"cmd=finalize_ack_or_not\"");
        let (heard, _) = hears("cmd=barr", Launcher::barrier);
        assert!(heard.unwrap_err().starts_with("the launcher is gone"));
    }
}
