//! What a process says to MPICH's launcher when it ends: by itself, not through `MPI_Finalize`.
//!
//! MPICH (4.0.2, over UCX and TCP) hangs in `MPI_Finalize` now and then: some processes close connections to others that sit in a
//! barrier of the launcher's and answer no more. A process that ends without a word instead has the others of its node
//! killed by the launcher, which may take 1 for its exit code. So each says the two things by itself that the launcher waits
//! for, in the words of PMI-1 (`src/pmi/maint/pmi-1.1.txt` of MPICH 4.1 and later; 4.0 speaks the same), and leaves the connections to the system.

use std::fs::File;
use std::io::{self, Read, Write};

/// The line to the launcher, Hydra, which goes by `PMI_FD` and is known by `MPI_LOCALNRANKS`.
pub(crate) struct Launcher(File);

impl Launcher {
    /// The launcher that has started this process, if that is Hydra. `open` gives the file behind a number.
    pub(crate) fn here(open: impl FnOnce(i32) -> io::Result<File>) -> Option<Self> {
        std::env::var_os("MPI_LOCALNRANKS")?;
        let number = std::env::var("PMI_FD").ok()?.parse().ok()?;
        if number < 0 {
            return None;
        }
        open(number).ok().map(Self)
    }

    /// Waits until all processes have come here.
    pub(crate) fn barrier(&self) -> Result<(), String> {
        self.ask("barrier_in", "barrier_out")
    }

    /// Says that this process goes on without MPI. Hydra hears no more from it.
    pub(crate) fn leave(&self) -> Result<(), String> {
        self.ask("finalize", "finalize_ack")
    }

    fn ask(&self, command: &str, reply: &str) -> Result<(), String> {
        let said = converse(&self.0, command).map_err(|error| format!("the launcher is gone: {error}"))?;
        if said.split_whitespace().next() == Some(&format!("cmd={reply}")) {
            Ok(())
        } else {
            Err(format!("the launcher answers {command:?} with {said:?}"))
        }
    }
}

/// Sends a command, and reads the line that comes back and no further: other lines are not ours.
fn converse(mut line: impl Read + Write, command: &str) -> io::Result<String> {
    line.write_all(format!("cmd={command}\n").as_bytes())?;
    let mut said = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        line.read_exact(&mut byte)?;
        said.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&said).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    /// What a process hears that says `ask` to a launcher which answers `answer` and goes.
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
    fn says_what_the_launcher_does_not() {
        let (heard, _) = hears("cmd=finalize_ack_or_not\n", Launcher::leave);
        assert_eq!(heard.unwrap_err(), "the launcher answers \"finalize\" with \"cmd=finalize_ack_or_not\"");
        let (heard, _) = hears("cmd=barr", Launcher::barrier);
        assert!(heard.unwrap_err().starts_with("the launcher is gone"));
    }
}
