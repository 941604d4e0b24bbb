"""mpirun over four virtual hosts: the result of one process, and the promises for every failure."""

import contextlib
import json
import os
import signal
import time

import pytest
from conftest import digest, simulate
from lab import until

# Exit codes of a launcher whose ranks were killed, or whose host is gone.
KILLED = {"openmpi": {137}, "mpich": {9, 137, 255}}
LOST = {"openmpi": {205, 76, 137}, "mpich": {7, 9, 76, 137, 255}}


@pytest.fixture
def fit(mpi, hosts, short, tmp_path):
    """Fits the store on some of the hosts, one thread a rank, with a checkpoint every few
    passes."""

    class Fit:
        result, checkpoint, folder = tmp_path / "result.h5ad", tmp_path / "checkpoint", tmp_path

        def arguments(self, *extra, store=short.store):
            files = ["-o", self.result, "--checkpoint", self.checkpoint, "--checkpoint-every", "4", "--resume"]
            return ["fit", store, *short.options, "--threads", "1", "--memory", "512M", "--quiet", *files, *extra]

        def start(self, names=hosts.names, *extra):
            return hosts.start(names[0], mpi.command(hosts, (names, self.arguments(*extra))), tmp_path)

        def under_way(self, run):
            until(60, lambda: f"no checkpoint\n{run.said}", (self.checkpoint / "manifest.json").exists)

        def goes_on(self, ranks):
            """Checks that a new start with other ranks continues, and ends with the bits of one
            process."""
            run = self.start(hosts.names[:ranks], "--json")
            assert run.ends(120) == 0, run.out.read_text() + run.said
            said = json.loads(run.out.read_text())
            assert said["resumed_from_pass"] > 0 and said["ranks"] == ranks
            assert said["digest"] == digest(self.result) == short.digest

    return Fit()


def the_line(run):
    """The one line that the program prints when it fails."""
    lines = [line for line in run.said.splitlines() if line.startswith("partwise")]
    assert len(lines) == 1, run.said
    return lines[0]


@pytest.mark.quick
def test_four_hosts_end_on_the_digest_of_one_process(fit, short, hosts):
    ends_as_one(fit, short, hosts.names)


def test_hosts_with_two_ranks_each_end_on_the_digest_of_one_process(fit, short, hosts):
    ends_as_one(fit, short, sorted(hosts.names[:2] * 2))


def ends_as_one(fit, short, names):
    """Checks that four ranks succeed, with the result of one process."""
    run = fit.start(names, "--json")
    assert run.ends(120) == 0, run.out.read_text() + run.said
    said = json.loads(run.out.read_text())
    assert (said["ranks"], len(said["rows_per_rank"]), sum(said["rows_per_rank"])) == (4, 4, said["cells"])
    assert said["digest"] == digest(fit.result) == short.digest
    run.leaves_nothing()


@pytest.mark.quick
def test_a_store_that_one_node_lacks_is_reported_with_node_and_path(fit, short, hosts, tmp_path):
    lacking = hosts.names[2]
    (tmp_path / "empty").mkdir()
    hosts.do("bind", lacking, tmp_path / "empty", short.store.parent)
    try:
        run = fit.start()
        assert run.ends(20) == 66, run.said
    finally:
        hosts.do("unbind", lacking)
    assert lacking in the_line(run) and str(short.store) in the_line(run)
    assert not fit.result.exists()
    run.leaves_nothing()


def test_ranks_with_different_arguments_are_refused(fit, mpi, hosts):
    two, others = hosts.names[:2], hosts.names[2:]
    command = mpi.command(hosts, (two, fit.arguments()), (others, fit.arguments("--scale", "std")))
    run = hosts.start(hosts.names[0], command, fit.folder)
    assert run.ends(20) == 2, run.said
    assert "argument" in the_line(run)
    assert not fit.result.exists() and not fit.checkpoint.exists()
    run.leaves_nothing()


def test_more_ranks_than_blocks_are_refused_with_the_largest_useful_number(fit, mpi, hosts, tmp_path):
    store = simulate(mpi.binary, tmp_path, 2_000)  # two blocks
    run = hosts.start(hosts.names[0], mpi.command(hosts, (hosts.names, fit.arguments(store=store))), tmp_path)
    assert run.ends(20) == 2, run.said
    assert " 2 " in the_line(run) and " 4 " in the_line(run)
    run.leaves_nothing()


@pytest.mark.quick
def test_a_killed_rank_ends_the_job_and_the_next_goes_on(fit, mpi, hosts):
    run = fit.start()
    fit.under_way(run)
    os.kill(hosts.on(hosts.names[2], str(fit.folder))[0], signal.SIGKILL)
    assert run.ends(20) in KILLED[mpi.name], run.said
    run.leaves_nothing()
    fit.goes_on(3)


def test_a_frozen_rank_is_found_by_the_watchdog(fit, hosts):
    run = fit.start(hosts.names, "--watchdog", "4")
    fit.under_way(run)
    os.kill(hosts.on(hosts.names[1], str(fit.folder))[0], signal.SIGSTOP)
    assert run.ends(25) == 76, run.said
    run.leaves_nothing()
    fit.goes_on(2)


def test_a_host_that_loses_power_ends_the_job(fit, mpi, hosts):
    run = fit.start(hosts.names, "--watchdog", "8")
    fit.under_way(run)
    hosts.do("kill", hosts.names[3])
    assert run.ends(30) in LOST[mpi.name], run.said
    run.leaves_nothing()
    fit.goes_on(3)


def test_a_cut_cable_ends_the_job_on_both_sides(fit, mpi, hosts):
    # Longer than mpirun takes to detect the lost host: it would wait for minutes to end ranks
    # there.
    run = fit.start(hosts.names, "--watchdog", "20")
    fit.under_way(run)
    hosts.do("cut", hosts.names[3])
    try:
        assert run.ends(40) in LOST[mpi.name], run.said
        run.leaves_nothing(20)
    finally:
        hosts.do("heal", hosts.names[3])
    fit.goes_on(3)


@pytest.mark.quick
def test_usr1_leaves_a_checkpoint_that_two_ranks_continue(fit, mpi, hosts):
    run = fit.start()
    fit.under_way(run)
    if mpi.name == "openmpi":
        run.send(signal.SIGUSR1)
    else:  # MPICH's mpirun 4.0 loses the exit code when it forwards a signal, so users signal a rank
        os.kill(hosts.on(hosts.names[2], str(fit.folder))[0], signal.SIGUSR1)
    assert run.ends(20) == 75, run.said
    assert not fit.result.exists()
    run.leaves_nothing()
    fit.goes_on(2)


@pytest.mark.quick
def test_a_rank_that_hears_term_again_and_again_leaves_a_checkpoint(fit, hosts):
    # srun sends it to all, and again to the rest as soon as one has ended.
    run = fit.start(hosts.names[:2])
    fit.under_way(run)
    (rank,) = hosts.on(hosts.names[1], str(fit.folder))
    with contextlib.suppress(ProcessLookupError):
        for _ in range(20_000):
            os.kill(rank, signal.SIGTERM)
            time.sleep(0.001)
    assert run.ends(20) == 75, run.said
    run.leaves_nothing()


def test_term_to_the_launcher_ends_everything_and_the_next_goes_on(fit, mpi, hosts):
    run = fit.start()
    fit.under_way(run)
    run.send(signal.SIGTERM)
    # MPICH's mpirun may end with 0 although every rank ended with 75: the missing result shows it.
    assert run.ends(20) != 0 or mpi.name == "mpich", run.said
    assert not fit.result.exists()
    run.leaves_nothing()
    fit.goes_on(4)
