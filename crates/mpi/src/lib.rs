//! [`Comm`](partwise_driver::comm::Comm) over MPI: the processes of a fit, on one node or on many.
//!
//! | file    | question                                                    |
//! |---------|-------------------------------------------------------------|
//! | `raw`   | which calls of the library are made, and why are they sound? |
//! | `hydra` | how does a process of MPICH end where `MPI_Finalize` hangs?  |
//! | `pulse` | what do processes tell each other all the time?             |
//! | `talk`  | who makes these calls, and when?                            |
//! | `watch` | how is a process missed that says nothing any more?         |
//! | `flag`  | which facts do all processes learn?                         |
//! | `mpi`   | what does the rest of the program see of it?                |
//!
//! One thread of its own makes every call of the library, so that nothing is asked of MPI but `MPI_THREAD_FUNNELED`. It keeps
//! a **pulse** going: sums of a few integers, one after the other, slowly while a process works and fast once it waits. A
//! process that has come to a sum of the driver says so in its next pulse; when all have, and not before, the sum is made by
//! a blocking `MPI_Allreduce`. What that brings:
//!
//! - A process that waits for slower ones sleeps; it does not take their cores in a loop, as MPI's own waiting does.
//! - A process that is dead, frozen or cut off is missed by all others as a pulse that does not end, however long a pass takes.
//! - A signal that reached one process is known to all of them in a moment.
//! - Processes that disagree about what to add up are told so; they do not add up nonsense.
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
