//! Detects whether an MPI launcher has started this process together with others.

/// The launchers: the name of the command, and its environment variables for the number of
/// processes and for the rank of this one. The first launcher whose variables are set has started
/// the process; a launcher that runs inside the job of another one comes before it.
const LAUNCHERS: [(&str, &str, &str); 3] = [
    (OPEN_MPI, "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("mpiexec", "PMI_SIZE", "PMI_RANK"),
    (SLURM, "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
];
const OPEN_MPI: &str = "mpirun";
const SLURM: &str = "srun";

/// A launcher that has started several processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Launcher {
    /// The command.
    pub(super) name: &'static str,
    /// The number of processes that it has started.
    pub(super) size: usize,
    /// The rank of this process.
    pub(super) rank: usize,
}

impl Launcher {
    /// The launcher of this process, if it has started at least two.
    pub(crate) fn found() -> Option<Self> {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let number = |name: &str| variable(name).and_then(|text| text.trim().parse::<usize>().ok());
        let (name, size, rank) = LAUNCHERS.into_iter().find_map(|(name, size, rank)| {
            let size = number(size)?;
            Some((name, size, number(rank).unwrap_or(0)))
        })?;
        (size > 1).then_some(Launcher { name, size, rank })
    }

    /// Whether this process prints for all of them, before MPI has started.
    pub(crate) fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// Whether it binds a process to one core by default.
    pub(super) fn binds_to_one_core(&self) -> bool {
        self.name == OPEN_MPI
    }

    /// The remedy if MPI does not see the other processes.
    pub(super) fn remedy(&self) -> &'static str {
        match self.name {
            SLURM => "start it with srun --mpi=pmix (srun --mpi=list shows the choices), or with mpirun",
            _ => "start it with the mpirun of the MPI library that partwise was built with (scripts/install-mpi)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)]) -> Option<Launcher> {
        Launcher::of(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into()))
    }

    #[test]
    fn only_several_processes_are_a_world() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("OMPI_COMM_WORLD_SIZE", "1"), ("OMPI_COMM_WORLD_RANK", "0")]), None);
        let slurm = of(&[("SLURM_STEP_NUM_TASKS", "4"), ("SLURM_PROCID", "2")]);
        assert_eq!(slurm, Some(Launcher { name: "srun", size: 4, rank: 2 }));
        let mpich = of(&[("PMI_SIZE", "2"), ("PMI_RANK", "1"), ("SLURM_STEP_NUM_TASKS", "8")]);
        assert_eq!(mpich, Some(Launcher { name: "mpiexec", size: 2, rank: 1 }));
    }

    #[test]
    fn the_nearest_launcher_decides() {
        let alone_in_a_step = [("OMPI_COMM_WORLD_SIZE", "1"), ("SLURM_STEP_NUM_TASKS", "4"), ("SLURM_PROCID", "3")];
        assert_eq!(of(&alone_in_a_step), None);
        assert_eq!(of(&[("PMI_SIZE", "many")]), None);
    }
}
