"""Programs built against each MPI, hosts to run them on, and a fit long enough to disturb.

PARTWISE_OPENMPI and PARTWISE_MPICH name the programs; `scripts/test-cluster` builds them and sets
both.
"""

import json
import os
import pathlib
import subprocess
from dataclasses import dataclass

import h5py
import pytest

import lab

HOSTS = 4
# A fit of some seconds: it makes every pass, none of them costs much, and it does not wait for a
# sample.
FIT = ["-k", "16", "--seed", "7", "--init", "random", "--solver", "hals", "--tol", "0", "--max-passes"]


def pytest_configure(config):
    config.addinivalue_line("markers", "quick: one case of each kind, for every run of scripts/test")


@dataclass
class Mpi:
    """One MPI library: its program, and the command that starts ranks on virtual hosts."""

    name: str
    binary: pathlib.Path

    def command(self, hosts, *groups):
        """A command line that runs `partwise ARGUMENTS` for each group, (names of hosts,
        arguments), with a rank on each of its hosts."""
        agent = lab.SCRIPTS / "vhosts-rsh"
        names = [name for group, _ in groups for name in group]
        if self.name == "mpich":
            # Debian's MPICH uses UCX, which needs the name of the network to the others.
            launcher = (
                f"exec env UCX_TLS=self,tcp UCX_NET_DEVICES=eth0 mpirun.mpich -launcher rsh -launcher-exec {agent} -iface eth0 "
                f"-hosts {','.join(names)}"
            )
        else:
            launcher = (
                f"exec mpirun.openmpi --allow-run-as-root --mca plm_rsh_agent {agent} --mca btl self,vader,tcp "
                f"--mca oob_tcp_if_include {hosts.net}.0/24 --mca btl_tcp_if_include {hosts.net}.0/24 "
                # Gives up a node with a cut cable after 5 + 3 · 2 seconds.
                "--mca oob_tcp_keepalive_time 5 --mca oob_tcp_keepalive_intvl 2 --mca oob_tcp_keepalive_probes 3 "
                # All hosts share the machine's cores: a rank that waits must leave its core to the
                # others.
                f"--mca mpi_yield_when_idle 1 --bind-to none --host {','.join(names)}"
            )
        return f"{launcher} " + " : ".join(f"-np {len(group)} {self.binary} {' '.join(map(str, words))}" for group, words in groups)


def binary(name):
    path = os.environ.get(f"PARTWISE_{name.upper()}")
    if not path:
        pytest.skip(f"PARTWISE_{name.upper()} is not set: scripts/test-cluster builds the program against {name}")
    return pathlib.Path(path).resolve()


@pytest.fixture(scope="session", params=["openmpi", "mpich"])
def mpi(request):
    return Mpi(request.param, binary(request.param))


@pytest.fixture(scope="session")
def openmpi():
    return Mpi("openmpi", binary("openmpi"))


@pytest.fixture(scope="session")
def hosts():
    made = lab.Hosts("pwtest", "10.81.0", HOSTS)
    yield made
    made.do("down")


@pytest.fixture(scope="session")
def slurm(openmpi, tmp_path_factory):
    path = f"{openmpi.binary.parent}:{os.environ['PATH']}"
    made = lab.Slurm("pwslurm", "10.82.0", HOSTS, tmp_path_factory.mktemp("slurm") / "lab", path)
    yield made
    made.do("down")


@dataclass
class Job:
    """A store, the options of a fit of it, and the digest of that fit by one process alone."""

    store: pathlib.Path
    passes: int
    digest: str

    @property
    def options(self):
        return [*FIT, str(self.passes)]


def one_process(program, store, passes):
    result = store.parent / "alone.h5ad"
    command = [program, "fit", store, *FIT, str(passes), "--threads", "2", "-o", result, "--json", "--force"]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return said["digest"], said["seconds"]


def simulate(program, folder, cells):
    source, store = folder / "counts.h5ad", folder / "counts.pw"
    data = ["--kind", "counts", "--cells", str(cells), "--genes", "2000", "--programs", "12"]
    subprocess.run([program, "simulate", *data, "-o", source], check=True, capture_output=True)
    subprocess.run([program, "convert", source, "-o", store, "--block-rows", "1024"], check=True, capture_output=True)
    source.unlink()
    return store


@pytest.fixture(scope="session")
def lasting(openmpi, tmp_path_factory):
    """Gives fits that take about so many seconds on this machine, whatever its speed, so that a
    test can disturb them."""
    store = simulate(openmpi.binary, tmp_path_factory.mktemp("data"), 40_000)
    _, took = one_process(openmpi.binary, store, 10)

    def fit(seconds):
        passes = max(20, round(10 * seconds / took))
        return Job(store, passes, one_process(openmpi.binary, store, passes)[0])

    return fit


@pytest.fixture(scope="session")
def job(lasting):
    """For Slurm: long enough to be running when a signal comes."""
    return lasting(8)


@pytest.fixture(scope="session")
def short(lasting):
    """For mpirun."""
    return lasting(3)


def digest(result):
    """The digest in a result."""
    with h5py.File(result) as file:
        value = file["uns/nmf/digest"][()]
    return value.decode() if isinstance(value, bytes) else value
