"""The batch scripts on a Slurm of four nodes: a job ends with the digest of one process, or reports
why not, whatever happens to it."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
from conftest import digest
from lab import REPOSITORY, anything, until

SCRIPTS = REPOSITORY / "scripts/slurm"


@pytest.fixture
def fit(slurm, job, tmp_path):
    """Submits fits of the job's store and watches them."""

    class Fit:
        result, folder, log, number = tmp_path / "result.h5ad", tmp_path, None, None

        def submit(self, sbatch, *extra, script="fit.sbatch", store=job.store, options=job.options, result="result.h5ad", **variables):
            options = " ".join(map(str, [*options, "--memory", "512M", "--checkpoint-every", "4", "-o", result, *extra]))
            self.number = slurm.submit(f"--exclusive {sbatch} {SCRIPTS / script} {store} {options}", tmp_path, **variables)
            self.log = tmp_path / f"partwise-{self.number}.out"
            return self

        @property
        def said(self):
            return self.log.read_text(errors="replace") if self.log.exists() else ""

        def under_way(self):
            until(60, lambda: f"no checkpoint\n{self.said}", (tmp_path / "result.checkpoint/manifest.json").exists)

        def ends(self, state="COMPLETED", code=0, seconds=150):
            got = slurm.ends(self.number, seconds, self.log)
            assert got[0] == state and code in (got[1], None), f"{got}\n{self.said}"

        def nodes(self):
            """The nodes of each start."""
            return re.findall(r"cores on (\S+)", self.said)

        def is_done(self, starts):
            """Checks that the job took that many starts, that each but the first went on from a
            checkpoint, and that it ended with the digest of one process."""
            self.ends()
            began = [int(number) for number in re.findall(r"checkpoint \S+ \(pass (\d+)\)", self.said)]
            assert len(began) == starts and began == sorted(set(began)), self.said
            assert digest(self.result) == job.digest
            assert not (tmp_path / "result.checkpoint.starts").exists()

    return Fit()


@pytest.mark.quick
def test_a_job_that_nobody_disturbs(fit, slurm):
    fit.submit("-N 4").is_done(starts=1)
    assert re.search(r"4 ranks × \d+ cores", fit.said) and "srun --mpi=pmix" in fit.said


def test_a_job_started_by_mpirun_from_stores_on_the_nodes_own_disks(fit, slurm):
    fit.submit("-N 3", LAUNCH="mpirun", STAGE=slurm.folder / "local").is_done(starts=1)
    assert "running: mpirun --map-by ppr:1:node:pe=" in fit.said and re.search(r"fit \S+/local/partwise-\d+/counts.pw", fit.said)
    assert not [*(slurm.folder / "disk").glob("*/*")], "copies are removed at the end"


def test_a_preempted_job_is_queued_again_and_goes_on(fit, slurm):
    fit.submit("-N 4").under_way()
    assert sorted(slurm.run("srun -p urgent -N 4 hostname", fit.folder).stdout.split()) == slurm.names
    fit.is_done(starts=2)
    assert "queued again: it was asked to stop" in fit.said


def test_a_preempted_sweep_is_queued_again_and_goes_on(job, openmpi, slurm, tmp_path):
    ask = ["-k", "8..11", "--replicates", "20", "--hvg", "60", "--tol", "0", "--max-passes", "40", "--no-meet"]
    alone = [openmpi.binary, "sweep", job.store, *ask, "-o", tmp_path / "alone.sweep", "--json", "--quiet"]
    want = json.loads(subprocess.run(list(map(str, alone)), check=True, capture_output=True, text=True).stdout)
    number = slurm.submit(f"--exclusive -N 2 {SCRIPTS / 'sweep.sbatch'} {job.store} {' '.join(ask)} -o all.sweep --json --checkpoint-every 1", tmp_path)
    log, folder = tmp_path / f"partwise-{number}.out", tmp_path / "all.sweep"
    said = lambda: log.read_text(errors="replace") if log.exists() else ""
    states = lambda: folder.glob("unfinished/k*/state-*.bin")
    until(90, said, lambda: any(int(state.stem.removeprefix("state-")) >= 3 for state in states()))
    slurm.run("srun -p urgent -N 4 hostname", tmp_path)
    assert slurm.ends(number, 150, log)[0] == "COMPLETED", said()
    assert "queued again: it was asked to stop" in said() and "80 replicates go on from where they were stopped" in said()
    assert want["digest"] in said() and not (folder / "unfinished").exists()
    assert (folder / "stability.csv").read_bytes() == (tmp_path / "alone.sweep/stability.csv").read_bytes()


def test_a_job_at_its_time_limit_is_queued_again_and_goes_on(fit, slurm):
    # Slurm checks limits twice a minute, so the signal comes within half a minute. The ranks are
    # stopped until then.
    fit.submit("-N 2 -t 1 --signal=B:USR1@50").under_way()
    ranks = [pid for name in slurm.names for pid in slurm.on(name, str(fit.result.name))]
    for pid in ranks:
        os.kill(pid, signal.SIGSTOP)
    until(60, lambda: fit.said, lambda: "USR1: asking the ranks" in fit.said)
    for pid in ranks:
        os.kill(pid, signal.SIGCONT)
    fit.ends()
    assert "ended with exit code 75" in fit.said and "queued again: it was asked to stop" in fit.said
    fit.is_done(starts=len(fit.nodes()))
    assert len(fit.nodes()) >= 2


def test_a_job_that_loses_a_node_goes_on_with_others(fit, slurm):
    fit.submit("-N 3").under_way()
    lost = slurm.names[2]
    slurm.do("kill", lost)
    try:
        fit.is_done(starts=2)
        first, second = fit.nodes()
        assert first.endswith("[1-3]") and second.endswith("[1-2,4]")
    finally:
        slurm.do("start", lost)
        until(30, "the node is back", lambda: lost not in slurm.run("sinfo -h -N -t down,drain,unknown,no_respond -o %N", fit.folder).stdout)


def test_a_job_whose_rank_is_killed_or_frozen_goes_on(fit, slurm):
    fit.submit("-N 2", "--watchdog", "5").under_way()
    on = lambda: slurm.on(slurm.names[1], str(fit.result.name))
    os.kill(on()[0], signal.SIGKILL)
    until(60, lambda: fit.said, lambda: len(fit.nodes()) == 2 and on())
    # srun sends TERM to the others. They wait for a sign of life from the dead one until srun kills
    # them or the watchdog ends the job, whichever is first.
    assert re.search("ended with exit code (137|76) ", fit.said), fit.said
    began = int(re.findall(r"\(pass (\d+)\)", fit.said)[-1])
    until(60, lambda: fit.said, lambda: newest(fit) > began)
    os.kill(on()[0], signal.SIGSTOP)
    fit.is_done(starts=3)
    assert "ended with exit code 76" in fit.said and "queued again: the watchdog" in fit.said


def newest(fit):
    """The pass of the newest checkpoint."""
    return int(re.search(r'"passes"\s*:\s*(\d+)', (fit.folder / "result.checkpoint/manifest.json").read_text())[1])


def test_a_store_that_one_node_lacks_stops_the_job_with_66(fit, slurm, job):
    lacking = slurm.names[3]
    (fit.folder / "empty").mkdir()
    # Ranks have the file systems of slurmd.
    (slurmd,) = (pid for pid in anything(f"slurmd\0-D\0-N\0{lacking}\0") if (pathlib.Path(f"/proc/{pid}/comm").read_text() == "slurmd\n"))
    space = ["nsenter", "-t", str(slurmd), "-m"]
    subprocess.run([*space, "mount", "--bind", fit.folder / "empty", job.store.parent], check=True)
    try:
        fit.submit("-N 4").ends("FAILED", 66)
    finally:
        subprocess.run([*space, "umount", job.store.parent], check=True)
    lines = [line for line in fit.said.splitlines() if line.startswith("partwise")]
    assert len(lines) == 1 and lacking in lines[0] and str(job.store) in lines[0], fit.said
    assert "stopped (exit code 66)" in fit.said and len(fit.nodes()) == 1


def test_errors_that_would_come_again_stop_the_job(fit, slurm):
    fit.result.write_text("somebody's")
    fit.submit("-N 2").ends("FAILED", 73)
    assert "stopped (exit code 73)" in fit.said and fit.result.read_text() == "somebody's"
    fit.result.unlink()
    fit.submit("-N 2", options=["-k", "0"]).ends("FAILED", 2)
    fit.submit("-N 2", store="nowhere.pw").ends("FAILED", 66)
    assert "nowhere.pw: no finished store on" in fit.said


def test_a_job_that_gets_no_further_stops(fit, slurm):
    program = fit.folder / "partwise"
    program.write_text("#!/bin/sh\necho 'asked to stop at once' >&2\nexit 75\n")
    program.chmod(0o755)
    fit.submit("-N 1", PARTWISE=program, TRIES=2).ends("FAILED", 75)
    assert len(fit.nodes()) == 2 and "2 starts began at pass 0 and got no further" in fit.said


def test_a_cancelled_job_stays_away(fit, slurm):
    fit.submit("-N 2").under_way()
    slurm.run(f"scancel {fit.number}", fit.folder)
    fit.ends("CANCELLED", code=None)
    time.sleep(1)
    assert slurm.state(fit.number) == "CANCELLED"
    assert "queued again" not in fit.said and "The same sbatch line goes on from pass" in fit.said
    fit.submit("-N 4").is_done(starts=1)


def test_an_array_needs_no_mpi_and_survives_preemption(fit, slurm, job, openmpi):
    options = [*job.options]
    options[options.index("--seed") + 1] = "{}"
    fit.submit("--array=7,8", script="array.sbatch", options=options, result="seed{}.h5ad")
    logs = {seed: fit.folder / f"partwise-{fit.number}_{seed}.out" for seed in (7, 8)}
    for seed in logs:
        until(60, logs[seed].read_text, (fit.folder / f"seed{seed}.checkpoint/manifest.json").exists)
    slurm.run("srun -p urgent -N 4 hostname", fit.folder)
    for seed, log in logs.items():
        until(150, log.read_text, lambda: "== done" in log.read_text())
        assert "start 2" in log.read_text()
    assert digest(fit.folder / "seed7.h5ad") == job.digest != digest(fit.folder / "seed8.h5ad")
