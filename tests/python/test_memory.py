"""The peak of memory is at most that planned, and at most that given, over a grid of inputs, starts,
passes and budgets."""

import itertools
import json
import shutil
import subprocess
import sys

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse as sp

BUDGETS = {"64M": 64 << 20, "256M": 256 << 20}

# Cells with values, genes, k. The first two need nearly all of the smaller budget.
INPUTS = {"sparse": (2_000, 10_500, 40), "store": (2_000, 10_500, 40), "dense": (6_000, 700, 12), "npy": (6_000, 700, 12)}

# Runs a command, and prints the peak of its memory as the system counted it. The interpreter itself
# is smaller than any peak, so that its own does not count.
WATCH = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def watched(partwise, *arguments):
    """The report of a run, whose peak is the larger of those that the program and the system report."""
    command = [sys.executable, "-S", "-c", WATCH, partwise.binary, *map(str, arguments), "--json"]
    ran = subprocess.run(command, cwd=partwise.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert ran.returncode == 0, f"partwise {' '.join(map(str, arguments))}\n{ran.stderr}"
    report = json.loads(ran.stdout)
    report["peak"] = max(report["peak_rss_bytes"], int(ran.stderr.split()[-1]) << 10)
    return report


def values(kind, empty_rows):
    """Values of three programs; with `empty_rows`, three times as many rows of zeros among them."""
    cells, genes, _ = INPUTS[kind]
    rng = np.random.default_rng(7)
    programs = rng.gamma(0.3, 1.0, (3, genes))
    rows = rng.poisson(rng.dirichlet([0.5] * 3, cells) @ programs * (0.4 if genes < 1_000 else 0.1)).astype("f4")
    if not empty_rows:
        # The store of a dense file is dense as well, unless most of its values are zeros.
        return rows + 1 if kind == "dense" else sp.csr_matrix(rows)
    places = np.sort(rng.choice(4 * cells, cells, replace=False))
    spread = sp.csr_matrix((np.ones(cells, "f4"), (places, np.arange(cells))), (4 * cells, cells))
    return spread @ sp.csr_matrix(rows)


def written(partwise, kind, empty_rows, long_names):
    """The name of an input of this kind."""
    x = values(kind, empty_rows)
    if kind in ("npy", "dense") and sp.issparse(x):
        x = x.toarray()
    if kind == "npy":
        np.save(partwise.path("x.npy"), x)
        return "x.npy"
    anndata.AnnData(x).write_h5ad(partwise.path("x.h5ad"))
    if long_names:
        with h5py.File(partwise.path("x.h5ad"), "a") as file:
            for table, count in zip(["obs", "var"], x.shape):
                attributes = dict(file[table]["_index"].attrs)
                del file[table]["_index"]
                # Long ones among short ones, so that pieces of many names meet long ones.
                names = [f"{i:06}" + "n" * (40_000 if i % 17 == 0 else 20) for i in range(count)]
                file[table].create_dataset("_index", data=names, dtype=h5py.string_dtype()).attrs.update(attributes)
    if kind == "store":
        partwise.json("convert", "x.h5ad", "-o", "x.pw")
        return "x.pw"
    return "x.h5ad"


GRID = [
    grid
    for grid in itertools.product(INPUTS, [False, True], [False, True])
    # NumPy's files have no names.
    if grid[0] != "npy" or not grid[2]
]


@pytest.mark.parametrize("kind, empty_rows, long_names", GRID)
def test_the_peak_is_at_most_that_planned_and_that_given(partwise, kind, empty_rows, long_names):
    source, k = written(partwise, kind, empty_rows, long_names), INPUTS[kind][2]

    def store(name):
        return [] if kind == "store" else ["--store", name]

    partwise.json("fit", source, "-k", k, "--init", "random", "--max-passes", 1, "-o", "start.h5ad", *store("s.pw"))
    above = []
    for memory, init in itertools.product(BUDGETS, [[], ["--init", "start.h5ad"]]):
        # Half of all combinations: each pair of settings occurs.
        passes = 1 if (memory == "64M") == bool(init) else 6
        settings = [source, "-k", k, "--memory", memory, "--threads", 2, "--max-passes", passes, *init]
        plan = partwise.json("plan", *settings)
        fit = watched(partwise, "fit", *settings, "--tol", 0, "-o", "r.h5ad", "--force", *store("new.pw"))
        # The next fit converts the file again.
        shutil.rmtree(partwise.path("new.pw"), ignore_errors=True)
        # A fit of a file has its plan once the file is converted.
        planned = [plan["peak_bytes"]] + ([fit["planned_peak_bytes"]] if kind == "store" else [])
        limit = min(*planned, BUDGETS[memory])
        line = f"{memory} {' '.join(init) or 'default'} {passes} passes: {fit['peak'] / 2**20:.1f} of {limit / 2**20:.1f} MiB"
        print(line)
        if fit["peak"] > limit:
            above.append(line)
    assert not above, "\n".join(above)
