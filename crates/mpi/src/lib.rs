//! [`Comm`](partwise_driver::comm::Comm) over MPI: the processes of a fit, on one node or on many.
//!
//! | file    | question                                                    |
//! |---------|-------------------------------------------------------------|
//! | `raw`   | which MPI functions are called, and why is that sound?      |
//! | `hydra` | how does a process of MPICH end if `MPI_Finalize` hangs?    |
//! | `pulse` | which facts do processes exchange all the time?             |
//! | `talk`  | which thread calls MPI, and when?                           |
//! | `watch` | how does a process notice that another one is silent?       |
//! | `flag`  | which flags do all processes share?                         |
//! | `mpi`   | which functions does the rest of the program call?          |
//!
//! A thread of its own makes all calls of the MPI library, so MPI needs to offer no more than
//! `MPI_THREAD_FUNNELED`. This thread keeps a **pulse** going: sums of a few integers, one after
//! the other, slowly while a process works and fast while it waits. When a process arrives at a sum
//! of the driver, it reports that in its next pulse. When all have arrived, and not before, a
//! blocking `MPI_Allreduce` makes the sum. This has four advantages:
//!
//! - A process that waits for slower ones sleeps. MPI's own waiting would run in a loop and take
//!   cores from the slower ones.
//! - If a process is dead, frozen or cut off, the pulse does not end, and all others notice,
//!   however long a pass takes.
//! - A signal that reaches one process is known to all within moments.
//! - If processes disagree about the length of a sum, they get an error and not a wrong sum.
#![cfg(feature = "mpi")]

mod flag;
mod hydra;
mod mpi;
mod pulse;
mod raw;
mod talk;
mod watch;

pub use flag::Flag;
pub use mpi::{Mpi, Setup, StartError, exit_now};
