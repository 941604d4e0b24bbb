//! What the processes of a distributed fit exchange: sums of integers, and nothing else.
//!
//! Every process has a share of the row blocks ([`shard`](crate::shard)) and calls the same functions in the same order.
//! Whatever they must agree on is made from sums: a list with one place a process, where each fills its own and leaves the
//! others zero, is gathered by adding them up.

use crate::error::DriverError;

/// A process can no longer be heard, or the library that connects processes has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("processes have lost touch: {message}")]
pub struct CommError {
    /// What the library said.
    pub message: String,
}

/// The processes that work on one fit.
///
/// All of them call [`all_reduce_sum`](Comm::all_reduce_sum) equally often, with arrays of the same lengths. Any thread may
/// call, one at a time.
pub trait Comm: Sync {
    /// Number of this process, from 0.
    fn rank(&self) -> usize;

    /// How many processes there are.
    fn size(&self) -> usize;

    /// Adds up, element by element, what all processes have in `parts`, and gives each the sums. Waits for all of them.
    ///
    /// # Errors
    ///
    /// When a process is lost; then no further sum is to be had.
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

/// What every process has to say, by rank: `mine` of this one among them.
///
/// # Errors
///
/// When a process is lost.
pub fn gather(comm: &dyn Comm, mine: i64) -> Result<Vec<i64>, CommError> {
    let mut all = vec![0; comm.size()];
    all[comm.rank()] = mine;
    comm.all_reduce_sum(&mut [&mut all])?;
    Ok(all)
}

/// The bytes that process 0 has, in all of them; what the others pass is ignored.
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

/// What this process has done, if every process has come this far; otherwise its own error, or, where it was another that
/// failed, [`DriverError::Elsewhere`]. For steps after which all have to go on or none: nobody waits for one that gave up.
///
/// # Errors
///
/// The error of this process, that another has one, or that a process is lost.
pub fn agree<T>(comm: &dyn Comm, mine: Result<T, DriverError>) -> Result<T, DriverError> {
    let failed = gather(comm, i64::from(mine.is_err()))?;
    match (mine, failed.iter().position(|&failed| failed > 0)) {
        (Ok(_), Some(rank)) => Err(DriverError::Elsewhere { rank }),
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
