"""The comparison with peers runs to its end and keeps its figures. Figures of this size mean
nothing."""

import csv
import os
import subprocess
import sys

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse as sparse
from conftest import REPOSITORY, relative_error
from sklearn.decomposition import NMF, MiniBatchNMF

sys.path.insert(0, str(REPOSITORY / "scripts"))
from peers import clock  # noqa: E402
from peers.others import lognormal  # noqa: E402

SMALL = ["--quick", "--cells", 900, "--genes", 300, "-k", 4, "--limit", 1, "--without-rcppml", "--without-bixverse"]


@pytest.fixture
def bench(partwise):
    """Runs the comparison, without real files; gives the folder of its record, and its output."""
    environment = dict(os.environ, PYTHONPATH=str(REPOSITORY / "scripts"), PARTWISE_BIN=str(partwise.binary))
    environment["PARTWISE_DATA"] = str(partwise.path("nothing"))
    folder = partwise.path("record")

    def run(*arguments):
        command = [sys.executable, "-m", "peers", *map(str, (*SMALL, *arguments, "--record", folder))]
        ran = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return folder, ran.stdout + ran.stderr

    return run


def table(folder, ending):
    return list(csv.DictReader(next(folder.glob(f"*{ending}")).read_text().splitlines()))


def test_passes_are_compared_and_kept(bench):
    folder, _ = bench("--only", "products,threads,several")
    rows = table(folder, "-peers.csv")
    assert {row["part"] for row in rows} == {"products", "threads", "several", "memory"}
    assert all(float(row["value"]) > 0 for row in rows if row["part"] == "products")
    assert "scikit-learn 1" in next(folder.glob("*-peers.txt")).read_text()


def test_packing_is_measured_by_the_depth_of_cells(bench):
    folder, _ = bench("--only", "packing")
    rows = [row for row in table(folder, "-packing.csv") if row["part"] == "packing"]
    sizes = [row for row in rows if row["figure"] == "size of the store"]
    assert [row["data"].split()[0] for row in sizes] == ["deep", "shallow", "open"]
    filled = [int(row["note"].split()[0]) / int(row["data"].split("x")[1]) for row in sizes]
    # A twentieth, a fortieth and a hundredth; small data have less of the rare genes.
    assert filled == sorted(filled, reverse=True) and 0.004 < filled[2] < 0.02, filled
    # Floats of 32 bits with their rows would take more than 5 bytes.
    assert all(0.5 < float(row["value"]) < 5 for row in sizes)
    assert sum(row["unit"] == "ns/nnz" and float(row["value"]) > 0 for row in rows) == 3


@pytest.mark.long
def test_the_race_is_run_to_the_end_of_all_and_kept(bench):
    folder, said = bench("--only", "race,whole", "--data", "lognormal:4,real")
    assert "skipped: there are no real counts" in said
    rows, traces = (table(folder, ending) for ending in ("-peers.csv", "-peers-traces.csv"))
    assert {row["data"] for row in rows if row["part"] != "memory"} == {"lognormal counts 900x300, 4 mixed programs"}
    # The lowest error is the lowest of all, and each program comes down from far above it.
    found = {}
    for row in traces:
        found.setdefault(row["who"], []).append(float(row["relative_error"]))
    assert set(found) > {"partwise", "scikit-learn CD", "scikit-learn MiniBatchNMF", "partwise, 1 thread"}
    assert any(who.startswith("scikit-learn CD") and who.endswith("1 thread") for who in found)
    figures = {row["figure"]: row for row in rows}
    best = float(figures["lowest relative error known"]["value"])
    assert best == pytest.approx(min(map(min, found.values())), rel=1e-3)
    assert found["scikit-learn CD"][0] > best * 1.05
    # Coordinate descent goes on to where its own rule stops it, far below the target.
    assert "by its own rule" in figures["scikit-learn CD ends above best by"]["note"]
    assert float(figures["scikit-learn CD ends above best by"]["value"]) < 0.01
    assert float(figures["to best + 0.1%, one thread each, faster than scikit-learn CD"]["value"]) > 0
    assert float(figures["gzip h5ad to result, faster than anndata + scikit-learn"]["value"]) > 0
    assert 2 <= float(figures["partwise by itself to best + 0.01%"]["value"])
    # The targets hold for one size of data only.
    for figure in ("to best + 0.1%, faster than scikit-learn CD", "partwise by itself to best + 0.01%"):
        assert not figures[figure]["target"]
    assert "scikit-learn CD" in next(folder.glob("*-peers.svg")).read_text()


@pytest.fixture
def mixed(tmp_path):
    """A small file of mixed programs, and its values."""
    x = lognormal.simulate(700, 200, 3, 1)
    anndata.AnnData(x).write_h5ad(tmp_path / "mixed.h5ad")
    return tmp_path / "mixed.h5ad", x


def watched(path, solver, limit):
    """The lines of a peer's process."""
    lines, job = [], dict(path=str(path), scale="none", k=3, seed=0, solver=solver, init="random", limit=limit)
    clock.python("scikit", job, lines.append)
    return lines


@pytest.mark.parametrize(
    "solver, unwatched",
    [
        ("cd", NMF(3, solver="cd", init="random", random_state=0, max_iter=10_000)),
        ("minibatch", MiniBatchNMF(3, init="random", random_state=0, max_iter=10_000, transform_max_iter=200)),
    ],
)
def test_a_watched_peer_ends_where_an_unwatched_one_does(mixed, solver, unwatched):
    path, x = mixed
    *_, last, end = watched(path, solver, 60)
    w = unwatched.fit_transform(x)
    if solver == "minibatch":
        w = unwatched.transform(x)
    error = relative_error(x.astype("f8"), w.astype("f8"), unwatched.components_.astype("f8"))
    assert end["end"] == "by its own rule"
    assert last["step"] == unwatched.n_iter_ and last["error"] == pytest.approx(error, rel=1e-5)


@pytest.mark.parametrize("solver", ["cd", "minibatch"])
def test_a_peer_ends_at_the_limit(mixed, solver):
    point, end = watched(mixed[0], solver, 0)
    assert point["step"] == 1 and end["end"] == "at the time limit"


def test_lognormal_counts_follow_their_law():
    x = lognormal.simulate(2300, 500, 6, 3)
    assert x.shape == (2300, 500) and x.nnz / (2300 * 500) == pytest.approx(1 / 20, rel=0.1)
    assert (x.data == np.round(x.data)).all() and x.data.min() >= 1
    # A block has its own random numbers, so a shorter matrix is the beginning of a longer one.
    assert (lognormal.simulate(2000, 500, 6, 3) != x[:2000]).nnz == 0
    law = lognormal.Law(500, 6, 3)
    assert np.allclose(law.rates.sum(axis=1), 1)
    # Genes differ by log-normal factors: σ² is 1.8² + 0.9² over all, and 0.9² between programs.
    logs = np.log(lognormal.Law(20_000, 6, 3).rates)
    assert logs.std(axis=1) == pytest.approx((1.8**2 + 0.9**2) ** 0.5, rel=0.05)
    assert (logs - logs.mean(axis=0)).std() == pytest.approx(0.9 * (5 / 6) ** 0.5, rel=0.05)
    # Depths differ by a log-normal factor with σ = 0.5; the rest of the spread is Poisson's.
    depth = law.depth * law.expected(np.random.default_rng(0), 4000).sum(axis=1)
    assert np.log(depth).std() == pytest.approx(0.5, rel=0.05)
    assert x.sum(axis=1).mean() == pytest.approx(law.depth, rel=0.05)


def test_real_counts_are_written_anew_value_for_value(tmp_path):
    x = sparse.random(60, 40, 0.2, "csc", random_state=0).astype("f8")
    anndata.AnnData(x).write_h5ad(tmp_path / "odd.h5ad", compression="lzf")
    clock.python("rebox", {"path": str(tmp_path / "odd.h5ad"), "to": str(tmp_path / "plain.h5ad")})
    with h5py.File(tmp_path / "plain.h5ad") as file:
        assert file["X"].attrs["encoding-type"] == "csr_matrix" and file["X/data"].compression == "gzip"
    assert (anndata.read_h5ad(tmp_path / "plain.h5ad").X != x.tocsr().astype("f4")).nnz == 0


def test_the_asking_process_stays_small():
    # The kernel counts the size of the process that starts a child as a peak of the child.
    code = "import sys, peers.__main__; print(*{'numpy', 'scipy', 'sklearn', 'anndata'} & set(sys.modules))"
    environment = dict(os.environ, PYTHONPATH=str(REPOSITORY / "scripts"))
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
