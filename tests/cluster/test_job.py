"""The parts of scripts/slurm/job.sh alone, with stand-ins for Slurm's commands: no cluster, no
root."""

import os
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/slurm/job.sh"
SLURM = {"SLURM_JOB_ID": "12", "SLURM_JOB_NUM_NODES": "4", "SLURM_NTASKS": "4", "SLURM_CPUS_ON_NODE": "8", "SLURM_JOB_NODELIST": "n[1-4]"}


@pytest.fixture
def job(tmp_path):
    """Runs a few lines of shell after job.sh, in a folder with a store; returns the exit code, and
    stdout and stderr in one string."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "atlas.pw").mkdir()
    (tmp_path / "atlas.pw/manifest.json").write_text("{}")

    def command(name, script):
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    command("partwise", "exit 0")
    command("sleep", "exec /bin/sleep 0.1")
    command("lscpu", "echo 'Thread(s) per core:  1'")

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
    assert job(show, SLURM_JOB_CPUS_PER_NODE="64(x2),32")[1].endswith("--threads 32\n"), "the smallest node sets it"


@pytest.mark.quick
def test_what_cannot_be_is_refused_at_once(job):
    for lines, code, words in [
        ("job_init -k 5", 2, "the store comes first"),
        ("job_init nowhere.pw -k 5", 66, "nowhere.pw: no finished store"),
        ("PARTWISE=nothing job_init atlas.pw", 66, "no program nothing"),
        ("SLURM_JOB_ID= job_init atlas.pw", 2, "sbatch"),
        ("job_init atlas.pw; STAGE=here/there job_stage", 2, "STAGE"),
        ("job_init atlas.pw; STAGE=NOT_SET job_stage", 2, "STAGE"),
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


@pytest.mark.parametrize(
    "choice, launch",
    [
        ("mpirun.openmpi", "mpirun.openmpi --use-hwthread-cpus --map-by ppr:1:node:pe=8 --bind-to hwthread --mca"),
        ("mpirun.mpich", "mpirun.mpich -n 4 -ppn 1 -bind-to hwthread:8"),
    ],
)
def test_cores_that_slurm_counts_are_hardware_threads_on_some_machines(job, choice, launch):
    job.command("lscpu", "echo 'Thread(s) per core:  2'")
    assert job('job_init atlas.pw; job_launch; echo "${launch[*]}"', LAUNCH=choice)[1].startswith(launch)


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
    for code in (70, 75, 76, 137, 143, 205, 255, 7, 1, 9, 134, 138, 139):
        assert ends(job, code)[:2] == (code, True)
    for code in (2, 65, 66, 69, 73, 74, 130):
        assert ends(job, code)[:2] == (code, False)
    assert ends(job, 0)[:2] == (143, True), "without a result the job is not done, whatever the code of the launcher"
    assert ends(job, 0, work="sleep 1; touch atlas.h5ad")[:2] == (0, False)
    for state in ("COMPLETING", "CANCELLED", "TIMEOUT"):
        got, again, said = ends(job, 75, state)
        assert (got, again) == (75, False) and "The same sbatch line goes on" in said


def test_a_task_of_an_array_queues_itself_again_and_no_other(job):
    # The plain number of one task is that of the whole array.
    job.command("scontrol", 'echo "$@" >>calls; echo "   JobState=RUNNING Reason=None"')
    lines = "job_init atlas.pw -o atlas.h5ad; job_start; code=75; job_end"
    assert job(lines, SLURM_ARRAY_JOB_ID="12", SLURM_ARRAY_TASK_ID="3")[0] == 75
    assert (job.folder / "calls").read_text().splitlines() == ["show job 12_3", "requeue 12_3"]


def test_a_slurm_that_is_busy_is_asked_again(job):
    busy = 'echo "$@" >>calls; [ $(grep -c "$1" calls) -gt 1 ] || exit 1; echo "   JobState=RUNNING Reason=None"'
    job.command("scontrol", busy)
    code, said = job("job_init atlas.pw -o atlas.h5ad; job_start; code=75; job_end")
    assert code == 75 and "queued again" in said, said
    assert (job.folder / "calls").read_text().splitlines() == 2 * ["show job 12"] + 2 * ["requeue 12"]


@pytest.mark.parametrize("script", ["fit.sbatch", "sweep.sbatch", "array.sbatch"])
def test_scripts_find_their_parts_wherever_sbatch_copies_them(job, script):
    here = SCRIPT.parent / script
    (job.folder / "mine.sh").write_text(here.read_text())
    (job.folder / "job.sh").symlink_to(SCRIPT)
    for command in (f"{here} x.pw -o out/{{}}.h5ad", f"{job.folder}/mine.sh x.pw -o out/{{}}.h5ad"):
        job.command("scontrol", f'yes "   Command={command}" | head -n 5000')  # an array has a record for each task
        code, said = job(f"mkdir -p spool; cp {here} spool/slurm_script; bash spool/slurm_script nowhere.pw -o {{}}", SLURM_ARRAY_TASK_ID="3")
        assert code == 66 and "nowhere.pw: no finished store" in said, said


def test_tasks_of_an_array_write_to_files_of_their_own(job):
    array = f"bash {SCRIPT.parent}/array.sbatch atlas.pw"
    job.command("scontrol", "exit 1")
    for options in ("-o r.h5ad", "-o {}.h5ad --trace t.csv", "-o {}.h5ad --checkpoint=c"):
        code, said = job(f"{array} {options}", SLURM_ARRAY_TASK_ID="3")
        assert code == 2 and "needs {} in its name" in said, said


def staged(job, lines="job_stage; echo store=$store", **variables):
    job.command("srun", 'while case $1 in --*) true ;; *) false ;; esac; do shift; done; exec "$@"')
    job.command("scontrol", 'echo "$@" >>calls; echo "   JobState=RUNNING Reason=None"')
    return job(f"job_init atlas.pw -o atlas.h5ad; job_start; {lines}", STAGE="SCRATCH", SCRATCH=f"{job.folder}/scratch", **variables)


def test_a_store_is_staged_and_what_killed_jobs_left_there_removed(job):
    scratch = job.folder / "scratch"
    for number in (7, 9, 15):
        (scratch / f"partwise-{number}").mkdir(parents=True)
    job.command("squeue", "echo 9; echo 12")
    code, said = staged(job, "job_stage; ls $store; ls scratch")
    assert code == 0 and said.endswith("manifest.json\npartwise-12\npartwise-15\npartwise-9\n"), said
    assert sorted(path.name for path in scratch.iterdir()) == ["partwise-15", "partwise-9"]
    job.command("squeue", "exit 1")
    assert staged(job)[0] == 0
    assert (scratch / "partwise-9").exists(), "without an answer of Slurm no copy is known to be left over"


def test_a_disk_that_is_full_stops_the_job_and_a_signal_while_it_copies_does_not(job):
    job.command("df", "echo; echo / 1 1 0")
    code, said = staged(job)
    assert code == 74 and "0 MiB free" in said and "could not be staged" in said, said
    job.command("df", "echo; echo / 1 1 1000000")
    job.command("cp", "echo copying >copying; exec /bin/sleep 3")
    code, said = staged(job, "(until [ -e copying ]; do :; done; kill -USR1 $$) & job_stage")
    assert code == 75 and "queued again: it was asked to stop while the store was copied" in said, said
    job.command("cp", "kill -9 $PPID")
    code, said = staged(job)
    assert code == 137 and "queued again: the store could not be staged" in said, said
    assert not [*(job.folder / "scratch").iterdir()]


def test_starts_that_get_no_further_are_counted(job):
    checkpoint(job.folder, 4)
    assert ends(job, 75, SLURM_RESTART_COUNT="0")[1]
    assert ends(job, 137, SLURM_RESTART_COUNT="1")[1]
    checkpoint(job.folder, 9)
    assert ends(job, 75, SLURM_RESTART_COUNT="2")[1], "it got further"
    assert ends(job, 75, SLURM_RESTART_COUNT="3")[1]
    code, again, said = ends(job, 75, SLURM_RESTART_COUNT="4")
    assert (code, again) == (75, False) and "3 starts began at pass 9" in said and "--signal" in said
    # Slurm itself queues a job again after a lost node: then the start counts.
    code, again, said = ends(job, 0, SLURM_RESTART_COUNT="5")
    assert (code, again) == (76, False) and "3 starts ended before they got beyond pass 9" in said
    assert ends(job, 75, SLURM_RESTART_COUNT="0")[1], "a newly submitted job starts to count anew"


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


@pytest.mark.quick
def test_a_sweep_goes_on_from_its_folder(job):
    show = 'verb=sweep; job_init atlas.pw/ -k 5 "$@"; echo "$result|$starts|${arguments[*]}"'
    assert job(show)[1] == "atlas.sweep|atlas.sweep.starts|-k 5 -o atlas.sweep --threads 8\n"
    assert job("set -- -o s.sweep/ --threads 2; " + show)[1] == "s.sweep|s.sweep.starts|-k 5 -o s.sweep/ --threads 2\n"

    def ends(code, work=":", restarts=0):
        job.command("scontrol", 'echo "   JobState=RUNNING Reason=None"')
        lines = f"verb=sweep; job_init atlas.pw -k 5; job_start; {work}; code={code}; job_end"
        got, said = job(lines, SLURM_RESTART_COUNT=str(restarts))
        return got, "queued again" in said, said

    replicates = job.folder / "atlas.sweep/replicates"
    replicates.mkdir(parents=True)
    (replicates / "k5.from0.h5ad").touch()
    assert ends(75)[:2] == (75, True)
    assert ends(137, restarts=1)[:2] == (137, True)
    (replicates / "k5.from20.h5ad").touch()
    assert ends(75, restarts=2)[1] and ends(75, restarts=3)[1], "it got further"
    code, again, said = ends(75, restarts=4)
    assert (code, again) == (75, False) and "3 starts began at 2 groups of replicates and 0 passes of others" in said
    # Passes of replicates that are under way count, too.
    for replicate, passes in (("k5.from40", 7), ("k6.from0", 12)):
        unfinished = job.folder / "atlas.sweep/unfinished" / replicate
        unfinished.mkdir(parents=True)
        (unfinished / "manifest.json").write_text(f'{{"checkpoints": [{{"passes": {passes}}}, {{"passes": 1}}]}}')
    code, again, said = ends(75, restarts=5)
    assert (code, again) == (75, True) and "goes on from 2 groups of replicates and 19 passes of others" in said
    # The folder of other data is no result of this job.
    assert ends(73)[:2] == (73, False)
    assert ends(0)[:2] == (143, True), "without its table the sweep is not done"
    assert ends(0, work="sleep 1; touch atlas.sweep/stability.csv")[:2] == (0, False)
    assert not (job.folder / "atlas.sweep.starts").exists()
    assert job("verb=sweep; job_init atlas.pw -k 5; job_stage", STAGE="/scratch")[0] == 2
