//! The processes of MPI; in a program built without MPI, a type with the same functions and no
//! values.

#[cfg(feature = "mpi")]
pub(super) use with::{Processes, exit_now, start};
#[cfg(not(feature = "mpi"))]
pub(super) use without::{Processes, exit_now, start};

#[cfg(feature = "mpi")]
mod with {
    use std::time::Duration;

    use partwise_mpi::{Flag, Mpi, Setup};

    use crate::interrupt::Interrupt;

    pub(in super::super) use partwise_mpi::exit_now;
    pub(in super::super) type Processes = Mpi;

    /// Starts MPI. Calls `lost` if some process does not answer for `patience`.
    pub(in super::super) fn start(
        interrupt: &Interrupt,
        patience: Option<Duration>,
        lost: impl FnOnce() + Send + 'static,
    ) -> Result<Processes, String> {
        let flags =
            interrupt.signals().map(|signal| Flag { own: signal.here.clone(), heard: signal.elsewhere.clone() });
        let watchdog = patience.map(|patience| (patience, Box::new(lost) as Box<dyn FnOnce() + Send>));
        Mpi::start(Setup { flags: flags.into(), watchdog }).map_err(|error| error.to_string())
    }
}

#[cfg(not(feature = "mpi"))]
mod without {
    use std::time::Duration;

    use partwise::driver::comm::{Comm, CommError};

    use crate::interrupt::Interrupt;

    /// No processes: this type has no values.
    #[derive(Debug)]
    pub(in super::super) enum Processes {}

    impl Processes {
        pub(in super::super) fn node(&self) -> &str {
            match *self {}
        }

        pub(in super::super) fn node_size(&self) -> usize {
            match *self {}
        }

        pub(in super::super) fn finish(&self, _code: i32) -> Result<(), CommError> {
            match *self {}
        }

        pub(in super::super) fn abort(&self, _code: i32) -> ! {
            match *self {}
        }
    }

    impl Comm for Processes {
        fn rank(&self) -> usize {
            match *self {}
        }

        fn size(&self) -> usize {
            match *self {}
        }

        fn all_reduce_sum(&self, _parts: &mut [&mut [i64]]) -> Result<(), CommError> {
            match *self {}
        }
    }

    pub(in super::super) fn start(
        _interrupt: &Interrupt,
        _patience: Option<Duration>,
        _lost: impl FnOnce() + Send + 'static,
    ) -> Result<Processes, String> {
        Err("this partwise was built without MPI; build it with scripts/install-mpi, or with cargo build --release --locked \
             --features mpi"
            .into())
    }

    pub(in super::super) use super::super::crash::exit_now;
}
