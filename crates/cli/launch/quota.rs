//! The part of a node that one of its processes may take.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use partwise::driver::comm::{Comm, CommError};

/// Words of a set of CPUs: enough for the largest machine that Linux supports.
const WORDS: usize = 128;

/// The part of a node that one process may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Processes on the node.
    pub(crate) processes: usize,
    /// Cores for this process; `None`: all that it may use.
    pub(crate) cores: Option<usize>,
}

impl Quota {
    /// The quota of a process that is alone: all of the node.
    pub(crate) const WHOLE: Quota = Quota { processes: 1, cores: None };
}

/// A set of CPUs.
type Cpus = [i64; WORDS];

/// The number of cores for this process, at least 1. `cpus` are the CPUs that it may run on; a CPU
/// that p processes of the `node` may run on counts as 1/p. All processes call it.
///
/// # Errors
///
/// When a process is lost.
pub(super) fn cores(comm: &dyn Comm, node: &str, cpus: &[usize]) -> Result<usize, CommError> {
    let mut hash = DefaultHasher::new();
    node.hash(&mut hash);
    let mut all = vec![[0i64; 1 + WORDS]; comm.size()];
    let own = &mut all[comm.rank()];
    own[0] = hash.finish() as i64;
    own[1..].copy_from_slice(&set(cpus));
    comm.all_reduce_sum(&mut [all.as_flattened_mut()])?;
    let here = all[comm.rank()][0];
    let sets: Vec<&[i64]> = all.iter().filter(|process| process[0] == here).map(|process| &process[1..]).collect();
    Ok(part(cpus, &sets))
}

fn set(cpus: &[usize]) -> Cpus {
    let mut words = [0; WORDS];
    for &cpu in cpus.iter().filter(|&&cpu| cpu < 64 * WORDS) {
        words[cpu / 64] |= 1 << (cpu % 64);
    }
    words
}

/// The part of `cpus` for one of the processes that may run on these `sets`.
fn part(cpus: &[usize], sets: &[&[i64]]) -> usize {
    let sharers =
        |cpu: usize| sets.iter().filter(move |set| set.get(cpu / 64).is_some_and(|word| word >> (cpu % 64) & 1 == 1));
    let part: f64 = cpus.iter().map(|&cpu| 1.0 / sharers(cpu).count().max(1) as f64).sum();
    // Rounding: three thirds may add up to less than one.
    ((part + 1e-6) as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(own: &[usize], others: &[&[usize]]) -> usize {
        let sets: Vec<Cpus> = std::iter::once(own).chain(others.iter().copied()).map(set).collect();
        part(own, &sets.iter().map(|set| &set[..]).collect::<Vec<_>>())
    }

    #[test]
    fn cores_that_several_may_use_are_shared_and_others_are_not() {
        let all: Vec<usize> = (0..16).collect();
        assert_eq!(of(&all, &[]), 16);
        assert_eq!(of(&all, &[&all]), 8);
        assert_eq!(of(&all, &[&all, &all]), 5);
        assert_eq!(of(&all[..8], &[&all[8..]]), 8);
        assert_eq!(of(&all[..8], &[&all]), 4);
        assert_eq!(of(&all[..2], &[&all[..2], &all[..2], &all[..2]]), 1);
        assert_eq!(of(&[70, 71, 72], &[&[70, 71, 72], &[70, 71, 72]]), 1);
    }
}
