//! Checks, before any work, that all processes run the same program on the same data.

use std::fs::File;
use std::io::{self, Read};

use partwise::driver::comm::broadcast;
use partwise::storage::{Layout, Store};

use super::World;
use crate::failure::{Code, Failure};
use partwise::machine;

impl World {
    /// Refuses to run as one of several processes.
    ///
    /// # Errors
    ///
    /// When there are several.
    pub(crate) fn require_alone(&self) -> Result<(), Failure> {
        if self.is_alone() {
            return Ok(());
        }
        Err(Failure::usage("only fit works with several processes; run this verb without mpirun or srun"))
    }

    /// Refuses processes that have different arguments or different builds of the program.
    pub(super) fn check_program(&self) -> Result<(), Failure> {
        let arguments = format!("{:?}", std::env::args_os().skip(1).collect::<Vec<_>>());
        self.same("arguments", &arguments, Code::Usage)?;
        let program =
            checksum().map_err(|error| Failure::new(Code::Io, format!("cannot read the program itself: {error}")));
        let program = self.agree(program)?;
        self.same("builds of partwise", &format!("{}, checksum {program:08x}", env!("CARGO_PKG_VERSION")), Code::Usage)
    }

    /// Refuses three things: stores with different data; for dense data, different kinds of CPU,
    /// because their products differ in the last bit; and more processes than there are blocks.
    pub(crate) fn check_store(&self, store: &Store) -> Result<(), Failure> {
        if self.is_alone() {
            return Ok(());
        }
        let path = store.path().display();
        self.same(&format!("data in {path}"), &format!("fingerprint {}", store.fingerprint()), Code::BadData)?;
        if store.layout() == Layout::Dense {
            self.same("kinds of CPU, which give different bits for dense data", &machine::cpu_in_full(), Code::Usage)?;
        }
        let (size, most) = (self.comm().size(), store.blocks());
        let refusal = || {
            Failure::usage(format!(
                "{path}: {size} processes are too many for its {most} row blocks; start at most {most} processes, or convert the \
                 data with smaller blocks (--block-rows)"
            ))
        };
        self.agree(if size > most { Err(refusal()) } else { Ok(()) })
    }

    /// Refuses if `mine` differs from the value of process 0; `what` is the plural name of such
    /// values.
    fn same(&self, what: &str, mine: &str, code: Code) -> Result<(), Failure> {
        let first = broadcast(self.comm(), mine.as_bytes()).map_err(Failure::lost)?;
        let first = String::from_utf8_lossy(&first);
        let rank = self.comm().rank();
        let refusal =
            || Failure::new(code, format!("process {rank} and process 0 have different {what}: {mine}, not {first}"));
        self.agree(if first == mine { Ok(()) } else { Err(refusal()) })
    }
}

/// The CRC-32C of the running program.
fn checksum() -> io::Result<u32> {
    let mut file = File::open("/proc/self/exe")?;
    let mut buffer = vec![0; 1 << 20];
    let mut sum = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sum),
            count => sum = crc32c::crc32c_append(sum, &buffer[..count]),
        }
    }
}
