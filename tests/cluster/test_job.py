"""The parts of scripts/slurm/job.sh by themselves, with stand-ins for Slurm's commands: no cluster, no root."""

import os
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/slurm/job.sh"
SLURM = {"SLURM_JOB_ID": "12", "SLURM_JOB_NUM_NODES": "4", "SLURM_NTASKS": "4", "SLURM_CPUS_ON_NODE": "8", "SLURM_JOB_NODELIST": "n[1-4]"}


@pytest.fixture
def job(tmp_path):
    """Runs a few lines of shell after job.sh, in a folder with a store, and gives exit code, stdout and stderr in one."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "atlas.pw").mkdir()
    (tmp_path / "atlas.pw/manifest.json").write_text("{}")

    def command(name, script):
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    command("partwise", "exit 0")
    command("sleep", "exec /bin/sleep 0.1")

    def run(lines, **variables):
        environment = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", **SLURM, **variables}
        text = f'set -euo pipefail\n. "{SCRIPT}"\n{lines}'
        ran = subprocess.run(["bash", "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True)
        return ran.returncode, ran.stdout + ran.stderr

    run.command, run.folder = command, tmp_path
    return run


def checkpoint(folder, passes):
    (folder / "atlas.checkpoint").mkdir(exist_ok=True)
    manifest = f'{{\n  "fit": {{"k": "5"}},\n  "checkpoints": [\n    {{\n      "passes": {passes},\n "passes": 1 }} ] }}'
    (folder / "atlas.checkpoint/manifest.json").write_text(manifest)


@pytest.mark.quick
def test_arguments_follow_from_what_was_asked_of_slurm(job):
    show = 'job_init atlas.pw/ -k 5 "$@"; echo "$result|$checkpoint|$cores|${arguments[*]}"'
    assert job(show)[1] == "atlas.nmf.h5ad|atlas.nmf.checkpoint|8|-k 5 -o atlas.nmf.h5ad --checkpoint atlas.nmf.checkpoint --resume --threads 8\n"
    asked = {"SLURM_NTASKS": "8", "SLURM_CPUS_PER_TASK": "3", "SLURM_MEM_PER_NODE": "10240"}
    told = 'set -- -o r.h5ad --checkpoint=c --threads 2 --memory 1G; ' + show
    assert job(show, **asked)[1].endswith("--resume --threads 3 --memory 4608M\n")
    assert job(told, **asked)[1] == "r.h5ad|c|3|-k 5 -o r.h5ad --checkpoint=c --threads 2 --memory 1G --resume\n"
    assert job(show, SLURM_MEM_PER_CPU="1000")[1].endswith("--threads 8 --memory 7200M\n")


@pytest.mark.quick
def test_what_cannot_be_is_refused_at_once(job):
    for lines, code, words in [
        ("job_init -k 5", 2, "the store comes first"),
        ("job_init nowhere.pw -k 5", 66, "nowhere.pw: no finished store"),
        ("PARTWISE=nothing job_init atlas.pw", 66, "no program nothing"),
        ("SLURM_JOB_ID= job_init atlas.pw", 2, "sbatch"),
        ("job_init atlas.pw; STAGE=here job_stage", 2, "STAGE"),
    ]:
        got, said = job(lines)
        assert got == code and words in said, said


@pytest.mark.parametrize(
    "library, plugins, choice, launch",
    [
        ("libmpi.so.40", "pmix pmi2", "", "srun --mpi=pmix"),
        ("libmpi.so.40", "pmi2", "", "mpirun --map-by ppr:1:node:pe=8 --bind-to core"),
        ("libmpi.so.40", "pmix", "mpirun", "mpirun --map-by ppr:1:node:pe=8 --bind-to core"),
        ("libmpich.so.12", "pmix pmi2", "", "mpirun.mpich -n 4 -ppn 1 -bind-to core:8"),
        ("libmpich.so.12", "pmix pmi2", "srun", "srun --mpi=pmi2"),
        ("libc.so.6", "", "srun --mpi=cray_shasta -c 64", "srun --mpi=cray_shasta -c 64"),
    ],
)
def test_ranks_are_started_by_what_is_there(job, library, plugins, choice, launch):
    job.command("ldd", f"echo '{library} => /lib/{library}'")
    job.command("srun", f"echo 'MPI plugin types are... {plugins}'")
    job.command("mpirun", "exit 0")
    job.command("mpirun.mpich", "exit 0")
    code, said = job('job_init atlas.pw; job_launch; echo "${launch[*]}"', LAUNCH=choice)
    assert code == 0 and said.startswith(launch), said
    assert "--cpus-per-task=8" in said or not launch.startswith("srun --mpi=pm")


def test_one_rank_asks_for_no_mpi(job):
    job.command("ldd", "echo libmpi.so.40")
    assert "srun --mpi=none" in job('job_init atlas.pw; job_launch; echo "${launch[*]}"', SLURM_NTASKS="1", SLURM_JOB_NUM_NODES="1")[1]


def ends(job, code, state="RUNNING", work=":", **variables):
    job.command("scontrol", f'echo "$@" >>calls; echo "   JobState={state} Reason=None"')
    got, said = job(f"job_init atlas.pw -o atlas.h5ad; job_start; {work}; code={code}; job_end", **variables)
    calls = job.folder / "calls"
    again = calls.exists() and "requeue 12" in calls.read_text()
    calls.unlink(missing_ok=True)
    return got, again, said


@pytest.mark.quick
def test_a_job_is_queued_again_only_where_that_may_help(job):
    for code in (75, 76, 137, 143, 205, 255, 1, 9, 138):
        assert ends(job, code)[:2] == (code, True)
    for code in (2, 65, 66, 69, 70, 73, 74, 130):
        assert ends(job, code)[:2] == (code, False)
    assert ends(job, 0)[:2] == (143, True), "without a result nothing is done, whatever the launcher says"
    assert ends(job, 0, work="sleep 1; touch atlas.h5ad")[:2] == (0, False)
    for state in ("COMPLETING", "CANCELLED", "TIMEOUT"):
        got, again, said = ends(job, 75, state)
        assert (got, again) == (75, False) and "The same sbatch line goes on" in said


def test_starts_that_get_no_further_are_counted(job):
    checkpoint(job.folder, 4)
    assert ends(job, 75, SLURM_RESTART_COUNT="0")[1]
    assert ends(job, 137, SLURM_RESTART_COUNT="1")[1]
    checkpoint(job.folder, 9)
    assert ends(job, 75, SLURM_RESTART_COUNT="2")[1], "it got further"
    assert ends(job, 75, SLURM_RESTART_COUNT="3")[1]
    code, again, said = ends(job, 75, SLURM_RESTART_COUNT="4")
    assert (code, again) == (75, False) and "3 starts began at pass 9" in said
    # Slurm itself queues a job again whose node was lost: then the start finds out.
    code, again, said = ends(job, 0, SLURM_RESTART_COUNT="5")
    assert (code, again) == (76, False) and "3 starts ended before the pass after 9" in said
    assert ends(job, 75, SLURM_RESTART_COUNT="0")[1], "a job that somebody submits anew starts to count anew"


def test_a_result_written_before_the_node_was_lost_is_the_result(job):
    (job.folder / "atlas.h5ad").write_text("whole, since results are renamed into place")
    assert ends(job, 73, SLURM_RESTART_COUNT="1")[0] == 0
    assert ends(job, 73, SLURM_RESTART_COUNT="0")[0] == 73


def test_codes_that_a_launcher_hides_are_found(job):
    for line in ("application called MPI_Abort(MPI_COMM_WORLD, 65) - process 2", "with errorcode 65."):
        job.command("launcher", f"echo '{line}' >&2; exit 137")
        code, said = job("job_init atlas.pw; LAUNCH=launcher job_launch; job_run; exit $code")
        assert code == 65, said
    job.command("launcher", "exit 137")
    assert job("job_init atlas.pw; LAUNCH=launcher job_launch; job_run; exit $code")[0] == 137


def test_usr1_reaches_the_launcher_and_its_code_comes_back(job):
    job.command("launcher", "trap 'exit 75' USR1; echo up >up; while :; do /bin/sleep 0.1; done")
    lines = "job_init atlas.pw; LAUNCH=launcher job_launch; (until [ -e up ]; do :; done; kill -USR1 $$) & job_run; exit $code"
    assert job(lines)[0] == 75
    assert job("job_init atlas.pw; kill -USR1 $$; job_launch; job_run; exit $code", LAUNCH="launcher")[0] == 75, "before the run"
