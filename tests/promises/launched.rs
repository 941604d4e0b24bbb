//! A program built without MPI refuses to run as several processes, which would all write the same
//! result.
#![cfg(not(feature = "mpi"))]

use crate::program::Folder;

#[test]
fn several_processes_are_refused_without_mpi() {
    let folder = Folder::new();
    folder.npy("x.npy", 8, 3, &[1.0; 24]);
    let launchers = [
        ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
        ("PMI_SIZE", "PMI_RANK"),
        ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    ];
    for (size, rank) in launchers {
        let ran = folder.run_with("fit x.npy -k 2", &[(size, "2"), (rank, "0")]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(69), ""), "{size}\n{}", ran.stderr);
        assert!(ran.stderr.contains("--features mpi") && ran.stderr.lines().count() == 1, "{}", ran.stderr);
        // Only one of them prints the line.
        let other = folder.run_with("fit x.npy -k 2", &[(size, "2"), (rank, "1")]);
        assert_eq!((other.code, other.stderr.as_str()), (Some(69), ""), "{size}");
        assert_eq!(folder.run_with("fit --help", &[(size, "2"), (rank, "0")]).code, Some(0), "{size}");
        assert_eq!(folder.names(), ["x.npy"], "{size}");
    }
    // A single process runs, even under a launcher.
    let alone = folder.run_with("fit x.npy -k 2", &[("OMPI_COMM_WORLD_SIZE", "1"), ("OMPI_COMM_WORLD_RANK", "0")]);
    assert_eq!(alone.code, Some(0), "{}", alone.stderr);
}
