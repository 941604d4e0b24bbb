"""The comparison with peers runs to its end and keeps its figures. Figures of this size mean
nothing."""

import csv
import os
import subprocess
import sys

import pytest
from conftest import REPOSITORY

SMALL = ["--quick", "--cells", 900, "--genes", 300, "-k", 4, "--limit", 1, "--without-rcppml"]


@pytest.fixture
def bench(partwise):
    environment = dict(os.environ, PYTHONPATH=str(REPOSITORY / "scripts"), PARTWISE_BIN=str(partwise.binary))
    folder = partwise.path("record")

    def run(*arguments):
        command = [sys.executable, "-m", "peers", *map(str, (*SMALL, *arguments, "--record", folder))]
        ran = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return folder

    return run


def table(folder, ending):
    return list(csv.DictReader(next(folder.glob(f"*{ending}")).read_text().splitlines()))


def test_the_race_is_run_and_kept(bench):
    folder = bench("--only", "products,threads,race,several")
    rows, traces = (table(folder, ending) for ending in ("-peers.csv", "-peers-traces.csv"))
    assert {row["part"] for row in rows} == {"products", "threads", "race", "several", "memory"}
    assert all(float(row["value"]) > 0 for row in rows if row["part"] == "products")
    # Every program starts above the lowest error known and comes down; partwise and CD come near
    # it.
    found = {}
    for row in traces:
        found.setdefault(row["who"], []).append(float(row["relative_error"]))
    assert set(found) > {"partwise", "scikit-learn CD", "scikit-learn MiniBatchNMF"}
    best = min(map(min, found.values()))
    assert found["scikit-learn CD"][0] > best * 1.05
    assert min(found["scikit-learn CD"]) < best * 1.02 and min(found["partwise"]) < best * 1.02
    assert "scikit-learn CD" in next(folder.glob("*-peers.svg")).read_text()
    assert "scikit-learn 1" in next(folder.glob("*-peers.txt")).read_text()
