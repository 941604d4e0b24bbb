//! The only thing that the processes of a distributed fit exchange: sums of integers.
//!
//! Every process has a [`shard`](crate::shard) of the row blocks and calls the same functions in
//! the same order. Sums also carry everything else that processes must agree on: each process fills
//! its own place in a list and leaves the other places zero, so the sum is the whole list.

/// Another process no longer answers, or the library that connects processes has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("processes have lost touch: {message}")]
pub struct CommError {
    /// The library's own message.
    pub message: String,
}

/// Another process has failed, and reports the reason itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("process {rank} has failed and reports the reason itself")]
pub struct Elsewhere {
    /// The first process that failed.
    pub rank: usize,
}

/// The processes that work on one fit.
///
/// All of them call [`all_reduce_sum`](Comm::all_reduce_sum) equally often, with arrays of the same
/// lengths. Any thread may call, one at a time.
///
/// To write a new one:
///
/// 1. Number the processes from 0 and keep the numbers for the life of the value.
/// 2. Add integers exactly, with wrap-around: sums must not depend on the order of arrival.
/// 3. Return an error in every surviving process when one is gone, rather than wait for it.
/// 4. Hold it to its promises with [`conformance::hold`], in all processes together.
pub trait Comm: Sync {
    /// Number of this process, from 0.
    fn rank(&self) -> usize;

    /// How many processes there are.
    fn size(&self) -> usize;

    /// Adds up, element by element, the `parts` of all processes, and gives each process the sums.
    /// Waits for all of them.
    ///
    /// # Errors
    ///
    /// When a process is lost; later sums fail as well.
    fn all_reduce_sum(&self, parts: &mut [&mut [i64]]) -> Result<(), CommError>;
}

/// One process alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Solo;

impl Comm for Solo {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_reduce_sum(&self, _parts: &mut [&mut [i64]]) -> Result<(), CommError> {
        Ok(())
    }
}

/// The number of every process, by rank: `mine` is the number of this one.
///
/// # Errors
///
/// When a process is lost.
pub fn all_gather(comm: &dyn Comm, mine: i64) -> Result<Vec<i64>, CommError> {
    let mut all = vec![0; comm.size()];
    all[comm.rank()] = mine;
    comm.all_reduce_sum(&mut [&mut all])?;
    Ok(all)
}

/// The bytes of process 0, in every process; the argument of the others is ignored.
///
/// # Errors
///
/// When a process is lost.
pub fn broadcast(comm: &dyn Comm, bytes: &[u8]) -> Result<Vec<u8>, CommError> {
    let first = comm.rank() == 0;
    let mut length = [if first { bytes.len() as i64 } else { 0 }];
    comm.all_reduce_sum(&mut [&mut length])?;
    let length = length[0] as usize;
    let mut words = vec![0i64; length.div_ceil(8)];
    if first {
        bytemuck::cast_slice_mut::<i64, u8>(&mut words)[..length].copy_from_slice(bytes);
    }
    comm.all_reduce_sum(&mut [&mut words])?;
    Ok(bytemuck::cast_slice::<i64, u8>(&words)[..length].to_vec())
}

/// The outcome of this process once every process has one: its own error, or [`Elsewhere`] if only
/// another process failed. For steps after which all processes continue or none does, so that no
/// process waits for one that gave up.
///
/// # Errors
///
/// The error of this process, that another has one, or that a process is lost.
pub fn agree<T, E>(comm: &dyn Comm, mine: Result<T, E>) -> Result<T, E>
where
    E: From<CommError> + From<Elsewhere>,
{
    let failed = all_gather(comm, i64::from(mine.is_err()))?;
    match (mine, failed.iter().position(|&failed| failed > 0)) {
        (Ok(_), Some(rank)) => Err(Elsewhere { rank }.into()),
        (mine, _) => mine,
    }
}

/// Waits until every process is here.
///
/// # Errors
///
/// When a process is lost.
pub fn meet(comm: &dyn Comm) -> Result<(), CommError> {
    comm.all_reduce_sum(&mut [&mut [0]])
}

pub mod conformance {
    //! The promises of [`Comm`], as a check of every implementation.

    use super::{Comm, all_gather, broadcast, meet};

    /// Holds `comm` to its promises. Every process calls it at the same time.
    ///
    /// # Panics
    ///
    /// When a promise is broken; the message says which.
    pub fn hold(comm: &dyn Comm) {
        let (rank, size) = (comm.rank(), comm.size());
        assert!(rank < size, "process {rank} of {size}");
        sums_have_the_shares_of_all(comm);
        extremes_wrap(comm);
        long_arrays_keep_their_order(comm);
        let all = all_gather(comm, 7 - rank as i64).expect("no process is lost");
        assert_eq!(all, (0..size as i64).map(|rank| 7 - rank).collect::<Vec<_>>(), "numbers by rank");
        for length in [0, 1, 7, 8, 9, 1000] {
            let of_first: Vec<u8> = (0..length).map(|i| (i * 31 % 251) as u8).collect();
            let mine = if rank == 0 { of_first.clone() } else { vec![0xaa; rank] };
            let got = broadcast(comm, &mine).expect("no process is lost");
            assert!(got == of_first, "{length} bytes of process 0");
        }
        meet(comm).expect("no process is lost");
    }

    fn sums_have_the_shares_of_all(comm: &dyn Comm) {
        let (rank, size) = (comm.rank() as i64, comm.size() as i64);
        let (mut ones, mut none, mut ranks) = ([1; 4], [], [rank, -rank]);
        comm.all_reduce_sum(&mut [&mut ones, &mut none, &mut ranks]).expect("no process is lost");
        let sum = size * (size - 1) / 2;
        assert_eq!((ones, ranks), ([size; 4], [sum, -sum]), "sums of small numbers");
        comm.all_reduce_sum(&mut []).expect("a sum of nothing");
    }

    fn extremes_wrap(comm: &dyn Comm) {
        let first = comm.rank() == 0;
        let mut extremes = if first { [i64::MAX, i64::MIN, 1 << 62] } else { [0; 3] };
        comm.all_reduce_sum(&mut [&mut extremes]).expect("no process is lost");
        assert_eq!(extremes, [i64::MAX, i64::MIN, 1 << 62], "all 64 bits are added");
    }

    fn long_arrays_keep_their_order(comm: &dyn Comm) {
        // Longer than the pieces in which a library sends.
        let mut long: Vec<i64> = (0..300_000).map(|i| i * (1 + comm.rank() as i64)).collect();
        comm.all_reduce_sum(&mut [&mut long]).expect("no process is lost");
        let times = (comm.size() * (comm.size() + 1) / 2) as i64;
        assert!(long.iter().enumerate().all(|(i, &sum)| sum == i as i64 * times), "a long array");
    }
}
